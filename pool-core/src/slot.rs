//! Slots: one slot is one unit of capacity and holds at most one connection.
//!
//! The invariant: each slot has one owner at any time, and that owner is a value. It is the
//! [`Entry`] while the slot's connection is in somebody's hands; the [`OwnedSlot`] while it lies in
//! the slot without being idle, and while there is none; and the bit in the [`IdleSet`] while it is
//! idle. None of them can be copied or made outside of this module, and each is used up when it
//! turns into another. The numbers beside the cell are written by the owner alone, so they are
//! plain stores; snapshots read them at any time.
//!
//! # Safety
//!
//! This module has the crate's only unsafe code: the cell that holds the entry, and the use of
//! the slot and of the pool after the entry has gone into the cell. It rests on four facts.
//!
//! 1. *The cell has one user at a time.* It is written by [`give`], which uses up the entry, and
//!    read by [`Slot::take`], which uses up the [`OwnedSlot`]. Both are the slot's owner, and there
//!    is one. A pool takes only slots of its own: numbers do not leave it, and the home of an
//!    entry, made with it and never changed, names the slot and the bit for which it was made.
//! 2. *What one owner did is seen by the next.* Ownership passes by the bit, set with release and
//!    cleared with acquire ordering in the same word, or by the ledger's mutex.
//! 3. *The pool outlives the call.* The entry holds the pool and its slot by `Arc`, and stays in
//!    the cell until somebody takes it, which nobody can before [`IdleSet::push`] has set the bit.
//!    After that nothing of either is touched: setting the bit is the last thing that `push` does.
//!    (Its reference to the set may dangle from there to its end, unused, as that to the count may
//!    in the last decrement of an `Arc`.)
//!    When it does not set the bit, the slot is still the caller's, and the entry still in it.
//! 4. *Entries never die in their cell while the pool lives*: each holds the pool alive, so the
//!    slots are freed only when all cells are empty.
//!
//! The model checkers run this code: loom on a cell of its own that finds conflicting accesses,
//! shuttle as it is; and the tests compare it with a cell under a mutex.

use std::ops::Deref;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;

use crate::slot::cell::Cell;
use crate::slot::idle::{IdleSet, Spot};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use crate::{AbortHandle, CloseReason, Stage};

mod cell;
pub(crate) mod idle;

/// The number of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(u32);

/// The right to a slot that is neither idle nor in somebody's hands.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot that nobody owns is lost"]
pub(crate) struct OwnedSlot(SlotId);

/// The slots of a pool that were never used.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    next: u32,
}

/// What a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Vacant,
    Connecting,
    Idle,
    Leased,
    Checking,
    Resetting,
    Closing,
}

/// A connection with what the pool knows about it; owns its slot.
#[derive(Debug)]
pub(crate) struct Entry<C, H> {
    pub(crate) connection: C,
    /// The way back to the slot and the pool; kept by the entry, so that lending it touches no
    /// count that other leases touch.
    pub(crate) home: Fixed<H>,
    slot: OwnedSlot,
    pub(crate) generation: u64,
    /// When it was opened; all times in nanoseconds count from the pool's epoch.
    pub(crate) created_ns: u64,
    pub(crate) uses: u64,
    /// When the lease began, on the leases whose length is measured; [`UNMEASURED`] on others.
    pub(crate) lent_ns: u64,
    /// Has to be reset before it is lent.
    pub(crate) dirty: bool,
    /// What is being done to it, other than lending it.
    pub(crate) working: Option<Stage>,
    /// The work shows in the books.
    pub(crate) counted: bool,
    /// Why it is not to be lent again.
    pub(crate) mark: Option<CloseReason>,
    /// The user is in the middle of an exchange.
    pub(crate) in_operation: bool,
}

/// A value that is read and never changed.
#[derive(Debug)]
pub(crate) struct Fixed<T>(T);

/// Where an entry belongs. Must tell the truth: see the module's safety section.
pub(crate) trait Belonging: Sized {
    type Connection;
    type Pool;

    fn pool(&self) -> &Arc<Self::Pool>;
    fn slot(&self) -> &Arc<Slot<Self::Connection, Self>>;
    fn spot(&self) -> Spot;
    fn idle(pool: &Self::Pool) -> &IdleSet;
}

