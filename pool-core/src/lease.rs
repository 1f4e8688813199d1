//! Ownership of one slot and its connection, from the moment it leaves the idle set.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

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

    /// Resets and checks the connection as asked, each within its time and the total.
    pub(crate) async fn prepare<T: Timer>(
        &mut self,
        timer: &T,
        reset: bool,
        check: bool,
        options: &GetOptions,
        deadline: Option<Instant>,
    ) -> Result<(), Unfit> {
        let config = self.core.config();
        if reset {
            let limit = options.reset_timeout.unwrap_or(config.reset_timeout);
            self.work(timer, Stage::Reset, limit, deadline).await?;
        }
        if check {
            let limit = options.validate_timeout.unwrap_or(config.validate_timeout);
            self.work(timer, Stage::Validate, limit, deadline).await?;
        }
        Ok(())
    }

    /// Runs one stage on the connection. Dropped midway, the connection is closed.
    async fn work<T: Timer>(
        &mut self,
        timer: &T,
        stage: Stage,
        limit: std::time::Duration,
        deadline: Option<Instant>,
    ) -> Result<(), Unfit> {
        let core = self.core.clone();
        self.begin_work(stage);
        let entry = self.entry.as_mut().expect("a lease holds its entry");
        let connection = &mut entry.connection;
        let mut started = None;
        let future = async {
            match stage {
                Stage::Reset => core.manager.reset(connection).await,
                _ => core.manager.is_valid(connection).await,
            }
        };
        let future = std::panic::AssertUnwindSafe(future).catch_unwind();
        let until = || {
            let now = core.now();
            started = Some(now);
            deadline.map_or(now + limit, |deadline| deadline.min(now + limit))
        };
        let outcome = within(timer, until, future).await;
        self.end_work();
        let took = started.map(|started| core.now().saturating_duration_since(started));
        core.events
            .sample(Sample::Stage(stage), took.unwrap_or_default());
        let reason = match stage {
            Stage::Reset => CloseReason::ResetFailed,
            _ => CloseReason::Invalid,
        };
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
            Ok(Ok(Err(_))) => {
                add(&core.counters.validation_failures);
                Err(Unfit {
                    reason,
                    silent: None,
                })
            }
            Ok(Err(_)) => {
                core.events.panicked(match stage {
                    Stage::Reset => "Manager::reset",
                    _ => "Manager::is_valid",
                });
                Err(Unfit {
                    reason,
                    silent: None,
                })
            }
            Err(_) => {
                add(&core.counters.validation_failures);
                Err(Unfit {
                    reason,
                    silent: Some(stage),
                })
            }
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
        self.end_work();
        self.working = Some(stage);
        let (phase, gauge) = self.gauge(stage);
        self.core.slots.slot(self.slot).set_phase(phase);
        gauge.fetch_add(1, Relaxed);
    }

    /// The work ended, well or badly.
    pub(crate) fn end_work(&mut self) {
        if let Some(stage) = self.working.take() {
            self.gauge(stage).1.fetch_sub(1, Relaxed);
            self.core.slots.slot(self.slot).set_phase(Phase::Leased);
        }
    }

    fn gauge(&self, stage: Stage) -> (Phase, &std::sync::atomic::AtomicUsize) {
        match stage {
            Stage::Reset => (Phase::Resetting, &self.core.hot.resetting),
            _ => (Phase::Checking, &self.core.hot.checking),
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
