//! The shared heart of a pool: slots, idle set, ledger, and what happens between them.
//!
//! The invariant: no user code, no waking and no await happens under a lock. Lock order: ledger,
//! then idle set; every other lock is a leaf and held alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::event::{Event, Events};
use crate::gate::ConnectGate;
use crate::hooks::Hooks;
use crate::idle::IdleSet;
use crate::ledger::{HandOver, Ledger, Wakes};
use crate::maintenance::Work;
use crate::queue::Refusal;
use crate::runtime::Runtime;
use crate::slot::{Entry, Phase, Slot, SlotId, SlotTable};
use crate::stats::{Counters, add};
use crate::sync::Mutex;
use crate::{
    Check, CloseReason, Error, ErrorClass, ErrorKind, Manager, ResetAt, Stage, State, Statistics,
    WhenSuspended,
};

pub(crate) struct Core<M: Manager, R: Runtime> {
    pub(crate) manager: M,
    pub(crate) runtime: R,
    pub(crate) name: Arc<str>,
    pub(crate) slots: SlotTable<M::Connection, Home<M, R>>,
    pub(crate) idle: IdleSet,
    pub(crate) ledger: Mutex<Ledger<M::Error>>,
    pub(crate) hot: Hot,
    pub(crate) config: Mutex<Arc<Config>>,
    /// The manager's answer when the pool was built.
    pub(crate) reset_at: ResetAt,
    pub(crate) gate: Box<dyn ConnectGate>,
    pub(crate) hooks: Hooks<M::Connection, M::Error>,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    pub(crate) work: Work<M, R>,
    /// The latest failure to connect since the last success.
    pub(crate) last_error: Mutex<Option<(Arc<M::Error>, ErrorClass)>>,
    pub(crate) next_id: AtomicU64,
    pub(crate) epoch: Instant,
}

/// Where an entry belongs; holds the pool in memory while the entry is.
pub(crate) struct Home<M: Manager, R: Runtime> {
    pub(crate) core: Arc<Core<M, R>>,
    pub(crate) slot: Arc<Slot<M::Connection, Self>>,
    pub(crate) id: SlotId,
}

/// A connection of a pool, with what the pool knows about it.
pub(crate) type Held<M, R> = Box<Entry<<M as Manager>::Connection, Home<M, R>>>;

/// What the fast path reads: written rarely, each number by itself.
#[derive(Debug)]
pub(crate) struct Hot {
    /// [`Check`] as a number: 0 always, `u64::MAX` never, else nanoseconds of idleness.
    check_ns: AtomicU64,
    pub(crate) max_uses: AtomicU64,
    pub(crate) generation: AtomicU64,
    /// Generations below this were cleared, not only swept.
    pub(crate) cleared: AtomicU64,
    /// The time at the last tick or queueing, from the pool's epoch.
    coarse_ns: AtomicU64,
    pub(crate) dead_in_a_row: AtomicU32,
    /// Validation timeouts in a row, and whether a connect has succeeded since the first.
    pub(crate) silent_in_a_row: AtomicU32,
    pub(crate) connected_since: AtomicBool,
    pub(crate) leak_report: AtomicBool,
    acquire_ns: AtomicU64,
    wait_ns: AtomicU64,
    validate_ns: AtomicU64,
    reset_ns: AtomicU64,
    pub(crate) max_waiters: AtomicUsize,
    pub(crate) refuse_suspended: AtomicBool,
    pub(crate) checking: AtomicUsize,
    pub(crate) resetting: AtomicUsize,
}

impl Hot {
    pub(crate) fn new(config: &Config) -> Self {
        let hot = Self {
            check_ns: AtomicU64::new(0),
            max_uses: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            coarse_ns: AtomicU64::new(0),
            dead_in_a_row: AtomicU32::new(0),
            silent_in_a_row: AtomicU32::new(0),
            connected_since: AtomicBool::new(false),
            leak_report: AtomicBool::new(false),
            acquire_ns: AtomicU64::new(0),
            wait_ns: AtomicU64::new(0),
            validate_ns: AtomicU64::new(0),
            reset_ns: AtomicU64::new(0),
            max_waiters: AtomicUsize::new(0),
            refuse_suspended: AtomicBool::new(false),
            checking: AtomicUsize::new(0),
            resetting: AtomicUsize::new(0),
        };
        hot.configure(config);
        hot
    }

