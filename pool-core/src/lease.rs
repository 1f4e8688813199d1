//! Ownership of one slot and its connection, from the moment it leaves the idle set.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::core::{Core, nanos};
use crate::options::GetOptions;
use crate::runtime::{Runtime, Timer};
use crate::slot::{Entry, Phase, SlotId};
use crate::stats::add;
use crate::within::within;
use crate::{Check, CloseReason, Manager, ResetAt, Sample, Stage, Verdict};
use futures_util::FutureExt;

/// Owns a slot. Dropped while it works on the connection, it closes it, as a half-done exchange
/// must not reach the next user; dropped otherwise, it gives the connection back untouched.
pub(crate) struct Lease<M: Manager, R: Runtime> {
    pub(crate) core: Arc<Core<M, R>>,
    pub(crate) slot: SlotId,
    pub(crate) entry: Option<Box<Entry<M::Connection>>>,
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
    pub(crate) fn new(core: Arc<Core<M, R>>, id: SlotId) -> Self {
        let slot = core.slots.slot(id);
        slot.set_phase(Phase::Leased);
        let entry = Some(slot.take());
        Self {
            core,
            slot: id,
            entry,
            working: None,
            counted: false,
        }
    }

    /// Takes over a slot together with a connection that was not in it yet.
    pub(crate) fn adopt(
        core: Arc<Core<M, R>>,
        slot: SlotId,
        entry: Box<Entry<M::Connection>>,
    ) -> Self {
        core.slots.slot(slot).set_phase(Phase::Leased);
        Self {
            core,
            slot,
            entry: Some(entry),
            working: None,
            counted: false,
        }
    }

