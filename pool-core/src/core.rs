//! The shared heart of a pool: slots, idle set, ledger, and what happens between them.
//!
//! The invariant: no user code, no waking and no await happens under a lock. Lock order: ledger,
//! then idle set; every other lock is a leaf and held alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::event::{Event, Events};
use crate::gate::ConnectGate;
use crate::hooks::Hooks;
use crate::hot::{Hot, nanos};
use crate::ledger::{HandOver, Ledger, Wakes};
use crate::maintenance::Work;
use crate::queue::Refusal;
use crate::runtime::Runtime;
use crate::slot::idle::{IdleSet, Spot};
use crate::slot::{self, Belonging, Entry, OwnedSlot, Phase, Slot, SlotTable};
use crate::stats::{Counters, add};
use crate::sync::Mutex;
use crate::{CloseReason, Error, ErrorClass, ErrorKind, Manager, ResetAt, State, Statistics};

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
    pub(crate) spot: Spot,
}

impl<M: Manager, R: Runtime> Belonging for Home<M, R> {
    type Connection = M::Connection;
    type Pool = Core<M, R>;

    #[inline]
    fn pool(&self) -> &Arc<Core<M, R>> {
        &self.core
    }

    #[inline]
    fn slot(&self) -> &Arc<Slot<M::Connection, Self>> {
        &self.slot
    }

    #[inline]
    fn spot(&self) -> Spot {
        self.spot
    }

    #[inline]
    fn idle(core: &Core<M, R>) -> &IdleSet {
        &core.idle
    }
}

/// A connection of a pool, with what the pool knows about it.
pub(crate) type Held<M, R> = Box<Entry<<M as Manager>::Connection, Home<M, R>>>;

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Gives a usable connection to the first waiter, or makes it idle.
    #[inline(always)]
    pub(crate) fn give(entry: Held<M, R>) {
        if let Err((core, slot)) = slot::give(entry) {
            core.hand_over(slot);
        }
    }

    /// Lets the ledger decide what becomes of a connection that lies in its slot.
    #[cold]
    fn hand_over(self: &Arc<Self>, slot: OwnedSlot) {
        let mut wakes = Wakes::default();
        let mut ledger = self.ledger.lock();
        let close = match ledger.hand_over(slot, &mut wakes) {
            HandOver::Offered => None,
            HandOver::Idle(slot) => {
                self.slots.slot(slot.id()).set_phase(Phase::Idle);
                self.idle.push_flagged(slot);
                None
            }
            HandOver::Close(slot, reason) => {
                self.slots.slot(slot.id()).set_phase(Phase::Closing);
                Some((slot, reason))
            }
        };
        self.settle(&mut ledger);
        drop(ledger);
        wakes.wake();
        if let Some((slot, reason)) = close {
            self.close_booked(self.slots.slot(slot.id()).take(slot), reason);
        }
    }

    /// Closes a connection.
    #[cold]
    pub(crate) fn retire(self: &Arc<Self>, entry: Held<M, R>, reason: CloseReason) {
        entry.home.slot.set_phase(Phase::Closing);
        self.book_close();
        self.close_booked(entry, reason);
    }

    /// A slot whose connection is gone is vacant again.
    pub(crate) fn vacate(&self, owned: OwnedSlot) {
        let slot = self.slots.slot(owned.id());
        slot.set_phase(Phase::Vacant);
        slot.retire_ns.store(u64::MAX, Relaxed);
        let aside = slot.clear_aside();
        self.events.guard("AbortHandle", || drop(aside));
        let mut wakes = Wakes::default();
        self.ledger.lock().vacated(owned, &mut wakes);
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
            connection: entry.id(),
            reason,
        });
    }

    /// Sets the flags of the fast path after anything that may have changed who waits or how many
    /// connections are too many. Under the ledger's lock, last.
    #[inline]
    pub(crate) fn settle(&self, ledger: &mut Ledger<M::Error>) {
        let waiting = ledger.suspended || ledger.queue.unserved() > 0 || ledger.surplus() > 0;
        self.idle.set_waiting(waiting);
        if ledger.has_revoked() {
            self.settle_revoked(ledger);
        }
    }

    /// Makes idle what was offered in vain, when nobody is left to claim it.
    #[cold]
    fn settle_revoked(&self, ledger: &mut Ledger<M::Error>) {
        for slot in ledger.take_unclaimed() {
            if ledger.closed {
                // Found and closed by whoever closes the pool: it is offered to nobody.
                ledger.orphans.push(slot);
            } else {
                self.slots.slot(slot.id()).set_phase(Phase::Idle);
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
        let mut wakes = Wakes::default();
        {
            let mut ledger = self.ledger.lock();
            while !ledger.suspended && ledger.queue.next().is_some() {
                let Some(slot) = self.idle.pop_flagged() else {
                    break;
                };
                self.slots.slot(slot.id()).set_phase(Phase::Leased);
                if let Err(slot) = ledger.offer(slot, &mut wakes) {
                    unreachable!("{slot:?} was refused though lending is on and somebody waits");
                }
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
            if let Some(slot) = self.idle.claim(slot) {
                let mut entry = self.take(slot);
                if reason == CloseReason::Swept && entry.is_proved() {
                    // It is why the others are known to be dead, and not the server.
                    entry.generation = entry.generation.max(generation + 1);
                }
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
                self.ledger.lock().evidence = true;
                self.start_connects();
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
        let Hot {
            dead_in_a_row,
            silent_in_a_row,
            ..
        } = &self.hot;
        // Reading first keeps the line shared between the cores in the usual case.
        if dead_in_a_row.load(Relaxed) > 0 {
            dead_in_a_row.store(0, Relaxed);
        }
        if silent_in_a_row.load(Relaxed) > 0 {
            silent_in_a_row.store(0, Relaxed);
            self.ledger.lock().evidence = false;
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
            .filter_map(|slot| self.idle.claim(slot));
        for slot in idle.chain(orphans) {
            self.retire(self.take(slot), CloseReason::PoolClosed);
        }
        for (_, slot) in self.slots.iter() {
            if let Some(connector) = slot.aside(|aside| aside.connector.take()) {
                connector.wake();
            }
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