    pub(crate) fn configure(&self, config: &Config) {
        let check_ns = match config.check {
            Check::Always => 0,
            Check::Never => u64::MAX,
            Check::IdleFor(idle) => nanos(idle),
        };
        self.check_ns.store(check_ns, Relaxed);
        self.max_uses
            .store(config.max_uses.unwrap_or(u64::MAX), Relaxed);
        self.leak_report
            .store(config.leak_report.is_some(), Relaxed);
        let limits = [
            (&self.acquire_ns, config.acquire_timeout),
            (&self.wait_ns, config.wait_timeout),
            (&self.validate_ns, Some(config.validate_timeout)),
            (&self.reset_ns, Some(config.reset_timeout)),
        ];
        for (cell, limit) in limits {
            cell.store(limit.map_or(u64::MAX, nanos), Relaxed);
        }
        self.max_waiters.store(config.max_waiters, Relaxed);
        let refuse = config.when_suspended == WhenSuspended::Refuse;
        self.refuse_suspended.store(refuse, Relaxed);
    }

    pub(crate) fn acquire_timeout(&self) -> Option<Duration> {
        limit(&self.acquire_ns)
    }

    pub(crate) fn wait_timeout(&self) -> Option<Duration> {
        limit(&self.wait_ns)
    }

    /// The time for one reset or one check.
    pub(crate) fn work_timeout(&self, stage: Stage) -> Duration {
        let cell = if stage == Stage::Reset {
            &self.reset_ns
        } else {
            &self.validate_ns
        };
        limit(cell).expect("resets and checks have a limit")
    }

    pub(crate) fn check(&self) -> Check {
        match self.check_ns.load(Relaxed) {
            0 => Check::Always,
            u64::MAX => Check::Never,
            ns => Check::IdleFor(Duration::from_nanos(ns)),
        }
    }
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Gives a usable connection to the first waiter, or makes it idle.
    #[inline]
    pub(crate) fn give(entry: Held<M, R>) {
        // The entry goes into the slot before the slot is offered to others, and may be gone the
        // moment after.
        let home = entry.home.clone();
        home.slot.set_phase(Phase::Idle);
        home.slot.put(entry);
        if home.core.idle.push(home.id).is_err() {
            home.core.hand_over(&home);
        }
    }

    /// Lets the ledger decide what becomes of a connection that lies in its slot.
    #[cold]
    fn hand_over(self: &Arc<Self>, home: &Home<M, R>) {
        home.slot.set_phase(Phase::Leased);
        let now = self.now();
        let mut wakes = Wakes::default();
        let mut ledger = self.ledger.lock();
        let hand_over = ledger.hand_over(home.id, now, &mut wakes);
        match hand_over {
            HandOver::Offered => {}
            HandOver::Idle => {
                home.slot.set_phase(Phase::Idle);
                self.idle.push_flagged(home.id);
            }
            HandOver::Close(_) => home.slot.set_phase(Phase::Closing),
        }
        self.settle(&mut ledger);
        drop(ledger);
        wakes.wake();
        if let HandOver::Close(reason) = hand_over {
            self.close_booked(home.id, home.slot.take(), reason);
        }
    }

    /// Closes a connection.
    #[cold]
    pub(crate) fn retire(self: &Arc<Self>, entry: Held<M, R>, reason: CloseReason) {
        entry.home.slot.set_phase(Phase::Closing);
        self.book_close();
        self.close_booked(entry.home.id, entry, reason);
    }

    /// A slot whose connection is gone is vacant again.
    pub(crate) fn vacate(&self, id: SlotId) {
        let slot = self.slots.slot(id);
        slot.set_phase(Phase::Vacant);
        slot.retire_ns.store(u64::MAX, Relaxed);
        *slot.holder.lock() = None;
        let abort = slot.abort.lock().take();
        self.events.guard("AbortHandle", || drop(abort));
        let mut wakes = Wakes::default();
        self.ledger.lock().vacated(id, &mut wakes);
        wakes.wake();
        self.work.nudge();
    }

