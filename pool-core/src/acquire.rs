//! Getting a connection: at once where one is idle, else by the queue.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::guard::Pooled;
use crate::lease::{Examined, Lease, Unfit};
use crate::ledger::Wakes;
use crate::options::GetOptions;
use crate::queue::{Refusal, Turn, WaiterId};
use crate::runtime::{Runtime, Timer};
use crate::slot::Holder;
use crate::stats::add;
use crate::within::within;
use crate::{Config, Error, ErrorKind, Event, Manager, Sample, Stage, Verdict, WhenSuspended};

/// An acquire that could not be served on the spot. Counted as begun; unless it comes to an end,
/// as cancelled.
struct Attempt<M: Manager, R: Runtime> {
    core: Arc<Core<M, R>>,
    config: Arc<Config>,
    site: &'static Location<'static>,
    started: Instant,
    deadline: Instant,
    settled: bool,
    /// A stage in which a connection turned out not to answer.
    silent: Option<Stage>,
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Lends a connection that is idle and needs no work; `None` if there is none.
    pub(crate) fn try_acquire(
        self: &Arc<Self>,
        options: &GetOptions,
        site: &'static Location<'static>,
    ) -> Option<Pooled<M, R>> {
        match self.next_idle(options) {
            Some((lease, Examined::Ready)) => self.lend(lease, true, site),
            _ => None,
        }
    }

    /// Lends a connection. Dropping the future at any await loses nothing.
    pub(crate) async fn acquire<T: Timer>(
        self: &Arc<Self>,
        timer: &T,
        options: &GetOptions,
        site: &'static Location<'static>,
    ) -> Result<Pooled<M, R>, Error<M::Error>> {
        if !self.work.alive() {
            self.start_maintenance();
        }
        let idle = self.next_idle(options);
        if let Some((lease, Examined::Ready)) = idle {
            match self.lend(lease, true, site) {
                Some(pooled) => return Ok(pooled),
                None => return self.acquire_slowly(timer, options, site, None).await,
            }
        }
        self.acquire_slowly(timer, options, site, idle).await
    }

    /// The warmest idle connection that is not known to be unfit.
    fn next_idle(self: &Arc<Self>, options: &GetOptions) -> Option<(Lease<M, R>, Examined)> {
        loop {
            let mut lease = Lease::new(self.clone(), self.idle.pop()?);
            match lease.examine(options) {
                Examined::Dead(reason) => self.discard(lease, reason),
                examined => return Some((lease, examined)),
            }
        }
    }

    /// Closes an idle connection that a look has found unfit.
    fn discard(self: &Arc<Self>, lease: Lease<M, R>, reason: crate::CloseReason) {
        match reason {
            crate::CloseReason::Broken => lease.retire_dead(Unfit {
                reason,
                silent: None,
            }),
            reason => lease.retire(reason),
        }
    }

    async fn acquire_slowly<T: Timer>(
        self: &Arc<Self>,
        timer: &T,
        options: &GetOptions,
        site: &'static Location<'static>,
        idle: Option<(Lease<M, R>, Examined)>,
    ) -> Result<Pooled<M, R>, Error<M::Error>> {
        let mut attempt = Attempt::new(self, options, site);
        let mut next = idle;
        let mut served_before = false;
        loop {
            if served_before && self.now() >= attempt.deadline {
                let kind = ErrorKind::Timeout(attempt.silent.unwrap_or(Stage::Connect));
                return Err(attempt.fail(kind));
            }
            let (mut lease, examined) = match next.take() {
                Some(next) => next,
                None => {
                    let lease = attempt.wait(timer, options, served_before).await?;
                    served_before = true;
                    (lease, Examined::Ready)
                }
            };
            let examined = match examined {
                Examined::Ready => lease.examine(options),
                known => known,
            };
            let unfit = match examined {
                Examined::Ready => None,
                Examined::Dead(reason) => {
                    self.discard(lease, reason);
                    continue;
                }
                Examined::Work { reset, check } => lease
                    .prepare(timer, reset, check, options, Some(attempt.deadline))
                    .await
                    .err(),
            };
            let Some(unfit) = unfit else {
                match self.lend(lease, false, site) {
                    Some(pooled) => return Ok(attempt.succeed(pooled)),
                    None => continue,
                }
            };
            lease.retire_dead(unfit);
            attempt.silent = unfit.silent;
            served_before = true;
            // What is idle comes before what would have to be waited for, for one who is first.
            next = self.next_idle(options);
        }
    }

