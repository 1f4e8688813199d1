//! Getting a connection: at once where one is idle, else by the queue.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::core::{Core, Held};
use crate::guard::Pooled;
use crate::inspect::Examined;
use crate::lease::{Lease, Unfit};
use crate::options::GetOptions;
use crate::queue::Refusal;
use crate::runtime::{Runtime, Timer};
use crate::slot::Holder;
use crate::waiter::Waiter;
use crate::within::{seldom, within};
use crate::{CloseReason, Error, ErrorKind, Event, Manager, Sample, Stage, Verdict};

/// One acquire. Once it has had to wait for something it is counted as begun; unless it comes to
/// an end then, as cancelled.
struct Attempt<'a, M: Manager, R: Runtime> {
    core: &'a Arc<Core<M, R>>,
    options: &'a GetOptions,
    site: &'static Location<'static>,
    /// When it first had to wait, if there is a time limit or the wait is measured.
    started: OnceLock<Instant>,
    /// The same by the coarse clock, once it is in the queue; and then it is counted as begun.
    queued_ns: Option<u64>,
    settled: bool,
    /// Has been served before, with a connection that turned out to be dead: it is first in line.
    first: bool,
    /// A stage in which a connection turned out not to answer.
    silent: Option<Stage>,
}

/// An idle connection and what it needs before it is lent.
type Found<M, R> = (Lease<M, R>, Examined);

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Lends a connection that is idle and needs no work. Else gives what is idle and does.
    #[inline(always)]
    pub(crate) fn try_acquire(
        self: &Arc<Self>,
        options: &GetOptions,
        site: &'static Location<'static>,
    ) -> Result<Pooled<M, R>, Option<Found<M, R>>> {
        if !self.work.alive() {
            self.start_maintenance();
        }
        let Some(slot) = self.idle.pop() else {
            return Err(None);
        };
        let mut entry = self.take(slot);
        match entry.examine(options) {
            Examined::Ready => self.lend(entry, true, site).ok_or(None),
            Examined::Dead(reason) => self.try_others(Lease::adopt(entry), reason, options, site),
            work => Err(Some((Lease::adopt(entry), work))),
        }
    }

    /// As [`try_acquire`](Self::try_acquire), when the first one turned out to be unfit.
    #[cold]
    fn try_others(
        self: &Arc<Self>,
        lease: Lease<M, R>,
        reason: CloseReason,
        options: &GetOptions,
        site: &'static Location<'static>,
    ) -> Result<Pooled<M, R>, Option<Found<M, R>>> {
        let silent = None;
        self.discard(lease, Unfit { reason, silent });
        match self.next_idle(options) {
            Some((mut lease, Examined::Ready)) => self.lend(lease.end(), true, site).ok_or(None),
            idle => Err(idle),
        }
    }

    /// Lends a connection: what was found `idle`, if it is fit, or else by the queue. Dropping the
    /// future at any await loses nothing.
    pub(crate) async fn acquire<T: Timer>(
        self: &Arc<Self>,
        timer: &T,
        options: &GetOptions,
        site: &'static Location<'static>,
        idle: Option<Found<M, R>>,
    ) -> Result<Pooled<M, R>, Error<M::Error>> {
        let mut attempt = Attempt::new(self, options, site);
        let found = match idle {
            // Where each checkout is checked, this is the usual way, and mostly the whole of it.
            Some((mut lease, CHECK)) => {
                let started = &attempt.started;
                let checked = lease.work(timer, Stage::Validate, options, started).await;
                if let Some(pooled) = attempt.conclude(lease, checked)? {
                    return Ok(pooled);
                }
                self.next_idle(options)
            }
            idle => idle,
        };
        seldom(attempt.run(timer, found)).await
    }

    /// The warmest idle connection that is not known to be unfit.
    pub(crate) fn next_idle(self: &Arc<Self>, options: &GetOptions) -> Option<Found<M, R>> {
        if !self.work.alive() {
            self.start_maintenance();
        }
        loop {
            let mut lease = Lease::new(self, self.idle.pop()?);
            match lease.entry_mut().examine(options) {
                Examined::Dead(reason) => self.discard(
                    lease,
                    Unfit {
                        reason,
                        silent: None,
                    },
                ),
                examined => return Some((lease, examined)),
            }
        }
    }

    /// Closes a connection that was found unfit, and draws the conclusions.
    #[cold]
    fn discard(self: &Arc<Self>, lease: Lease<M, R>, unfit: Unfit) {
        match unfit.reason {
            CloseReason::Broken | CloseReason::Invalid | CloseReason::ResetFailed => {
                lease.retire_dead(unfit);
            }
            reason => lease.retire(reason),
        }
    }

    /// Makes the guard, unless the user's hook objects.
    #[inline(always)]
    fn lend(
        self: &Arc<Self>,
        mut entry: Held<M, R>,
        direct: bool,
        site: &'static Location<'static>,
    ) -> Option<Pooled<M, R>> {
        if self.hot.watched.load(Relaxed) {
            entry = self.watch(entry, site)?;
        }
        if direct {
            let direct = &entry.home.slot.direct;
            direct.store(direct.load(Relaxed) + 1, Relaxed);
        }
        entry.uses += 1;
        if entry.uses & SAMPLED == 0 {
            entry.lent = Some(self.now());
        }
        Some(Pooled::new(entry))
    }

    /// Asks the user's hook whether the connection may be lent, and notes to whom it is.
    #[cold]
    fn watch(
        self: &Arc<Self>,
        mut entry: Held<M, R>,
        site: &'static Location<'static>,
    ) -> Option<Held<M, R>> {
        if let Some(hook) = &self.hooks.on_checkout {
            let info = entry.info();
            let verdict = self
                .events
                .guard("on_checkout", || hook(&mut entry.connection, &info));
            if verdict != Some(Verdict::Keep) {
                self.retire(entry, CloseReason::Rejected);
                return None;
            }
        }
        if self.hot.leak_report.load(Relaxed) {
            *entry.home.slot.holder.lock() = Some(Holder {
                site,
                task: self.runtime.task_id(),
                connection: entry.id,
                since: self.now(),
                reported: false,
            });
        }
        Some(entry)
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
}

