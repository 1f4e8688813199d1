//! Getting a connection: at once where one is idle, else by the queue.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::core::{Core, Held};
use crate::guard::Pooled;
use crate::inspect::Examined;
use crate::lease::{Lease, Unfit};
use crate::options::{GetOptions, Limits};
use crate::queue::Refusal;
use crate::runtime::{Runtime, Timer};
use crate::slot::Holder;
use crate::waiter::{Unserved, Waiting};
use crate::within::seldom;
use crate::{CloseReason, Error, ErrorKind, Event, Manager, Sample, Stage, Verdict};

/// One acquire. Once it has had to wait for something it is counted as begun; unless it comes to
/// an end then, as cancelled.
pub(crate) struct Attempt<'a, M: Manager, R: Runtime, T: Timer> {
    pub(crate) core: &'a Arc<Core<M, R>>,
    pub(crate) limits: Limits<'a, T>,
    site: &'static Location<'static>,
    /// When it began to wait, by the coarse clock, once it is in the queue; and then it is counted
    /// as begun.
    queued_ns: u64,
    queued: bool,
    /// It is counted as begun under the first lock it takes; not yet done.
    pub(crate) uncounted: bool,
    /// Somebody wants to know when it began to wait.
    pub(crate) measured: bool,
    settled: bool,
    /// Has been served before, with a connection that turned out to be dead: it is first in line.
    pub(crate) first: bool,
    /// A stage in which a connection turned out not to answer.
    silent: Option<Stage>,
    /// What was found or served, and is to be looked at next.
    found: Option<Found<M, R>>,
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
    pub(crate) fn acquire<'a, T: Timer>(
        self: &'a Arc<Self>,
        timer: &'a T,
        options: &'a GetOptions,
        site: &'static Location<'static>,
        idle: Option<Found<M, R>>,
    ) -> impl Future<Output = Result<Pooled<M, R>, Error<M::Error>>> {
        let mut attempt = Attempt::new(self, timer, options, site, idle);
        async move {
            // Where each checkout is checked, this is the usual way, and mostly the whole of it.
            if let Some((mut lease, _)) = attempt.found.take_if(|found| found.1 == CHECK) {
                let checked = lease.work(Stage::Validate, &mut attempt.limits).await;
                if let Some(pooled) = attempt.conclude(lease, checked)? {
                    return Ok(pooled);
                }
                attempt.found = attempt.next_idle();
            }
            seldom(attempt.run()).await
        }
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
            entry.lent_ns = self.since_epoch(self.now());
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
            let holder = Holder {
                site,
                task: self.runtime.task_id(),
                connection: entry.id(),
                since: self.now(),
                reported: false,
            };
            let slot = &entry.home.slot;
            slot.set_aside(|aside| aside.holder = Some(holder));
        }
        Some(entry)
    }

    /// Reports a task that waits while it holds a connection of this pool.
    fn report_nested(&self, site: &'static Location<'static>) {
        let Some(task) = self.runtime.task_id() else {
            return;
        };
        let held = self.slots.iter().find_map(|(_, slot)| {
            let holder = slot.aside(|aside| aside.holder)?;
            (holder.task == Some(task)).then_some(holder.site)
        });
        if let Some(holds) = held {
            self.events.emit(Event::NestedAcquire { site, holds });
        }
    }
}

