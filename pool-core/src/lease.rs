//! Ownership of one slot and its connection, from the moment it leaves the idle set.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::closing::{Vacate, run_close};
use crate::core::{Core, Held, Home};
use crate::options::{GetOptions, Limits};
use crate::runtime::{Runtime, Timer};
use crate::slot::{Entry, OwnedSlot, Phase, Slot};
use crate::stats::add;
use crate::within::{Elapsed, within};
use crate::{CloseReason, Manager, ResetAt, Sample, Stage};
use futures_util::FutureExt;

/// Owns a slot. Dropped while it works on the connection, it closes it, as a half-done exchange
/// must not reach the next user; dropped otherwise, it gives the connection back untouched.
pub(crate) struct Lease<M: Manager, R: Runtime> {
    /// Taken only when the lease ends.
    entry: Option<Held<M, R>>,
}

/// The connection is not fit to be lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) reason: CloseReason,
    /// It did not answer in time.
    pub(crate) silent: Option<Stage>,
}

impl<M: Manager, R: Runtime> Lease<M, R> {
    /// Takes over a slot that has just left the idle set or was offered.
    #[inline(always)]
    pub(crate) fn new(core: &Core<M, R>, slot: OwnedSlot) -> Self {
        Self::adopt(core.take(slot))
    }

    /// Takes over a slot together with its connection, which is not in it.
    #[inline(always)]
    pub(crate) fn adopt(entry: Held<M, R>) -> Self {
        Self { entry: Some(entry) }
    }

    pub(crate) fn entry(&self) -> &Entry<M::Connection, Home<M, R>> {
        self.entry.as_ref().expect("a lease holds its entry")
    }

    pub(crate) fn entry_mut(&mut self) -> &mut Entry<M::Connection, Home<M, R>> {
        self.entry.as_mut().expect("a lease holds its entry")
    }

    pub(crate) fn core(&self) -> &Arc<Core<M, R>> {
        &self.entry().home.core
    }

    fn slot(&self) -> &Slot<M::Connection, Home<M, R>> {
        &self.entry().home.slot
    }

    /// Resets or checks the connection, within the stage's time and the total. The total counts from
    /// when the acquire began to wait: if not before, then when there is something to wait for.
    /// Dropped midway, the connection is closed.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice"
    )]
    pub(crate) fn work<T: Timer>(
        &mut self,
        stage: Stage,
        limits: &mut Limits<'_, T>,
    ) -> impl Future<Output = Result<(), Unfit>> {
        async move {
            let (outcome, took) = {
                let Entry {
                    connection,
                    home,
                    working,
                    counted,
                    ..
                } = self.entry_mut();
                *working = Some(stage);
                let Home { core, slot, .. } = &**home;
                let mut future = pin!(async {
                    match stage {
                        Stage::Reset => core.manager.reset(connection).await,
                        _ => core.manager.is_valid(connection).await,
                    }
                });
                // Most answer at once, and then no clock is read and the books need not show it.
                match FirstPoll(future.as_mut()).await {
                    Ok(Poll::Ready(answer)) => (Ok(Ok(answer)), Duration::ZERO),
                    Err(panic) => (Ok(Err(panic)), Duration::ZERO),
                    Ok(Poll::Pending) => {
                        core.count_work(slot, stage);
                        *counted = true;
                        let until = |since: Instant| {
                            let options = limits.options;
                            let limit = since.checked_add(core.work_timeout(stage, options));
                            let began = *limits.began.get_or_insert(since);
                            let total = options.deadline_from(began, core.hot.acquire_timeout());
                            total.into_iter().chain(limit).min()
                        };
                        // Boxed, or every acquire would be larger by it; the server takes longer.
                        Box::pin(core.wait_for(limits.timer, until, future)).await
                    }
                }
            };
            self.end_work();
            self.conclude(stage, outcome, took)
        }
    }

    /// Draws the conclusions from a reset or a check.
    #[inline(always)]
    fn conclude<E>(
        &mut self,
        stage: Stage,
        outcome: Result<std::thread::Result<Result<(), E>>, Elapsed>,
        took: Duration,
    ) -> Result<(), Unfit> {
        let core = self.core();
        core.events.sample(Sample::Stage(stage), took);
        match outcome {
            Ok(Ok(Ok(()))) => {
                self.slot().checked_ns.store(core.coarse_ns(), Relaxed);
                core.found_alive();
                self.entry_mut().dirty &= stage != Stage::Reset;
                Ok(())
            }
            Ok(Ok(Err(_))) => Err(core.unfit(stage, false)),
            Ok(Err(_)) => {
                core.events.panicked(match stage {
                    Stage::Reset => "Manager::reset",
                    _ => "Manager::is_valid",
                });
                Err(core.unfit(stage, false))
            }
            Err(_) => Err(core.unfit(stage, true)),
        }
    }

    /// Closes the connection.
    #[cold]
    pub(crate) fn retire(mut self, reason: CloseReason) {
        self.end_work();
        let core = self.core().clone();
        core.retire(self.end(), reason);
    }

    /// Takes the connection out for good.
    pub(crate) fn detach(mut self, reason: CloseReason) -> M::Connection {
        let mut entry = self.end();
        let core = entry.home.core.clone();
        core.remove(&mut entry, reason);
        core.book_close();
        let (connection, slot) = entry.end();
        core.vacate(slot);
        connection
    }

    /// Closes the connection and waits for it. Cancelled, it drops the connection.
    pub(crate) async fn close(mut self, reason: CloseReason) {
        let mut entry = self.end();
        let core = entry.home.core.clone();
        entry.home.slot.set_phase(Phase::Closing);
        core.book_close();
        core.remove(&mut entry, reason);
        let (connection, slot) = entry.end();
        let slot = Some(slot);
        run_close(Vacate { core, slot }, connection, reason).await;
    }

    /// Closes a connection that was thought to be alive, and draws the conclusions.
    #[cold]
    pub(crate) fn retire_dead(self, unfit: Unfit) {
        let (core, generation) = (self.core().clone(), self.entry().generation);
        self.retire(unfit.reason);
        core.found_dead(generation, unfit.silent.is_some());
    }

    /// The lease ends and gives up what it held.
    #[inline]
    pub(crate) fn end(&mut self) -> Held<M, R> {
        self.entry.take().expect("a lease holds its entry")
    }

    /// Marks the connection as being worked on.
    pub(crate) fn begin_work(&mut self, stage: Stage) {
        let entry = self.entry_mut();
        (entry.working, entry.counted) = (Some(stage), true);
        self.core().count_work(self.slot(), stage);
    }

    /// The work ended, well or badly.
    pub(crate) fn end_work(&mut self) {
        let entry = self.entry_mut();
        let stage = entry.working.take();
        if std::mem::take(&mut entry.counted) {
            let stage = stage.expect("only work is counted");
            self.core().gauge(stage).fetch_sub(1, Relaxed);
            self.slot().set_phase(Phase::Leased);
        }
    }
}