impl<'a, M: Manager, R: Runtime> Attempt<'a, M, R> {
    /// Goes on until a connection is fit to be lent.
    async fn run<T: Timer>(
        &mut self,
        timer: &T,
        mut found: Option<Found<M, R>>,
    ) -> Result<Pooled<M, R>, Error<M::Error>> {
        loop {
            let (mut lease, examined) = match found.take() {
                Some(found) => found,
                None => {
                    let mut lease = self.wait(timer).await?;
                    let examined = lease.entry_mut().examine(self.options);
                    (lease, examined)
                }
            };
            let prepared = match examined {
                Examined::Ready => Ok(()),
                Examined::Dead(reason) => Err(Unfit {
                    reason,
                    silent: None,
                }),
                Examined::Work { reset, check } => {
                    let mut prepared = Ok(());
                    for (stage, due) in [(Stage::Reset, reset), (Stage::Validate, check)] {
                        if due && prepared.is_ok() {
                            let started = &self.started;
                            prepared = lease.work(timer, stage, self.options, started).await;
                        }
                    }
                    prepared
                }
            };
            if let Some(pooled) = self.conclude(lease, prepared)? {
                return Ok(pooled);
            }
            // What is idle comes before what would have to be waited for.
            found = self.core.next_idle(self.options);
        }
    }

    /// Lends the connection if it is fit, else closes it; gives up when the time is up.
    #[inline]
    fn conclude(
        &mut self,
        mut lease: Lease<M, R>,
        prepared: Result<(), Unfit>,
    ) -> Result<Option<Pooled<M, R>>, Error<M::Error>> {
        if let Err(unfit) = prepared {
            self.discard(lease, unfit)?;
            return Ok(None);
        }
        let pooled = self.core.lend(lease.end(), !self.has_waited(), self.site);
        match pooled {
            Some(_) => self.succeed(),
            None => self.first = true,
        }
        Ok(pooled)
    }

    fn new(
        core: &'a Arc<Core<M, R>>,
        options: &'a GetOptions,
        site: &'static Location<'static>,
    ) -> Self {
        let started = OnceLock::new();
        Self {
            core,
            options,
            site,
            started,
            queued_ns: None,
            settled: false,
            first: false,
            silent: None,
        }
    }

    /// Until when it may wait; it has begun to, at the latest now.
    fn deadline(&self) -> Option<Instant> {
        let started = *self.started.get_or_init(|| self.core.now());
        let timeout = self.core.hot.acquire_timeout();
        self.options.deadline_from(started, timeout)
    }