impl<'a, M: Manager, R: Runtime, T: Timer> Attempt<'a, M, R, T> {
    /// Goes on until a connection is fit to be lent.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice"
    )]
    fn run<'b>(
        &'b mut self,
    ) -> impl Future<Output = Result<Pooled<M, R>, Error<M::Error>>> + use<'a, 'b, M, R, T> {
        async move {
            loop {
                if self.found.is_none() {
                    let outcome = self.wait().await;
                    self.served(outcome)?;
                }
                let Some((mut lease, examined)) = self.found.take() else {
                    continue;
                };
                let prepared = match examined {
                    Examined::Ready => Ok(()),
                    Examined::Dead(reason) => Err(Unfit {
                        reason,
                        silent: None,
                    }),
                    Examined::Work { reset, check } => {
                        let mut prepared = Ok(());
                        if reset {
                            prepared = lease.work(Stage::Reset, &mut self.limits).await;
                        }
                        if check && prepared.is_ok() {
                            prepared = lease.work(Stage::Validate, &mut self.limits).await;
                        }
                        prepared
                    }
                };
                if let Some(pooled) = self.conclude(lease, prepared)? {
                    return Ok(pooled);
                }
                self.found = self.next_idle();
            }
        }
    }

    /// What is idle comes before what would have to be waited for.
    fn next_idle(&self) -> Option<Found<M, R>> {
        self.core.next_idle(self.limits.options)
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
        timer: &'a T,
        options: &'a GetOptions,
        site: &'static Location<'static>,
        found: Option<Found<M, R>>,
    ) -> Self {
        Self {
            core,
            limits: Limits::new(timer, options),
            site,
            queued_ns: 0,
            queued: false,
            uncounted: false,
            measured: false,
            settled: false,
            first: false,
            silent: None,
            found,
        }
    }

    /// Until when it may wait; it has begun to, at the latest now.
    fn deadline(&mut self) -> Option<Instant> {
        let began = *self.limits.began.get_or_insert_with(|| self.core.now());
        let timeout = self.core.hot.acquire_timeout();
        self.limits.options.deadline_from(began, timeout)
    }

    /// Until when it may wait in the queue, which it has just joined.
    pub(crate) fn wait_until(&mut self) -> Option<Instant> {
        let core = self.core;
        if core.hot.leak_report.load(Relaxed) {
            core.report_nested(self.site);
        }
        if !self.is_limited() {
            return None;
        }
        let deadline = self.deadline();
        let wait = self.wait_timeout();
        let wait = wait.and_then(|limit| core.now().checked_add(limit));
        wait.into_iter().chain(deadline).min()
    }

    fn wait_timeout(&self) -> Option<Duration> {
        let general = || self.core.hot.wait_timeout();
        self.limits.options.wait_timeout.or_else(general)
    }

    fn is_limited(&self) -> bool {
        let acquire_timeout = self.core.hot.acquire_timeout();
        self.wait_timeout().is_some() || self.limits.options.is_limited(acquire_timeout)
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
    fn wait<'b>(&'b mut self) -> Waiting<'a, 'b, M, R, T> {
        let core = self.core;
        if !core.work.alive() {
            core.start_maintenance();
        }
        self.uncounted = !self.queued;
        if self.uncounted {
            (self.queued, self.queued_ns) = (true, core.coarse_ns());
        }
        self.measured = self.is_limited() || core.events.observed();
        Waiting::new(self)
    }

    /// Looks at what the wait has brought.
    fn served(
        &mut self,
        outcome: Result<Lease<M, R>, Unserved<M::Error>>,
    ) -> Result<(), Error<M::Error>> {
        match outcome {
            Ok(mut lease) => {
                let examined = lease.entry_mut().examine(self.limits.options);
                self.found = Some((lease, examined));
                Ok(())
            }
            Err(Unserved::Refused(Refusal { kind, cause })) => {
                self.settle(kind);
                Err(self.core.error(kind, self.waited(), cause))
            }
            Err(Unserved::Elapsed) => Err(self.fail(ErrorKind::Timeout(self.stage()))),
        }
    }

    /// What the acquire was waiting for when its time ran out: a connect wherever one is missing,
    /// also between two attempts, unless the server is full or the pool is suspended.
    fn stage(&self) -> Stage {
        if let Some(stage) = self.silent {
            return stage;
        }
        let state = self.core.state();
        let connects = state.connecting > 0 || state.size < state.target;
        let lends_nothing = state.leased < state.target.min(1);
        let missing = lends_nothing || connects && !self.core.is_refused_for_load();
        if missing && !state.suspended {
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
        if !self.queued {
            core.ledger.lock().tally.begun += 1;
        }
        let took = self
            .limits
            .began
            .map(|began| core.now().saturating_duration_since(began));
        core.counters.waited(took);
        if let Some(took) = took {
            core.events.sample(Sample::Acquire, took);
        }
    }

    fn has_waited(&self) -> bool {
        self.queued || self.limits.began.is_some()
    }

    fn fail(&mut self, kind: ErrorKind) -> Error<M::Error> {
        self.settle(kind);
        let cause = self.core.last_error.lock().clone();
        self.core.error(kind, self.waited(), cause)
    }

    fn settle(&mut self, kind: ErrorKind) {
        self.settled = true;
        let tally = &mut self.core.ledger.lock().tally;
        tally.begun += u64::from(!self.queued);
        tally.fail(kind);
    }

    /// For how long it has waited, to within a tick if nobody wanted to know before.
    fn waited(&self) -> Duration {
        let now = self.core.now();
        let now_ns = self.core.since_epoch(now);
        match self.limits.began {
            Some(began) => now.saturating_duration_since(began),
            None if self.queued => Duration::from_nanos(now_ns.saturating_sub(self.queued_ns)),
            None => Duration::ZERO,
        }
    }
}

impl<M: Manager, R: Runtime, T: Timer> Drop for Attempt<'_, M, R, T> {
    fn drop(&mut self) {
        if !self.settled && self.has_waited() {
            let tally = &mut self.core.ledger.lock().tally;
            tally.begun += u64::from(!self.queued);
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
