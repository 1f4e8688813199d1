//! What callers read and count on: one line of numbers for each node, and lists of candidates.
//!
//! All accesses are relaxed. Each number stands for itself: what a pick makes of a mixture of old
//! and new ones is a choice somewhat worse, never a wrong one. What must be exact is one word each:
//! the calls in flight and the node that they belong to; the candidates of a lane, of which the
//! first is never empty, not even for a moment, as long as there is a candidate at all.

use std::array::from_fn;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::node::{Access, NODES, NodeId};
use super::plan::{LANES, Lane, Plan};

/// The data plane: what was posted of each node, and what its calls have come to.
#[derive(Debug)]
pub struct Board {
    pub(super) slots: Box<[Slot; NODES]>,
    /// For reads and for writes.
    lanes: [[PostedLane; LANES]; 2],
    near: AtomicU64,
    /// Quantiles of the exponential distribution, for [`pick`](Self::pick).
    pub(super) spread: Box<[f32; 256]>,
}

impl Board {
    pub(super) fn new() -> Self {
        let quantile = |index: usize| -((index as f32 + 0.5) / 256.0).ln();
        Self {
            slots: Box::new(from_fn(|_| Slot::default())),
            lanes: from_fn(|_| from_fn(|_| PostedLane::default())),
            near: AtomicU64::new(0),
            spread: Box::new(from_fn(quantile)),
        }
    }

    /// How many calls a node has in flight; those of a removed node count until they end.
    #[must_use]
    pub fn in_flight(&self, id: NodeId) -> u32 {
        self.slots[id.index()].in_flight()
    }

    /// The nodes of the caller's own zone.
    pub(super) fn near(&self) -> u64 {
        self.near.load(Relaxed)
    }

    pub(super) fn lanes(&self, access: Access) -> impl Iterator<Item = Lane> {
        self.lanes[access as usize].iter().map(|lane| Lane {
            nodes: lane.nodes.load(Relaxed),
            upto: lane.upto.load(Relaxed),
        })
    }

    pub(super) fn post_near(&self, nodes: u64) {
        self.near.store(nodes, Relaxed);
    }

    pub(super) fn post_lanes(&self, access: Access, plan: &Plan) {
        for (posted, lane) in self.lanes[access as usize].iter().zip(plan.lanes()) {
            posted.nodes.store(lane.nodes, Relaxed);
            posted.upto.store(lane.upto, Relaxed);
        }
    }
}

/// One node's numbers, in a line of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Slot {
    /// From the top: successes (24 bits, wrap around), calls in flight (24 bits), generation (16
    /// bits, odd while the slot is a node's). So a start is one addition, and a success another.
    word: AtomicU64,
    price: AtomicU64,
    /// Since the last tick.
    failures: AtomicU32,
    limit: AtomicU32,
    /// From the top: measured calls (20 bits), and the nanoseconds that they took (44 bits).
    measured: AtomicU64,
}

impl Slot {
    pub(super) fn generation(&self) -> u16 {
        self.word.load(Relaxed) as u16
    }

    pub(super) fn in_flight(&self) -> u32 {
        in_flight(self.word.load(Relaxed))
    }

    /// Counts a call in, if the slot is still that node's.
    pub(super) fn try_start(&self, generation: u16) -> bool {
        let found = self.word.fetch_add(IN_FLIGHT, Relaxed) as u16;
        let starts = found == generation && found % 2 == 1;
        if !starts {
            self.word.fetch_sub(IN_FLIGHT, Relaxed);
        }
        starts
    }

    /// Counts a call out.
    pub(super) fn end(&self) {
        self.word.fetch_sub(IN_FLIGHT, Relaxed);
    }

    pub(super) fn end_well(&self) {
        self.word.fetch_add(SUCCESS - IN_FLIGHT, Relaxed);
    }

    pub(super) fn end_badly(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.end();
    }

    /// Nothing is added to what no tick has fetched for too long, so that no field overflows.
    pub(super) fn measure(&self, took: Duration) {
        let before = self.measured.load(Relaxed);
        if before >= MEASURED << 19 || before % MEASURED >= MEASURED / 2 {
            return;
        }
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let took_ns = took_ns.min(LONGEST_NS);
        self.measured.fetch_add(MEASURED + took_ns, Relaxed);
    }

    /// Makes the slot another node's, or, if it is one's, nobody's. Calls in flight are counted
    /// until they end.
    pub(super) fn turn(&self) -> u16 {
        let next = |word: u64| Some(word & !0xffff | u64::from((word as u16).wrapping_add(1)));
        let _ = self.word.fetch_update(Relaxed, Relaxed, next);
        self.generation()
    }