/// One unit of capacity.
pub(crate) struct Slot<C, H> {
    cell: Cell<Box<Entry<C, H>>>,
    phase: AtomicU8,
    /// The identity of the connection, of the last one if it is vacant.
    pub(crate) occupant: AtomicU64,
    /// Leases given without waiting, over all occupants.
    pub(crate) direct: AtomicU64,
    /// Coarse time of the last return.
    pub(crate) used_ns: AtomicU64,
    /// Coarse time of the last proof that the server answers.
    pub(crate) checked_ns: AtomicU64,
    /// The coarse time after which the connection is not lent again.
    pub(crate) retire_ns: AtomicU64,
    aside: Mutex<Option<Box<Aside>>>,
}

/// What is not kept of every connection, or not for long.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Who holds the connection; kept only while leaks are reported.
    pub(crate) holder: Option<Holder>,
    /// Cuts the connection from outside, if its driver can.
    pub(crate) abort: Option<AbortHandle>,
    /// The task that connects this slot, which ends when the pool closes.
    pub(crate) connector: Option<Waker>,
}

/// Who holds a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) site: &'static Location<'static>,
    pub(crate) task: Option<u64>,
    pub(crate) connection: u64,
    pub(crate) since: Instant,
    pub(crate) reported: bool,
}

impl<C, H> Slot<C, H> {
    fn new() -> Self {
        Self {
            cell: Cell::new(),
            phase: AtomicU8::new(Phase::Vacant as u8),
            occupant: AtomicU64::new(0),
            direct: AtomicU64::new(0),
            used_ns: AtomicU64::new(0),
            checked_ns: AtomicU64::new(0),
            retire_ns: AtomicU64::new(u64::MAX),
            aside: Mutex::new(None),
        }
    }

    /// Takes the entry that lies in the slot, and with it the ownership.
    #[expect(unsafe_code, reason = "see the module's safety section")]
    #[inline]
    pub(crate) fn take(&self, slot: OwnedSlot) -> Box<Entry<C, H>> {
        // SAFETY: fact 1: the slot's owner is used up here.
        let entry = unsafe { self.cell.take() };
        let entry = entry.expect("a slot that was idle holds an entry");
        debug_assert_eq!(entry.slot, slot, "a slot holds its own entry");
        entry
    }

    /// Changes what is kept aside. No user code may run in `change`.
    pub(crate) fn set_aside<T>(&self, change: impl FnOnce(&mut Aside) -> T) -> T {
        change(self.aside.lock().get_or_insert_default())
    }

    /// Reads or changes what is kept aside, if there is anything. No user code may run in `look`.
    pub(crate) fn aside<T>(&self, look: impl FnOnce(&mut Aside) -> Option<T>) -> Option<T> {
        self.aside.lock().as_deref_mut().and_then(look)
    }

    /// Takes all that is kept aside; to be dropped under no lock.
    pub(crate) fn clear_aside(&self) -> Option<Box<Aside>> {
        self.aside.lock().take()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        const ALL: [Phase; 7] = [
            Phase::Vacant,
            Phase::Connecting,
            Phase::Idle,
            Phase::Leased,
            Phase::Checking,
            Phase::Resetting,
            Phase::Closing,
        ];
        ALL[self.phase.load(Relaxed) as usize]
    }
}

impl<C, H: Belonging<Connection = C>> Slot<C, H> {
    /// The slot was not made idle after all: it is still the caller's, and its entry lies in it.
    #[expect(unsafe_code, reason = "see the module's safety section")]
    #[cold]
    fn keep(&self) -> (Arc<H::Pool>, OwnedSlot) {
        self.set_phase(Phase::Leased);
        // SAFETY: fact 1: the bit was not set, so nobody else may use the cell.
        let entry = unsafe { self.cell.peek() };
        let entry = entry.expect("the entry was just put here");
        (entry.home.pool().clone(), OwnedSlot(entry.slot.0))
    }
}

impl<C, H: Belonging<Connection = C>> Entry<C, H> {
    /// A connection that was just opened, in the slot that was kept for it.
    pub(crate) fn new(
        slot: OwnedSlot,
        home: H,
        connection: C,
        generation: u64,
        created_ns: u64,
    ) -> Box<Self> {
        Box::new(Self {
            connection,
            home: Fixed(home),
            slot,
            generation,
            created_ns,
            uses: 0,
            lent_ns: UNMEASURED,
            dirty: false,
            working: None,
            counted: false,
            mark: None,
            in_operation: false,
        })
    }