    /// Closes a connection that was not fit; gives up when the time is up.
    #[cold]
    fn discard(&mut self, lease: Lease<M, R>, unfit: Unfit) -> Result<(), Error<M::Error>> {
        self.core.discard(lease, unfit);
        self.silent = unfit.silent;
        self.first = true;
        let deadline = self.deadline();
        if deadline.is_some_and(|deadline| self.core.now() >= deadline) {
            let stage = unfit.silent.unwrap_or(Stage::Connect);
            return Err(self.fail(ErrorKind::Timeout(stage)));
        }
        Ok(())
    }

    /// Waits in the queue for a connection.
    async fn wait<T: Timer>(&mut self, timer: &T) -> Result<Lease<M, R>, Error<M::Error>> {
        let core = self.core;
        if !core.work.alive() {
            core.start_maintenance();
        }
        let uncounted = self.queued_ns.is_none();
        self.queued_ns.get_or_insert_with(|| core.coarse_ns());
        let Self {
            options,
            started,
            site,
            ..
        } = &*self;
        let wait_timeout = options.wait_timeout.or_else(|| core.hot.wait_timeout());
        let acquire_timeout = core.hot.acquire_timeout();
        let limited = wait_timeout.is_some() || options.is_limited(acquire_timeout);
        let measured = limited || core.events.observed();
        let mut waiter = Waiter::new(core, self.first, uncounted, started, measured);
        let until = || {
            if core.hot.leak_report.load(Relaxed) {
                core.report_nested(site);
            }
            if !limited {
                return None;
            }
            let began = *started.get_or_init(|| core.now());
            let deadline = options.deadline_from(began, acquire_timeout);
            let wait = wait_timeout.and_then(|limit| core.now().checked_add(limit));
            wait.into_iter().chain(deadline).min()
        };
        let outcome = within(timer, until, poll_fn(|cx| waiter.poll(cx))).await;
        let outcome = outcome.map_err(|_| waiter.leave());
        drop(waiter);
        match outcome {
            Ok(Ok(slot)) => Ok(Lease::new(core, slot)),
            Ok(Err(Refusal { kind, cause })) => {
                self.settle(kind);
                Err(core.error(kind, self.waited(), cause))
            }
            // An offer that came together with the end of the time is taken.
            Err(Some(lease)) => Ok(lease),
            Err(None) => Err(self.fail(ErrorKind::Timeout(self.stage()))),
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

    #[inline]
    fn succeed(&mut self) {
        self.settled = true;
        if self.has_waited() {
            self.count_wait();
        }
    }

    #[cold]
    fn count_wait(&self) {
        let core = self.core;
        if self.queued_ns.is_none() {
            core.ledger.lock().tally.begun += 1;
        }
        let started = self.started.get();
        let took = started.map(|started| core.now().saturating_duration_since(*started));
        core.counters.waited(took);
        if let Some(took) = took {
            core.events.sample(Sample::Acquire, took);
        }
    }

    fn has_waited(&self) -> bool {
        self.queued_ns.is_some() || self.started.get().is_some()
    }

    fn fail(&mut self, kind: ErrorKind) -> Error<M::Error> {
        self.settle(kind);
        let cause = self.core.last_error.lock().clone();
        self.core.error(kind, self.waited(), cause)
    }

    fn settle(&mut self, kind: ErrorKind) {
        self.settled = true;
        let tally = &mut self.core.ledger.lock().tally;
        tally.begun += u64::from(self.queued_ns.is_none());
        tally.fail(kind);
    }

    /// For how long it has waited, to within a tick if nobody wanted to know before.
    fn waited(&self) -> Duration {
        let now = self.core.now();
        match (self.started.get(), self.queued_ns) {
            (Some(started), _) => now.saturating_duration_since(*started),
            (None, Some(ns)) => Duration::from_nanos(self.core.since_epoch(now).saturating_sub(ns)),
            (None, None) => Duration::ZERO,
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Attempt<'_, M, R> {
    fn drop(&mut self) {
        if !self.settled && self.has_waited() {
            let tally = &mut self.core.ledger.lock().tally;
            tally.begun += u64::from(self.queued_ns.is_none());
            tally.cancelled += 1;
        }
    }
}

const CHECK: Examined = Examined::Work {
    reset: false,
    check: true,
};

/// One use in 64 is measured.
const SAMPLED: u64 = 63;