    /// What was counted since the last time, and `successes`, which the caller keeps between two
    /// times.
    pub(super) fn fetch(&self, successes: &mut u32) -> Counts {
        let total = (self.word.load(Relaxed) / SUCCESS) as u32;
        let before = std::mem::replace(successes, total);
        let measured = self.measured.swap(0, Relaxed);
        Counts {
            successes: total.wrapping_sub(before) % (1 << 24),
            failures: self.failures.swap(0, Relaxed),
            measured: (measured / MEASURED) as u32,
            took_ns: measured % MEASURED,
        }
    }

    pub(super) fn post(&self, price: Price, limit: u32) {
        let bits = u64::from(price.slope.to_bits()) << 32 | u64::from(price.jitter.to_bits());
        self.price.store(bits, Relaxed);
        self.limit.store(limit, Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let price = self.price.load(Relaxed);
        Reading {
            slope: f32::from_bits((price >> 32) as u32),
            jitter: f32::from_bits(price as u32),
            failures: self.failures.load(Relaxed),
            in_flight: self.in_flight(),
            limit: self.limit.load(Relaxed),
        }
    }
}

/// What one more call costs at a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Price {
    /// For each call in flight, that call included.
    pub(super) slope: f32,
    /// How much of it chance may change.
    pub(super) jitter: f32,
}

/// All that a pick looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) slope: f32,
    pub(super) jitter: f32,
    pub(super) failures: u32,
    pub(super) in_flight: u32,
    pub(super) limit: u32,
}

/// What the calls of a node have come to between two ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) successes: u32,
    pub(super) failures: u32,
    /// How many successes were measured, and what they took together.
    pub(super) measured: u32,
    pub(super) took_ns: u64,
}

#[derive(Debug, Default)]
struct PostedLane {
    nodes: AtomicU64,
    upto: AtomicU64,
}

const fn in_flight(word: u64) -> u32 {
    (word / IN_FLIGHT % (1 << 24)) as u32
}

/// One call in flight, in [`Slot::word`].
const IN_FLIGHT: u64 = 1 << 16;
/// One success. It is the topmost field, so that its overflow spills nowhere.
const SUCCESS: u64 = 1 << 40;
/// One measured call, in [`Slot::measured`].
const MEASURED: u64 = 1 << 44;
/// What a measured call counts for at most: 68 s.
const LONGEST_NS: u64 = 1 << 36;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> Slot {
        let slot = Slot::default();
        assert_eq!(slot.turn(), 1);
        slot
    }

    #[test]
    fn nothing_starts_at_a_slot_that_is_nobodys() {
        let slot = Slot::default();
        assert!(!slot.try_start(0));
        assert_eq!(slot.in_flight(), 0);
    }

    #[test]
    fn successes_wrap_around_and_leave_the_calls_in_flight_alone() {
        let slot = taken();
        let mut successes = 0;
        assert!(slot.try_start(1));
        slot.word.fetch_add(SUCCESS * ((1 << 24) - 1), Relaxed);
        assert_eq!(slot.fetch(&mut successes).successes, (1 << 24) - 1);
        for _ in 0..3 {
            assert!(slot.try_start(1));
            slot.end_well();
        }
        assert_eq!(slot.fetch(&mut successes).successes, 3);
        assert_eq!((slot.in_flight(), slot.generation()), (1, 1));
    }

    #[test]
    fn a_slot_whose_node_is_gone_counts_no_new_call_and_lets_the_old_ones_end() {
        let slot = taken();
        assert!(slot.try_start(1));
        assert_eq!(slot.turn(), 2);
        assert!(!slot.try_start(1) && !slot.try_start(2));
        assert_eq!(slot.in_flight(), 1);
        slot.end_badly();
        assert_eq!(slot.in_flight(), 0);
        assert_eq!(slot.turn(), 3);
        assert!(slot.try_start(3));
    }

    #[test]
    fn a_generation_wraps_around_and_leaves_the_calls_in_flight_alone() {
        let slot = Slot::default();
        slot.word.store(0xffff | IN_FLIGHT, Relaxed);
        assert_eq!(slot.turn(), 0);
        assert_eq!(slot.in_flight(), 1);
    }

    #[test]
    fn what_no_tick_fetches_stays_within_its_fields() {
        let slot = taken();
        for _ in 0..1000 {
            slot.measure(Duration::MAX);
        }
        let counts = slot.fetch(&mut 0);
        assert_eq!(counts.took_ns / LONGEST_NS, u64::from(counts.measured));
        for _ in 0..(1 << 20) {
            slot.measure(Duration::ZERO);
        }
        let counts = slot.fetch(&mut 0);
        assert_eq!((counts.measured, counts.took_ns), (1 << 19, 0));
    }
}