    /// The identity of the connection.
    pub(crate) fn id(&self) -> u64 {
        self.home.slot().occupant.load(Relaxed)
    }

    /// Takes the connection out; the slot is vacant.
    pub(crate) fn end(self) -> (C, OwnedSlot) {
        (self.connection, self.slot)
    }
}

impl<T> Deref for Fixed<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl OwnedSlot {
    #[inline]
    pub(crate) fn id(&self) -> SlotId {
        self.0
    }

    /// Some slot, for tests of what never looks into it.
    #[cfg(all(test, not(any(loom, feature = "shuttle"))))]
    pub(crate) fn any() -> Self {
        Self(SlotId(7))
    }
}

impl Unused {
    pub(crate) fn give_out(&mut self) -> OwnedSlot {
        self.next += 1;
        OwnedSlot(SlotId(self.next - 1))
    }

    pub(crate) fn given_out(&self) -> usize {
        self.next as usize
    }
}

/// Puts an entry into its slot and makes it idle; gives the slot back with the entry in it when
/// others wait or the pool is closed.
#[expect(unsafe_code, reason = "see the module's safety section")]
#[inline(always)]
pub(crate) fn give<H: Belonging>(
    entry: Box<Entry<H::Connection, H>>,
) -> Result<(), (Arc<H::Pool>, OwnedSlot)> {
    let pool = Arc::as_ptr(entry.home.pool());
    let slot = Arc::as_ptr(entry.home.slot());
    let spot = entry.home.spot();
    // SAFETY: fact 3: both are held by the entry, which stays in the cell until the bit is set.
    let (pool, slot) = unsafe { (&*pool, &*slot) };
    slot.set_phase(Phase::Idle);
    // SAFETY: fact 1: the slot's owner, the entry, is used up here.
    unsafe { slot.cell.put(entry) };
    match H::idle(pool).push(spot) {
        // Neither `pool` nor `slot` may be touched from here on.
        Ok(()) => Ok(()),
        Err(_) => Err(slot.keep()),
    }
}

/// The slots of a pool: chunks of doubling size that never move, so that it grows while others
/// read it without a lock.
pub(crate) struct SlotTable<C, H> {
    first: Box<[Arc<Slot<C, H>>]>,
    more: [Chunk<C, H>; CHUNKS],
}

impl<C, H> SlotTable<C, H> {
    pub(crate) fn new() -> Self {
        Self {
            first: (0..FIRST).map(|_| Arc::new(Slot::new())).collect(),
            more: [const { OnceLock::new() }; CHUNKS],
        }
    }

    /// Makes sure that the slot exists.
    pub(crate) fn grow(&self, id: SlotId) {
        if let Some((chunk, _)) = place(id) {
            self.more[chunk]
                .get_or_init(|| (0..FIRST << chunk).map(|_| Arc::new(Slot::new())).collect());
        }
    }

    /// The slot, which must have been grown to.
    #[inline]
    pub(crate) fn slot(&self, id: SlotId) -> &Arc<Slot<C, H>> {
        match self.first.get(id.0 as usize) {
            Some(slot) => slot,
            None => self.later(id),
        }
    }

    fn later(&self, id: SlotId) -> &Arc<Slot<C, H>> {
        let (chunk, index) = place(id).expect("the first slots are looked up before");
        &self.more[chunk]
            .get()
            .expect("a slot is grown to before its number is given out")[index]
    }

    /// Every slot there is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, &Arc<Slot<C, H>>)> {
        let more = self.more.iter().map_while(OnceLock::get).flatten();
        self.first
            .iter()
            .chain(more)
            .zip(0..)
            .map(|(s, i)| (SlotId(i), s))
    }
}

type Chunk<C, H> = OnceLock<Box<[Arc<Slot<C, H>>]>>;

/// Which of the further chunks, and where in it; chunk `k` begins at slot `FIRST * 2^k`.
fn place(SlotId(id): SlotId) -> Option<(usize, usize)> {
    let chunk = (id as usize / FIRST).checked_ilog2()? as usize;
    Some((chunk, id as usize - (FIRST << chunk)))
}

/// No lease lasts that long.
pub(crate) const UNMEASURED: u64 = u64::MAX;