    /// Looks, without asking the server, whether the connection may be lent.
    pub(crate) fn examine(&mut self, options: &GetOptions) -> Examined {
        let core = &*self.core;
        let slot = core.slots.slot(self.slot);
        let entry = self.entry.as_mut().expect("a lease holds its entry");
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

    /// Resets and checks the connection as asked, each within its time and the total; without a
    /// `deadline`, the total begins when there is something to wait for.
    pub(crate) async fn prepare<T: Timer>(
        &mut self,
        timer: &T,
        reset: bool,
        check: bool,
        options: &GetOptions,
        deadline: Option<Instant>,
    ) -> Result<(), Unfit> {
        if reset {
            self.work(timer, Stage::Reset, options, deadline).await?;
        }
        if check {
            self.work(timer, Stage::Validate, options, deadline).await?;
        }
        Ok(())
    }

    /// Runs one stage on the connection. Dropped midway, the connection is closed.
    async fn work<T: Timer>(
        &mut self,
        timer: &T,
        stage: Stage,
        options: &GetOptions,
        deadline: Option<Instant>,
    ) -> Result<(), Unfit> {
        self.working = Some(stage);
        let Self {
            core,
            slot,
            entry,
            counted,
            ..
        } = &mut *self;
        let core = &**core;
        let connection = &mut entry.as_mut().expect("a lease holds its entry").connection;
        let mut started = None;
        let future = async {
            match stage {
                Stage::Reset => core.manager.reset(connection).await,
                _ => core.manager.is_valid(connection).await,
            }
        };
        // Asked only when the server did not answer at once: the books need not show less.
        let until = || {
            core.count_work(*slot, stage);
            *counted = true;
            let now = core.now();
            started = Some(now);
            let limit = now + core.work_timeout(stage, options);
            let total = || options.deadline_from(now, core.hot.acquire_timeout());
            Some(
                deadline
                    .or_else(total)
                    .map_or(limit, |total| limit.min(total)),
            )
        };
        let outcome = within(timer, until, AssertUnwindSafe(future).catch_unwind()).await;
        self.end_work();
        let core = &*self.core;
        let took = started.map(|started| core.now().saturating_duration_since(started));
        core.events
            .sample(Sample::Stage(stage), took.unwrap_or_default());
        match outcome {
            Ok(Ok(Ok(()))) => {
                let entry = self.entry.as_mut().expect("a lease holds its entry");
                entry.dirty &= stage != Stage::Reset;
                core.slots
                    .slot(self.slot)
                    .checked_ns
                    .store(core.coarse_ns(), Relaxed);
                core.found_alive();
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
    pub(crate) fn retire(mut self, reason: CloseReason) {
        self.end_work();
        let entry = self.entry.take().expect("a lease holds its entry");
        self.core.retire(self.slot, entry, reason);
    }

    /// Takes the connection out for good.
    pub(crate) fn detach(mut self, reason: CloseReason) -> M::Connection {
        let mut entry = self.entry.take().expect("a lease holds its entry");
        self.core.remove(&mut entry, reason);
        self.core.ledger.lock().begin_close();
        self.core.vacate(self.slot);
        entry.connection
    }

    /// Closes the connection and waits for it. Cancelled, it drops the connection.
    pub(crate) async fn close(mut self, reason: CloseReason) {
        let mut entry = self.entry.take().expect("a lease holds its entry");
        self.core.slots.slot(self.slot).set_phase(Phase::Closing);
        self.core.ledger.lock().begin_close();
        self.core.remove(&mut entry, reason);
        self.core
            .clone()
            .run_close(self.slot, entry.connection, reason)
            .await;
    }

    /// Closes a connection that was thought to be alive, and draws the conclusions.
    pub(crate) fn retire_dead(self, unfit: Unfit) {
        let core = self.core.clone();
        let generation = self
            .entry
            .as_ref()
            .expect("a lease holds its entry")
            .generation;
        self.retire(unfit.reason);
        core.found_dead(generation, unfit.silent.is_some());
    }

    /// Marks the connection as being worked on.
    pub(crate) fn begin_work(&mut self, stage: Stage) {
        self.working = Some(stage);
        self.counted = true;
        self.core.count_work(self.slot, stage);
    }

    /// The work ended, well or badly.
    pub(crate) fn end_work(&mut self) {
        let stage = self.working.take();
        if std::mem::take(&mut self.counted) {
            let stage = stage.expect("only work is counted");
            self.core.gauge(stage).fetch_sub(1, Relaxed);
            self.core.slots.slot(self.slot).set_phase(Phase::Leased);
        }
    }

    /// A user is done with the connection.
    pub(crate) fn release(mut self, mark: Option<CloseReason>, in_operation: bool) {
        let core = self.core.clone();
        let mut entry = self.entry.take().expect("a lease holds its entry");
        let slot = core.slots.slot(self.slot);
        slot.used_ns.store(core.coarse_ns(), Relaxed);
        if core.hot.leak_report.load(Relaxed) {
            *slot.holder.lock() = None;
        }
        if let Some(lent) = entry.lent.take() {
            core.events
                .sample(Sample::Use, core.now().saturating_duration_since(lent));
        }
        match core.judge(self.slot, &mut entry, mark, in_operation) {
            Err(reason) => core.retire(self.slot, entry, reason),
            Ok(()) if entry.dirty && core.manager.reset_at() == ResetAt::Return => {
                self.entry = Some(entry);
                self.begin_work(Stage::Reset);
                if let Err(mut lease) = core.work.push_reset(self) {
                    // Nobody is there to reset it: the next getter will.
                    lease.end_work();
                    drop(lease);
                }
            }
            Ok(()) => core.give(self.slot, entry),
        }
    }
}

impl<M: Manager, R: Runtime> Core<M, R> {
    fn count_work(&self, slot: SlotId, stage: Stage) {
        self.slots.slot(slot).set_phase(match stage {
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

    /// Whether a returned connection may go on.
    fn judge(
        &self,
        slot: SlotId,
        entry: &mut Entry<M::Connection>,
        mark: Option<CloseReason>,
        in_operation: bool,
    ) -> Result<(), CloseReason> {
        if let Some(reason) = mark {
            return Err(reason);
        }
        if in_operation {
            let what = self
                .events
                .guard("Manager::on_abandoned", || self.manager.on_abandoned());
            match what.unwrap_or_default() {
                crate::Abandoned::Discard => return Err(CloseReason::Abandoned),
                crate::Abandoned::Reset => entry.dirty = true,
                crate::Abandoned::Keep => {}
            }
        } else if std::thread::panicking() {
            return Err(CloseReason::UserPanic);
        }
        let broken = || self.manager.has_broken(&mut entry.connection);
        if self
            .events
            .guard("Manager::has_broken", broken)
            .unwrap_or(true)
        {
            return Err(CloseReason::Broken);
        }
        if let Some(hook) = &self.hooks.on_return {
            let info = entry.info();
            let verdict = self
                .events
                .guard("on_return", || hook(&mut entry.connection, &info));
            if verdict != Some(Verdict::Keep) {
                return Err(CloseReason::Rejected);
            }
        }
        if entry.generation != self.hot.generation.load(Relaxed) {
            return Err(CloseReason::Cleared);
        }
        if self.slots.slot(slot).retire_ns.load(Relaxed) <= self.coarse_ns() {
            return Err(CloseReason::Expired);
        }
        if entry.uses >= self.hot.max_uses.load(Relaxed) {
            return Err(CloseReason::MaxUses);
        }
        if self.manager.reset_at() != ResetAt::Never && !entry.dirty {
            let needs = || self.manager.needs_reset(&mut entry.connection);
            entry.dirty = self
                .events
                .guard("Manager::needs_reset", needs)
                .unwrap_or(true);
        }
        Ok(())
    }
}

impl<M: Manager, R: Runtime> Drop for Lease<M, R> {
    fn drop(&mut self) {
        let working = self.working.is_some();
        self.end_work();
        let Some(entry) = self.entry.take() else {
            return;
        };
        if working {
            self.core
                .retire(self.slot, entry, CloseReason::CheckCancelled);
        } else {
            self.core.give(self.slot, entry);
        }
    }
}
