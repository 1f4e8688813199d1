//! Slots: one slot is one unit of capacity and holds at most one connection.
//!
//! The invariant: an entry is in its slot's cell only while the slot is idle. Whoever took the
//! slot out of the [`IdleSet`](crate::idle::IdleSet), or was given it by the ledger, owns it alone
//! and holds the entry. The numbers beside the cell have that one writer, so they are plain stores;
//! snapshots read them at any time.

use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::task::AtomicWaker;

use crate::AbortHandle;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// The number of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(pub(crate) u32);

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

/// A connection with what the pool knows about it.
#[derive(Debug)]
pub(crate) struct Entry<C, H> {
    pub(crate) connection: C,
    /// The way back to the slot and the pool; kept by the entry, so that lending it touches no
    /// count that other leases touch.
    pub(crate) home: Arc<H>,
    pub(crate) id: u64,
    pub(crate) generation: u64,
    pub(crate) created: Instant,
    pub(crate) uses: u64,
    /// Has to be reset before it is lent.
    pub(crate) dirty: bool,
    /// When the lease began, on the leases whose length is measured.
    pub(crate) lent: Option<Instant>,
}

/// One unit of capacity.
pub(crate) struct Slot<C, H> {
    cell: Cell<C, H>,
    phase: AtomicU8,
    /// Leases given without waiting, over all occupants.
    pub(crate) direct: AtomicU64,
    /// Coarse time of the last return; all times here count from the pool's epoch.
    pub(crate) used_ns: AtomicU64,
    /// Coarse time of the last proof that the server answers.
    pub(crate) checked_ns: AtomicU64,
    /// The coarse time after which the connection is not lent again.
    pub(crate) retire_ns: AtomicU64,
    /// Who holds the connection; kept only while leaks are reported.
    pub(crate) holder: Mutex<Option<Holder>>,
    /// Cuts the connection from outside, if its driver can.
    pub(crate) abort: Mutex<Option<AbortHandle>>,
    /// The task that connects this slot, which ends when the pool closes.
    pub(crate) connector: AtomicWaker,
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
            direct: AtomicU64::new(0),
            used_ns: AtomicU64::new(0),
            checked_ns: AtomicU64::new(0),
            retire_ns: AtomicU64::new(u64::MAX),
            holder: Mutex::new(None),
            abort: Mutex::new(None),
            connector: AtomicWaker::new(),
        }
    }

    /// Leaves the entry in the slot. Only the slot's owner may call it, before the slot is idle.
    pub(crate) fn put(&self, entry: Box<Entry<C, H>>) {
        self.cell.put(entry);
    }

    /// Takes the entry. Only the slot's owner may call it.
    pub(crate) fn take(&self) -> Box<Entry<C, H>> {
        self.cell
            .take()
            .expect("a slot that was idle holds an entry")
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

/// The slots of a pool: chunks of doubling size that never move, so that it grows while others
/// read it without a lock.
pub(crate) struct SlotTable<C, H> {
    chunks: [Chunk<C, H>; CHUNKS],
}

impl<C, H> SlotTable<C, H> {
    pub(crate) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    /// Makes sure that the slot exists.
    pub(crate) fn grow(&self, id: SlotId) {
        let (chunk, _) = place(id);
        self.chunks[chunk]
            .get_or_init(|| (0..FIRST << chunk).map(|_| Arc::new(Slot::new())).collect());
    }

    /// The slot, which must have been grown to.
    pub(crate) fn slot(&self, id: SlotId) -> &Arc<Slot<C, H>> {
        let (chunk, index) = place(id);
        &self.chunks[chunk]
            .get()
            .expect("a slot is grown to before its number is given out")[index]
    }

    /// Every slot there is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, &Arc<Slot<C, H>>)> {
        self.chunks
            .iter()
            .map_while(OnceLock::get)
            .flatten()
            .zip(0..)
            .map(|(s, i)| (SlotId(i), s))
    }
}

type Chunk<C, H> = OnceLock<Box<[Arc<Slot<C, H>>]>>;

/// Chunk `k` begins at slot `FIRST * (2^k - 1)`.
#[inline]
fn place(SlotId(id): SlotId) -> (usize, usize) {
    let shifted = id as usize + FIRST;
    let chunk = (shifted.ilog2() - FIRST.ilog2()) as usize;
    (chunk, shifted - (FIRST << chunk))
}

const FIRST: usize = 32;
const CHUNKS: usize = 16;

/// Holds the entry of an idle slot.
#[cfg(not(any(loom, feature = "shuttle")))]
struct Cell<C, H>(crossbeam_utils::atomic::AtomicCell<Option<Box<Entry<C, H>>>>);

#[cfg(not(any(loom, feature = "shuttle")))]
impl<C, H> Cell<C, H> {
    fn new() -> Self {
        Self(crossbeam_utils::atomic::AtomicCell::new(None))
    }

    fn put(&self, entry: Box<Entry<C, H>>) {
        let previous = self.0.swap(Some(entry));
        debug_assert!(previous.is_none(), "a slot holds one entry");
    }

    fn take(&self) -> Option<Box<Entry<C, H>>> {
        self.0.take()
    }
}

/// Holds the entry of an idle slot, in a form that the model checkers see.
#[cfg(any(loom, feature = "shuttle"))]
struct Cell<C, H>(Mutex<Option<Box<Entry<C, H>>>>);

#[cfg(any(loom, feature = "shuttle"))]
impl<C, H> Cell<C, H> {
    fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn put(&self, entry: Box<Entry<C, H>>) {
        let previous = self.0.lock().replace(entry);
        debug_assert!(previous.is_none(), "a slot holds one entry");
    }

    fn take(&self) -> Option<Box<Entry<C, H>>> {
        self.0.lock().take()
    }
}

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_numbered_without_gap_or_overlap() {
        let mut expected = (0, 0);
        for id in 0..100_000 {
            assert_eq!(place(SlotId(id)), expected);
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn the_table_holds_the_largest_pool() {
        let last = u32::try_from(crate::config::MAX_SLOTS).unwrap();
        assert!(place(SlotId(last)).0 < CHUNKS);
    }
}