    /// Makes the guard, unless the user's hook objects.
    fn lend(
        self: &Arc<Self>,
        mut lease: Lease<M, R>,
        direct: bool,
        site: &'static Location<'static>,
    ) -> Option<Pooled<M, R>> {
        let slot = self.slots.slot(lease.slot);
        let entry = lease.entry.as_mut().expect("a lease holds its entry");
        if let Some(hook) = &self.hooks.on_checkout {
            let info = entry.info();
            let verdict = self
                .events
                .guard("on_checkout", || hook(&mut entry.connection, &info));
            if verdict != Some(Verdict::Keep) {
                lease.retire(crate::CloseReason::Rejected);
                return None;
            }
        }
        if direct {
            slot.direct.store(slot.direct.load(Relaxed) + 1, Relaxed);
        }
        entry.uses += 1;
        if entry.uses & SAMPLED == 0 {
            entry.lent = Some(self.now());
        }
        if self.hot.leak_report.load(Relaxed) {
            *slot.holder.lock() = Some(Holder {
                site,
                task: self.runtime.task_id(),
                connection: entry.id,
                since: self.now(),
                reported: false,
            });
        }
        Some(Pooled::new(lease))
    }

    /// Reports a task that waits while it holds a connection of this pool.
    fn report_nested(&self, site: &'static Location<'static>) {
        let Some(task) = self.runtime.task_id() else {
            return;
        };
        let held = self.slots.iter().find_map(|(_, slot)| {
            slot.holder
                .lock()
                .filter(|holder| holder.task == Some(task))
                .map(|h| h.site)
        });
        if let Some(holds) = held {
            self.events.emit(Event::NestedAcquire { site, holds });
        }
    }

    /// Takes a connection or a place in the queue.
    fn park(self: &Arc<Self>, first: bool) -> Result<Parked<M, R>, ErrorKind> {
        let config = self.config();
        let mut ledger = self.ledger.lock();
        if ledger.closed {
            return Err(ErrorKind::Closed);
        }
        if ledger.suspended {
            if config.when_suspended == WhenSuspended::Refuse {
                return Err(ErrorKind::Suspended);
            }
        } else if first || ledger.queue.next().is_none() {
            if let Some(slot) = ledger.claim().or_else(|| self.idle.pop_or_wait()) {
                self.settle(&mut ledger);
                drop(ledger);
                return Ok(Parked::Served(Lease::new(self.clone(), slot)));
            }
        }
        let full = !first && ledger.queue.len() >= config.max_waiters;
        let others = self.idle.len() + ledger.connecting + ledger.closing;
        ledger.peak_leased = ledger
            .peak_leased
            .max(ledger.occupied.saturating_sub(others));
        let waiter = (!full).then(|| ledger.queue.join(Waker::noop().clone(), first));
        self.settle(&mut ledger);
        drop(ledger);
        match waiter {
            Some(id) => {
                self.work.hurry();
                Ok(Parked::Waiting(Waiter {
                    core: self.clone(),
                    id: Some(id),
                }))
            }
            None => Err(ErrorKind::QueueFull),
        }
    }
}

enum Parked<M: Manager, R: Runtime> {
    Served(Lease<M, R>),
    Waiting(Waiter<M, R>),
}

impl<M: Manager, R: Runtime> Attempt<M, R> {
    fn new(core: &Arc<Core<M, R>>, options: &GetOptions, site: &'static Location<'static>) -> Self {
        add(&core.counters.queued);
        let config = core.config();
        let started = core.now();
        let deadline = started + options.timeout.unwrap_or(config.acquire_timeout);
        let deadline = options
            .deadline
            .map_or(deadline, |given| given.min(deadline));
        Self {
            core: core.clone(),
            config,
            site,
            started,
            deadline,
            settled: false,
            silent: None,
        }
    }

    /// Waits in the queue for a connection.
    async fn wait<T: Timer>(
        &mut self,
        timer: &T,
        options: &GetOptions,
        first: bool,
    ) -> Result<Lease<M, R>, Error<M::Error>> {
        let mut waiter = match self.core.park(first) {
            Ok(Parked::Served(lease)) => return Ok(lease),
            Ok(Parked::Waiting(waiter)) => waiter,
            Err(kind) => return Err(self.fail(kind)),
        };
        if self.core.hot.leak_report.load(Relaxed) {
            self.core.report_nested(self.site);
        }
        let limit = options.wait_timeout.or(self.config.wait_timeout);
        let until = limit.map_or(self.deadline, |limit| {
            self.deadline.min(self.core.now() + limit)
        });
        let turn = within(timer, || until, poll_fn(|cx| waiter.poll(cx))).await;
        match turn {
            Ok(Turn::Offered(slot, _)) => Ok(Lease::new(self.core.clone(), slot)),
            Ok(Turn::Refused(Refusal { kind, cause })) => {
                self.settle(kind);
                Err(self.core.error(kind, self.waited(), cause))
            }
            Ok(Turn::Waiting | Turn::Absent) => unreachable!("a waiter's poll ends with an answer"),
            Err(_) => match waiter.leave() {
                // An offer that came together with the end of the time is taken.
                Some(lease) => Ok(lease),
                None => Err(self.fail(ErrorKind::Timeout(self.stage()))),
            },
        }
    }