const FIRST: usize = 32;
const CHUNKS: usize = 16;

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// As little of a pool as a slot needs.
    struct Yard {
        slots: SlotTable<u64, Gate>,
        idle: IdleSet,
    }

    #[derive(Clone)]
    struct Gate(Arc<Yard>, Arc<Slot<u64, Self>>, Spot);

    impl Belonging for Gate {
        type Connection = u64;
        type Pool = Yard;

        fn pool(&self) -> &Arc<Yard> {
            &self.0
        }

        fn slot(&self) -> &Arc<Slot<u64, Self>> {
            &self.1
        }

        fn spot(&self) -> Spot {
            self.2
        }

        fn idle(yard: &Yard) -> &IdleSet {
            &yard.idle
        }
    }

    #[derive(Debug, Clone)]
    enum Op {
        Open,
        Give(usize),
        Take,
        Wait(bool),
        Close(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            1 => Just(Op::Open),
            4 => any::<usize>().prop_map(Op::Give),
            4 => Just(Op::Take),
            1 => any::<bool>().prop_map(Op::Wait),
            1 => any::<usize>().prop_map(Op::Close),
        ]
    }

    proptest! {
        /// The safe version: cells that each lock and check whom they serve.
        #[test]
        fn slots_agree_with_cells_under_a_mutex(
            ops in proptest::collection::vec(op(), 1..300),
        ) {
            let yard = Arc::new(Yard { slots: SlotTable::new(), idle: IdleSet::new(200, 4) });
            let mut cells = BTreeMap::<SlotId, std::sync::Mutex<Option<u64>>>::new();
            let (mut unused, mut vacant) = (Unused::default(), Vec::new());
            let (mut held, mut waiting) = (Vec::<Box<Entry<u64, Gate>>>::new(), false);
            for (number, op) in (0..).zip(ops) {
                match op {
                    Op::Open if unused.given_out() < 200 => {
                        let slot = vacant.pop().unwrap_or_else(|| unused.give_out());
                        let id = slot.id();
                        yard.slots.grow(id);
                        let cell = yard.slots.slot(id).clone();
                        let gate = Gate(yard.clone(), cell, yard.idle.spot(id));
                        cells.insert(id, std::sync::Mutex::new(None));
                        held.push(Entry::new(slot, gate, number, 0, 0));
                    }
                    Op::Give(n) if !held.is_empty() => {
                        let entry = held.swap_remove(n % held.len());
                        let (id, value) = (entry.slot.id(), entry.connection);
                        let before = cells[&id].lock().unwrap().replace(value);
                        prop_assert_eq!(before, None, "two in one slot");
                        let given = give(entry);
                        prop_assert_eq!(given.is_err(), waiting);
                        if let Err((yard, slot)) = given {
                            prop_assert_eq!(cells[&id].lock().unwrap().take(), Some(value));
                            held.push(yard.slots.slot(slot.id()).take(slot));
                        }
                    }
                    Op::Take => {
                        if let Some(slot) = yard.idle.pop() {
                            let id = slot.id();
                            let entry = yard.slots.slot(id).take(slot);
                            let value = cells[&id].lock().unwrap().take();
                            prop_assert_eq!(value, Some(entry.connection));
                            held.push(entry);
                        } else {
                            let lies = |cell: &std::sync::Mutex<Option<u64>>| {
                                cell.lock().unwrap().is_some()
                            };
                            prop_assert!(waiting || !cells.values().any(lies), "one was lost");
                        }
                    }
                    Op::Wait(on) => {
                        yard.idle.set_waiting(on);
                        waiting = on;
                    }
                    Op::Close(n) if !held.is_empty() => {
                        vacant.push(held.swap_remove(n % held.len()).end().1);
                    }
                    _ => {}
                }
            }
            yard.idle.set_waiting(false);
            while let Some(slot) = yard.idle.pop() {
                drop(yard.slots.slot(slot.id()).take(slot));
            }
            held.clear();
            prop_assert_eq!(Arc::strong_count(&yard), 1, "an entry lies in a cell for ever");
        }
    }

    #[test]
    fn slots_are_numbered_without_gap_or_overlap() {
        let mut expected = (0, 0);
        let first = u32::try_from(FIRST).unwrap();
        assert!((0..first).all(|id| place(SlotId(id)).is_none()));
        for id in first..100_000 {
            assert_eq!(place(SlotId(id)), Some(expected));
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn the_table_holds_the_largest_pool() {
        let last = u32::try_from(crate::config::MAX_SLOTS).unwrap();
        assert!(place(SlotId(last)).unwrap().0 < CHUNKS);
    }
}