impl<M: Manager, R: Runtime> Lease<M, R> {
    /// Has a returned connection reset, in the background if that is where it is done.
    pub(crate) fn give_dirty(entry: Held<M, R>) {
        let core = entry.home.core.clone();
        if core.reset_at != ResetAt::Return {
            return Core::give(entry);
        }
        let mut lease = Self::adopt(entry);
        lease.begin_work(Stage::Reset);
        if let Err(mut lease) = core.work.push_reset(lease) {
            // Nobody is there to reset it: the next getter will.
            lease.end_work();
            drop(lease);
        }
    }
}

/// Polls a future once; a panic is caught.
struct FirstPoll<'a, F>(Pin<&'a mut F>);

impl<F: Future> Future for FirstPoll<'_, F> {
    type Output = std::thread::Result<Poll<F::Output>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = AssertUnwindSafe(|| self.0.as_mut().poll(cx));
        Poll::Ready(catch_unwind(poll))
    }
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Takes the connection of a slot that has just left the idle set or was offered.
    #[inline(always)]
    pub(crate) fn take(&self, owned: OwnedSlot) -> Held<M, R> {
        let slot = self.slots.slot(owned.id());
        slot.set_phase(Phase::Leased);
        slot.take(owned)
    }

    /// Waits for a reset or a check that did not answer at once; says how long it took.
    async fn wait_for<T: Timer, F: Future>(
        &self,
        timer: &T,
        until: impl FnOnce(Instant) -> Option<Instant>,
        future: F,
    ) -> (Result<std::thread::Result<F::Output>, Elapsed>, Duration) {
        let since = self.now();
        let until = until(since);
        let rest = AssertUnwindSafe(future).catch_unwind();
        let outcome = within(timer, || until, rest).await;
        (outcome, self.now().saturating_duration_since(since))
    }

    fn count_work(&self, slot: &Slot<M::Connection, Home<M, R>>, stage: Stage) {
        slot.set_phase(match stage {
            Stage::Reset => Phase::Resetting,
            _ => Phase::Checking,
        });
        self.gauge(stage).fetch_add(1, Relaxed);
    }

    fn gauge(&self, stage: Stage) -> &AtomicUsize {
        match stage {
            Stage::Reset => &self.hot.resetting,
            _ => &self.hot.checking,
        }
    }

    fn work_timeout(&self, stage: Stage, options: &GetOptions) -> Duration {
        let own = match stage {
            Stage::Reset => options.reset_timeout,
            _ => options.validate_timeout,
        };
        own.unwrap_or_else(|| self.hot.work_timeout(stage))
    }

    /// Counts a stage that failed.
    fn unfit(&self, stage: Stage, silent: bool) -> Unfit {
        add(&self.counters.validation_failures);
        let reason = match stage {
            Stage::Reset => CloseReason::ResetFailed,
            _ => CloseReason::Invalid,
        };
        Unfit {
            reason,
            silent: silent.then_some(stage),
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Lease<M, R> {
    #[inline]
    fn drop(&mut self) {
        if self.entry.is_none() {
            return;
        }
        let working = self.entry().working.is_some();
        self.end_work();
        let core = self.core().clone();
        let entry = self.end();
        if working {
            core.retire(entry, CloseReason::CheckCancelled);
        } else if entry.generation != core.hot.generation.load(Relaxed) {
            core.retire(entry, CloseReason::Cleared);
        } else {
            Core::give(entry);
        }
    }
}