    /// Tells everybody of a connection that leaves, and gives it up.
    pub(crate) fn remove(&self, entry: &mut Entry<M::Connection, Home<M, R>>, reason: CloseReason) {
        self.counters.close(reason);
        self.events.guard("Manager::on_remove", || {
            self.manager.on_remove(&mut entry.connection, reason);
        });
        self.events.emit(Event::Closed {
            connection: entry.id,
            reason,
        });
    }

    /// Sets the flags of the fast path after anything that may have changed who waits or how many
    /// connections are too many. Under the ledger's lock, last.
    pub(crate) fn settle(&self, ledger: &mut Ledger<M::Error>) {
        let waiting = ledger.suspended || ledger.queue.unserved() > 0 || ledger.surplus() > 0;
        self.idle.set_waiting(waiting);
        for slot in ledger.take_unclaimed() {
            if ledger.closed {
                // Found and closed by whoever closes the pool: it is offered to nobody.
                ledger.orphans.push(slot);
            } else {
                self.slots.slot(slot).set_phase(Phase::Idle);
                self.idle.push_flagged(slot);
            }
        }
    }

    /// Enters in the books that a connection is being closed.
    pub(crate) fn book_close(&self) {
        let mut ledger = self.ledger.lock();
        ledger.begin_close();
        self.settle(&mut ledger);
    }

    /// Serves waiters from what is idle, after a change that lets them be served.
    pub(crate) fn run_matcher(&self) {
        let now = self.now();
        let mut wakes = Wakes::default();
        {
            let mut ledger = self.ledger.lock();
            while !ledger.suspended && ledger.queue.next().is_some() {
                let Some(slot) = self.idle.pop_flagged() else {
                    break;
                };
                self.slots.slot(slot).set_phase(Phase::Leased);
                let offered = ledger.offer(slot, now, &mut wakes);
                debug_assert!(offered, "there is a waiter and lending is on");
            }
            ledger.on_vacancy(&mut wakes);
            self.settle(&mut ledger);
        }
        wakes.wake();
        self.work.nudge();
    }

    /// As [`bump_generation`](Self::bump_generation), unless this generation is gone already.
    pub(crate) fn clear_generation(self: &Arc<Self>, generation: u64) {
        if self.hot.generation.load(Relaxed) == generation {
            let generation = self.bump_generation(CloseReason::Cleared);
            self.events.emit(Event::Cleared { generation });
        }
    }

    /// All connections opened so far are suspect: none of them is lent again.
    pub(crate) fn bump_generation(self: &Arc<Self>, reason: CloseReason) -> u64 {
        let generation = self.hot.generation.fetch_add(1, Relaxed);
        if reason == CloseReason::Cleared {
            self.hot.cleared.fetch_max(generation + 1, Relaxed);
        }
        for slot in self.idle.snapshot() {
            if self.idle.claim(slot) {
                let entry = self.slots.slot(slot).take();
                if entry.generation <= generation {
                    self.retire(entry, reason);
                } else {
                    Self::give(entry);
                }
            }
        }
        self.work.nudge();
        generation
    }

    /// Counts an idle connection that was found dead; enough of them in a row condemn the rest.
    pub(crate) fn found_dead(self: &Arc<Self>, entry_generation: u64, timed_out: bool) {
        if entry_generation != self.hot.generation.load(Relaxed) {
            return;
        }
        let limit = self.config().sweep_after;
        if timed_out {
            if self.hot.silent_in_a_row.fetch_add(1, Relaxed) == 0 {
                self.hot.connected_since.store(false, Relaxed);
            }
        } else if self.hot.dead_in_a_row.fetch_add(1, Relaxed) + 1 >= limit {
            return self.sweep();
        }
        self.sweep_if_silent(limit);
    }