    /// What the acquire was waiting for when its time ran out.
    fn stage(&self) -> Stage {
        let state = self.core.state();
        if let Some(stage) = self.silent {
            stage
        } else if state.connecting > 0 || state.leased < state.target.min(1) {
            Stage::Connect
        } else {
            Stage::Wait
        }
    }

    fn succeed(mut self, pooled: Pooled<M, R>) -> Pooled<M, R> {
        self.settled = true;
        add(&self.core.counters.waited);
        let took = self.waited();
        self.core.counters.acquire.record(took);
        self.core.events.sample(Sample::Acquire, took);
        pooled
    }

    fn fail(&mut self, kind: ErrorKind) -> Error<M::Error> {
        self.settle(kind);
        let cause = self.core.last_error.lock().clone();
        self.core.error(kind, self.waited(), cause)
    }

    fn settle(&mut self, kind: ErrorKind) {
        self.settled = true;
        self.core.counters.fail(kind);
    }

    fn waited(&self) -> Duration {
        self.core.now().saturating_duration_since(self.started)
    }
}

impl<M: Manager, R: Runtime> Drop for Attempt<M, R> {
    fn drop(&mut self) {
        if !self.settled {
            add(&self.core.counters.cancelled);
        }
    }
}

/// A place in the queue; leaving it passes on what was offered.
struct Waiter<M: Manager, R: Runtime> {
    core: Arc<Core<M, R>>,
    id: Option<WaiterId>,
}

impl<M: Manager, R: Runtime> Waiter<M, R> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Turn<M::Error>> {
        let id = self.id.expect("a waiter is not polled after its answer");
        let core = &self.core;
        // Cloned before the lock is taken and dropped after: wakers are user code.
        let waker = cx.waker().clone();
        let mut stale = None;
        let mut ledger = core.ledger.lock();
        let served = match ledger.queue.turn(id) {
            Turn::Offered(..) | Turn::Refused(_) => true,
            Turn::Waiting | Turn::Absent if ledger.suspended => false,
            Turn::Waiting | Turn::Absent => {
                let slot = ledger.claim().or_else(|| core.idle.pop_flagged());
                if let Some(slot) = slot {
                    // Answered as an offer that is taken in the same breath.
                    stale = ledger.queue.serve(id, Turn::Offered(slot, core.epoch));
                }
                slot.is_some()
            }
        };
        let (turn, replaced) = if served {
            let (turn, waker) = ledger.queue.remove(id);
            (Some(turn), waker)
        } else {
            (None, ledger.queue.polled(id, waker))
        };
        let wanted = ledger.wanted_connects(core.idle.len()) > 0;
        core.settle(&mut ledger);
        drop(ledger);
        drop((replaced, stale));
        if turn.is_some() {
            self.id = None;
        }
        if wanted {
            core.start_connects();
        }
        turn.map_or(Poll::Pending, Poll::Ready)
    }

    /// Leaves the queue; takes what had been offered, if anything.
    fn leave(&mut self) -> Option<Lease<M, R>> {
        let id = self.id.take()?;
        let mut wakes = Wakes::default();
        let (turn, waker) = {
            let mut ledger = self.core.ledger.lock();
            let (turn, waker) = ledger.queue.remove(id);
            if !matches!(turn, Turn::Offered(..)) {
                // The wake-up for free capacity may have gone to this waiter.
                ledger.on_vacancy(&mut wakes);
            }
            self.core.settle(&mut ledger);
            (turn, waker)
        };
        drop(waker);
        wakes.wake();
        match turn {
            Turn::Offered(slot, _) => Some(Lease::new(self.core.clone(), slot)),
            _ => None,
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Waiter<M, R> {
    fn drop(&mut self) {
        // The lease, if any, goes to the next waiter.
        drop(self.leave());
    }
}

/// One use in 64 is measured.
const SAMPLED: u64 = 63;
