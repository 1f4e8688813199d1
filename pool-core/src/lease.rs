//! Ownership of one slot and its connection, from the moment it leaves the idle set.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::closing::{Vacate, run_close};
use crate::core::{Core, Held, Home, nanos};
use crate::options::GetOptions;
use crate::runtime::{Runtime, Timer};
use crate::slot::{Entry, Phase, Slot, SlotId};
use crate::stats::add;
use crate::within::within;
use crate::{Abandoned, Check, CloseReason, Manager, ResetAt, Sample, Stage, Verdict};
use futures_util::FutureExt;

/// Owns a slot. Dropped while it works on the connection, it closes it, as a half-done exchange
/// must not reach the next user; dropped otherwise, it gives the connection back untouched.
pub(crate) struct Lease<M: Manager, R: Runtime> {
    /// Taken only when the lease ends.
    entry: Option<Held<M, R>>,
    working: Option<Stage>,
    /// The work shows in the books.
    counted: bool,
}

/// What a checkout has to do before it can lend the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Examined {
    Ready,
    Work { reset: bool, check: bool },
    Dead(CloseReason),
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
    #[inline]
    pub(crate) fn new(core: &Core<M, R>, id: SlotId) -> Self {
        Self::adopt(core.slots.slot(id).take())
    }

    /// Takes over a slot together with its connection, which is not in it.
    #[inline]
    pub(crate) fn adopt(entry: Held<M, R>) -> Self {
        entry.home.slot.set_phase(Phase::Leased);
        Self {
            entry: Some(entry),
            working: None,
            counted: false,
        }
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

    /// Looks, without asking the server, whether the connection may be lent.
    #[inline]
    pub(crate) fn examine(&mut self, options: &GetOptions) -> Examined {
        let entry = self.entry_mut();
        let Home { core, slot, .. } = &*entry.home;
        let check = options.check.unwrap_or_else(|| core.hot.check());
        let (now_ns, check) = match check {
            Check::Always => (core.coarse_ns(), true),
            Check::Never => (core.coarse_ns(), false),
            Check::IdleFor(idle) => {
                let now_ns = core.since_epoch(core.runtime.now());
                let seen = slot
                    .used_ns
                    .load(Relaxed)
                    .max(slot.checked_ns.load(Relaxed));
                (now_ns, now_ns.saturating_sub(seen) >= nanos(idle))
            }
        };
        if entry.generation != core.hot.generation.load(Relaxed) {
            return Examined::Dead(CloseReason::Cleared);
        }
        if slot.retire_ns.load(Relaxed) <= now_ns {
            return Examined::Dead(CloseReason::Expired);
        }
        let peek = || core.manager.has_broken(&mut entry.connection);
        if core
            .events
            .guard("Manager::has_broken", peek)
            .unwrap_or(true)
        {
            return Examined::Dead(CloseReason::Broken);
        }
        if entry.dirty || check {
            // A connection that no one has used yet has just proved itself.
            let check = check && entry.uses > 0;
            if entry.dirty || check {
                return Examined::Work {
                    reset: entry.dirty,
                    check,
                };
            }
        }
        Examined::Ready
    }

    /// Resets and checks the connection as asked, each within its time and the total, which counts
    /// from `started`: if not set before, then when there is something to wait for.
    pub(crate) async fn prepare<T: Timer>(
        &mut self,
        timer: &T,
        reset: bool,
        check: bool,
        options: &GetOptions,
        started: &OnceLock<Instant>,
    ) -> Result<(), Unfit> {
        if reset {
            self.work(timer, Stage::Reset, options, started).await?;
        }
        if check {
            self.work(timer, Stage::Validate, options, started).await?;
        }
        Ok(())
    }

    /// Runs one stage on the connection. Dropped midway, the connection is closed.
    async fn work<T: Timer>(
        &mut self,
        timer: &T,
        stage: Stage,
        options: &GetOptions,
        started: &OnceLock<Instant>,
    ) -> Result<(), Unfit> {
        self.working = Some(stage);
        let Self { entry, counted, .. } = &mut *self;
        let entry = &mut **entry.as_mut().expect("a lease holds its entry");
        let Entry {
            connection, home, ..
        } = entry;
        let Home { core, slot, .. } = &**home;
        let mut waited = None;
        let future = async {
            match stage {
                Stage::Reset => core.manager.reset(connection).await,
                _ => core.manager.is_valid(connection).await,
            }
        };
        // Asked only when the server did not answer at once: the books need not show less.
        let until = || {
            core.count_work(slot, stage);
            *counted = true;
            let now = core.now();
            waited = Some(now);
            let limit = now + core.work_timeout(stage, options);
            let started = *started.get_or_init(|| now);
            let total = options.deadline_from(started, core.hot.acquire_timeout());
            Some(total.map_or(limit, |total| limit.min(total)))
        };
        let outcome = within(timer, until, AssertUnwindSafe(future).catch_unwind()).await;
        self.end_work();
        let core = self.core();
        let took = waited.map(|since| core.now().saturating_duration_since(since));
        core.events
            .sample(Sample::Stage(stage), took.unwrap_or_default());
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
        let Home { core, id, .. } = &*entry.home.clone();
        core.remove(&mut entry, reason);
        core.book_close();
        core.vacate(*id);
        entry.connection
    }

    /// Closes the connection and waits for it. Cancelled, it drops the connection.
    pub(crate) async fn close(mut self, reason: CloseReason) {
        let mut entry = self.end();
        let Home { core, slot, id } = &*entry.home.clone();
        slot.set_phase(Phase::Closing);
        core.book_close();
        core.remove(&mut entry, reason);
        let vacate = Vacate {
            core: core.clone(),
            slot: *id,
        };
        run_close(vacate, entry.connection, reason).await;
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
    fn end(&mut self) -> Held<M, R> {
        self.entry.take().expect("a lease holds its entry")
    }

    /// Marks the connection as being worked on.
    pub(crate) fn begin_work(&mut self, stage: Stage) {
        self.working = Some(stage);
        self.counted = true;
        self.core().count_work(self.slot(), stage);
    }

    /// The work ended, well or badly.
    pub(crate) fn end_work(&mut self) {
        let stage = self.working.take();
        if std::mem::take(&mut self.counted) {
            let stage = stage.expect("only work is counted");
            self.core().gauge(stage).fetch_sub(1, Relaxed);
            self.slot().set_phase(Phase::Leased);
        }
    }

    /// A user is done with the connection.
    #[inline]
    pub(crate) fn release(mut self, mark: Option<CloseReason>, in_operation: bool) {
        let mut entry = self.end();
        if let Err(reason) = entry.judge(mark, in_operation) {
            let core = entry.home.core.clone();
            core.retire(entry, reason);
        } else if entry.dirty {
            Self::give_dirty(entry);
        } else {
            Core::give(entry);
        }
    }

    /// Has a returned connection reset, in the background if that is where it is done.
    fn give_dirty(entry: Held<M, R>) {
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

impl<M: Manager, R: Runtime> Core<M, R> {
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

impl<M: Manager, R: Runtime> Entry<M::Connection, Home<M, R>> {
    /// Whether a returned connection may go on, and whether it has to be reset for that.
    #[inline]
    fn judge(&mut self, mark: Option<CloseReason>, in_operation: bool) -> Result<(), CloseReason> {
        let Self {
            connection,
            home,
            generation,
            uses,
            dirty,
            lent,
            ..
        } = &mut *self;
        let Home { core, slot, .. } = &**home;
        let now_ns = core.coarse_ns();
        slot.used_ns.store(now_ns, Relaxed);
        if core.hot.leak_report.load(Relaxed) {
            *slot.holder.lock() = None;
        }
        if let Some(lent) = lent.take() {
            core.events
                .sample(Sample::Use, core.now().saturating_duration_since(lent));
        }
        if let Some(reason) = mark {
            return Err(reason);
        }
        if in_operation {
            let what = core
                .events
                .guard("Manager::on_abandoned", || core.manager.on_abandoned());
            match what.unwrap_or_default() {
                Abandoned::Discard => return Err(CloseReason::Abandoned),
                Abandoned::Reset => *dirty = true,
                Abandoned::Keep => {}
            }
        } else if std::thread::panicking() {
            return Err(CloseReason::UserPanic);
        }
        let broken = || core.manager.has_broken(connection);
        if core
            .events
            .guard("Manager::has_broken", broken)
            .unwrap_or(true)
        {
            return Err(CloseReason::Broken);
        }
        if *generation != core.hot.generation.load(Relaxed) {
            return Err(CloseReason::Cleared);
        }
        if slot.retire_ns.load(Relaxed) <= now_ns {
            return Err(CloseReason::Expired);
        }
        if *uses >= core.hot.max_uses.load(Relaxed) {
            return Err(CloseReason::MaxUses);
        }
        if core.reset_at != ResetAt::Never && !*dirty {
            let needs = || core.manager.needs_reset(connection);
            *dirty = core
                .events
                .guard("Manager::needs_reset", needs)
                .unwrap_or(true);
        }
        if core.hooks.on_return.is_some() {
            let core = core.clone();
            return self.ask_hook(&core);
        }
        Ok(())
    }

    /// Asks the user's hook whether the connection may go on.
    #[cold]
    fn ask_hook(&mut self, core: &Core<M, R>) -> Result<(), CloseReason> {
        let Some(hook) = &core.hooks.on_return else {
            return Ok(());
        };
        let info = self.info();
        match core
            .events
            .guard("on_return", || hook(&mut self.connection, &info))
        {
            Some(Verdict::Keep) => Ok(()),
            _ => Err(CloseReason::Rejected),
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Lease<M, R> {
    #[inline]
    fn drop(&mut self) {
        if self.entry.is_none() {
            return;
        }
        let working = self.working.is_some();
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