    /// Sweeps when checks time out although the server takes new connections.
    pub(crate) fn sweep_if_silent(self: &Arc<Self>, limit: u32) {
        if self.hot.silent_in_a_row.load(Relaxed) >= limit && self.hot.connected_since.load(Relaxed)
        {
            self.sweep();
        }
    }

    /// A connection answered.
    pub(crate) fn found_alive(&self) {
        for run in [&self.hot.dead_in_a_row, &self.hot.silent_in_a_row] {
            // Reading first keeps the line shared between the cores in the usual case.
            if run.load(Relaxed) > 0 {
                run.store(0, Relaxed);
            }
        }
    }

    /// Ends the pool's life: nothing is lent any more. Says whether this call did it.
    pub(crate) fn shut(self: &Arc<Self>) -> bool {
        let mut wakes = Wakes::default();
        let orphans = {
            let mut ledger = self.ledger.lock();
            if ledger.closed {
                return false;
            }
            ledger.closed = true;
            self.idle.close();
            ledger.refuse_all(
                || Refusal {
                    kind: ErrorKind::Closed,
                    cause: None,
                },
                &mut wakes,
            );
            self.settle(&mut ledger);
            std::mem::take(&mut ledger.orphans)
        };
        wakes.wake();
        let idle = self
            .idle
            .snapshot()
            .into_iter()
            .filter(|slot| self.idle.claim(*slot));
        for slot in idle.chain(orphans) {
            self.retire(self.slots.slot(slot).take(), CloseReason::PoolClosed);
        }
        for (_, slot) in self.slots.iter() {
            slot.connector.wake();
        }
        self.work.nudge();
        self.events.emit(Event::PoolClosed);
        true
    }

    pub(crate) fn now(&self) -> Instant {
        self.runtime.now()
    }

    /// Sets the coarse clock.
    pub(crate) fn set_coarse(&self, now: Instant) {
        self.hot.coarse_ns.store(self.since_epoch(now), Relaxed);
    }

    pub(crate) fn coarse_ns(&self) -> u64 {
        self.hot.coarse_ns.load(Relaxed)
    }

    pub(crate) fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.lock().clone()
    }

    pub(crate) fn state(&self) -> State {
        let ledger = self.ledger.lock();
        let (idle, size) = (self.idle.len(), ledger.occupied);
        let (checking, resetting) = (
            self.hot.checking.load(Relaxed),
            self.hot.resetting.load(Relaxed),
        );
        let others = idle + ledger.connecting + ledger.closing + checking + resetting;
        State {
            size,
            target: ledger.target,
            idle,
            leased: size.saturating_sub(others),
            connecting: ledger.connecting,
            checking,
            resetting,
            closing: ledger.closing,
            waiting: ledger.queue.unserved(),
            generation: self.hot.generation.load(Relaxed),
            suspended: ledger.suspended,
            closed: ledger.closed,
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let direct = self
            .slots
            .iter()
            .map(|(_, slot)| slot.direct.load(Relaxed))
            .sum();
        let ledger = self.ledger.lock();
        let (tally, peak) = (ledger.tally, ledger.peak_leased);
        drop(ledger);
        self.counters
            .snapshot(direct, tally, peak, self.events.panics())
    }

    pub(crate) fn error(
        &self,
        kind: ErrorKind,
        waited: Duration,
        cause: Option<(Arc<M::Error>, ErrorClass)>,
    ) -> Error<M::Error> {
        Error::new(kind, self.name.clone(), self.state(), waited, cause)
    }

    fn sweep(self: &Arc<Self>) {
        self.hot.dead_in_a_row.store(0, Relaxed);
        self.hot.silent_in_a_row.store(0, Relaxed);
        add(&self.counters.sweeps);
        let generation = self.bump_generation(CloseReason::Swept);
        self.events.emit(Event::Swept { generation });
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Core<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("state", &self.state())
            .finish()
    }
}

fn limit(cell: &AtomicU64) -> Option<Duration> {
    Some(cell.load(Relaxed))
        .filter(|ns| *ns != u64::MAX)
        .map(Duration::from_nanos)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}
