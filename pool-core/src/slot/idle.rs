//! Which slots are idle: the fast path of the pool.
//!
//! Idle slots are bits in words, 62 to a word, whose other two bits are the flags WAITING and
//! CLOSED. The invariant: a word's flags are read and changed together with its bits. Parking
//! raises WAITING in each word in the very step that finds nothing idle in it, and giving back
//! looks at it in the very step that would add; so a return either is seen by the one who parks or
//! sees it. No wake-up is lost, nobody who arrives later overtakes, and nothing becomes idle after
//! the pool is closed. One word's modification order gives all this, so acquire and release
//! suffice.
//!
//! The words are spread over lanes, each on a cache line of its own. A thread takes from its own
//! lane first, and a slot always returns to the same word, so threads that are not short of
//! connections do not touch each other's lines. Within a lane the lowest bit comes first: the same
//! few connections stay warm and the others can be trimmed.
//!
//! Lock order: the ledger's lock may be held when calling in here; there is no lock in here. What
//! is marked "under the ledger's lock" relies on it.

use std::cell::Cell;
use std::sync::{OnceLock, PoisonError};

use crossbeam_utils::CachePadded;

use crate::slot::{OwnedSlot, SlotId};
use crate::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The idle slots, with the flags that turn the fast path off.
pub(crate) struct IdleSet {
    /// The first word of each lane; the number of lanes is a power of two.
    lanes: Box<[CachePadded<Lane>]>,
    /// The lanes' number is two to this power.
    spread: u32,
    /// The further words, row by row: row `r` of lane `l` is number `(r - 1) * lanes + l`.
    more: [OnceLock<Box<[Word]>>; CHUNKS],
    rows: AtomicUsize,
    /// Some slot is not preferred.
    choosy: AtomicBool,
    /// Whether WAITING is raised; written under the ledger's lock.
    waiting: AtomicBool,
    closed: AtomicBool,
}

struct Lane {
    word: Word,
    /// The row in which something was idle last: where to look first.
    hint: AtomicU32,
}

/// The idle slots among 62, with the flags; and which of them are to be taken first.
struct Word {
    idle: AtomicU64,
    /// The bits of slots that are not preferred. Says nothing about slots that are not idle.
    last: AtomicU64,
}

/// Where a slot's bit is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    row: u32,
    lane: u16,
    /// The bit's number.
    bit: u16,
}

/// The fast path is off; the ledger decides what becomes of the slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flagged;

impl IdleSet {
    /// An empty set for `slots` slots, spread over at most `lanes` lanes.
    pub(crate) fn new(slots: usize, lanes: usize) -> Self {
        let lanes = (slots / LEAST_IN_LANE).clamp(1, lanes.clamp(1, MOST_LANES));
        let spread = lanes.ilog2();
        let set = Self {
            spread,
            lanes: (0..1 << spread)
                .map(|_| {
                    CachePadded::new(Lane {
                        word: Word::new(),
                        hint: AtomicU32::new(0),
                    })
                })
                .collect(),
            more: [const { OnceLock::new() }; CHUNKS],
            rows: AtomicUsize::new(1),
            choosy: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        set.grow(slots);
        set
    }

    /// Makes room for `slots` slots. Under the ledger's lock.
    pub(crate) fn grow(&self, slots: usize) {
        let rows = slots.div_ceil(self.lanes.len() * BITS).max(1);
        let before = self.rows.load(Relaxed);
        for row in before..rows {
            let flags = if self.closed.load(Relaxed) { CLOSED } else { 0 }
                | if self.waiting.load(Relaxed) {
                    WAITING
                } else {
                    0
                };
            for lane in 0..self.lanes.len() {
                let (chunk, _) = place((row - 1) * self.lanes.len() + lane);
                self.more[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| Word::new()).collect());
                self.word(row, lane).idle.fetch_or(flags, AcqRel);
            }
        }
        self.rows.store(rows.max(before), Release);
    }

    /// Takes a warm idle slot, a preferred one if there is, unless others wait.
    #[inline]
    pub(crate) fn pop(&self) -> Option<OwnedSlot> {
        let own = own_lane() & (self.lanes.len() - 1);
        let lane = &self.lanes[own];
        if lane.hint.load(Relaxed) == 0 {
            let preferred = !lane.word.last.load(Relaxed);
            if let Some(bit) = take(&lane.word, FLAGS, preferred) {
                return Some(self.owned(0, own, bit));
            }
        }
        if lane.word.idle.load(Relaxed) & FLAGS != 0 {
            // So it is with every word, or will be at once.
            return None;
        }
        self.search(own)
    }

    /// Looks in every word, beginning with those of the lane `own`.
    #[cold]
    fn search(&self, own: usize) -> Option<OwnedSlot> {
        let preferred = self.pop_preferred(FLAGS);
        if preferred.is_some() {
            return preferred;
        }
        let mask = self.lanes.len() - 1;
        let rows = self.rows.load(Acquire);
        for turn in 0..=mask {
            let lane = (own + turn) & mask;
            let first = self.lanes[lane].hint.load(Relaxed) as usize;
            for turn in 0..rows {
                let row = (first + turn) % rows;
                if let Some(bit) = take(self.word(row, lane), FLAGS, u64::MAX) {
                    self.hint(row, lane);
                    return Some(self.owned(row, lane, bit));
                }
            }
        }
        None
    }

    /// Makes a slot idle, unless others wait or the pool is closed.
    #[inline(always)]
    pub(crate) fn push(&self, Spot { row, lane, bit }: Spot) -> Result<(), Flagged> {
        let bit = 1_u64 << bit;
        let Lane { word, hint } = &*self.lanes[lane as usize];
        if hint.load(Relaxed) != row {
            hint.store(row, Relaxed);
        }
        let word = if row == 0 {
            word
        } else {
            self.further(row as usize, lane as usize)
        };
        let word = &word.idle;
        let mut seen = word.load(Relaxed);
        loop {
            debug_assert!(seen & bit == 0, "a slot becomes idle once");
            if seen & FLAGS != 0 {
                return Err(Flagged);
            }
            match word.compare_exchange_weak(seen, seen | bit, Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes an idle slot if there is one, else raises WAITING. Under the ledger's lock.
    pub(crate) fn pop_or_wait(&self) -> Option<OwnedSlot> {
        let preferred = self.pop_preferred(0);
        if preferred.is_some() {
            return preferred;
        }
        self.waiting.store(true, Relaxed);
        self.words().find_map(|(row, lane)| {
            let word = self.word(row, lane);
            loop {
                if let Some(bit) = take(word, 0, u64::MAX) {
                    return Some(self.owned(row, lane, bit));
                }
                // Only while the word is still without a bit.
                let seen = word.idle.load(Relaxed);
                if seen & !FLAGS == 0
                    && word
                        .idle
                        .compare_exchange(seen, seen | WAITING, AcqRel, Relaxed)
                        .is_ok()
                {
                    return None;
                }
            }
        })
    }

    /// Makes a slot idle although others may wait. Under the ledger's lock.
    pub(crate) fn push_flagged(&self, slot: OwnedSlot) {
        debug_assert!(
            !self.is_closed(),
            "nothing becomes idle after the pool is closed"
        );
        let (row, lane, bit) = self.place(slot.id());
        let before = self.word(row, lane).idle.fetch_or(bit, Release);
        debug_assert!(before & bit == 0, "a slot becomes idle once");
    }

    /// Takes an idle slot although others wait. Under the ledger's lock.
    pub(crate) fn pop_flagged(&self) -> Option<OwnedSlot> {
        self.pop_preferred(0).or_else(|| {
            self.words().find_map(|(row, lane)| {
                let bit = take(self.word(row, lane), 0, u64::MAX)?;
                Some(self.owned(row, lane, bit))
            })
        })
    }

    /// Takes a preferred idle slot from wherever it is, if not all are.
    fn pop_preferred(&self, unless: u64) -> Option<OwnedSlot> {
        if !self.choosy.load(Relaxed) {
            return None;
        }
        self.words().find_map(|(row, lane)| {
            let word = self.word(row, lane);
            let bit = take(word, unless, !word.last.load(Relaxed))?;
            Some(self.owned(row, lane, bit))
        })
    }

    /// Turns the fast path off or on. Under the ledger's lock.
    #[inline]
    pub(crate) fn set_waiting(&self, waiting: bool) {
        if self.waiting.load(Relaxed) != waiting {
            self.change_waiting(waiting);
        }
    }

    #[cold]
    fn change_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Relaxed);
        for (row, lane) in self.words() {
            let word = self.word(row, lane);
            if waiting {
                word.idle.fetch_or(WAITING, AcqRel);
            } else {
                word.idle.fetch_and(!WAITING, AcqRel);
            }
        }
    }

    /// Turns the fast path off for good. Under the ledger's lock.
    pub(crate) fn close(&self) {
        self.closed.store(true, Release);
        for (row, lane) in self.words() {
            self.word(row, lane).idle.fetch_or(CLOSED, AcqRel);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Takes this slot out if it is idle.
    pub(crate) fn claim(&self, slot: SlotId) -> Option<OwnedSlot> {
        let (row, lane, bit) = self.place(slot);
        let before = self.word(row, lane).idle.fetch_and(!bit, AcqRel);
        (before & bit != 0).then_some(OwnedSlot(slot))
    }

    /// Says whether a slot is to be taken before those that are not preferred.
    pub(crate) fn prefer(&self, slot: SlotId, preferred: bool) {
        let (row, lane, bit) = self.place(slot);
        let last = &self.word(row, lane).last;
        if preferred {
            if last.load(Relaxed) & bit != 0 {
                last.fetch_and(!bit, Relaxed);
            }
        } else {
            last.fetch_or(bit, Relaxed);
            self.choosy.store(true, Relaxed);
        }
    }

    /// The idle slots at the time, coldest first.
    pub(crate) fn snapshot(&self) -> Vec<SlotId> {
        let mut slots = Vec::new();
        for (row, lane) in self.words() {
            let mut bits = self.word(row, lane).idle.load(Relaxed) & !FLAGS;
            while bits != 0 {
                slots.push(self.slot(row, lane, bits));
                bits &= bits - 1;
            }
        }
        slots.sort_unstable_by(|a, b| b.cmp(a));
        slots
    }

    pub(crate) fn len(&self) -> usize {
        let words = self
            .words()
            .map(|(row, lane)| self.word(row, lane).idle.load(Relaxed) & !FLAGS);
        words.map(|bits| bits.count_ones() as usize).sum()
    }

    fn words(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (rows, lanes) = (self.rows.load(Acquire), self.lanes.len());
        (0..rows).flat_map(move |row| (0..lanes).map(move |lane| (row, lane)))
    }

    #[inline]
    fn word(&self, row: usize, lane: usize) -> &Word {
        if row == 0 {
            &self.lanes[lane].word
        } else {
            self.further(row, lane)
        }
    }

    #[cold]
    fn further(&self, row: usize, lane: usize) -> &Word {
        let (chunk, index) = place((row - 1) * self.lanes.len() + lane);
        &self.more[chunk]
            .get()
            .expect("rows are counted once they are there")[index]
    }

    fn hint(&self, row: usize, lane: usize) {
        let hint = &self.lanes[lane].hint;
        if hint.load(Relaxed) as usize != row {
            hint.store(u32::try_from(row).expect("a pool has few rows"), Relaxed);
        }
    }

    /// Where the bit of a slot is.
    pub(crate) fn spot(&self, slot: SlotId) -> Spot {
        let (row, lane, bit) = self.place(slot);
        let few = "a pool has few rows and lanes";
        Spot {
            row: u32::try_from(row).expect(few),
            lane: u16::try_from(lane).expect(few),
            bit: u16::try_from(bit.trailing_zeros()).expect("a word has 64 bits"),
        }
    }

    /// Row, lane and bit of a slot.
    fn place(&self, SlotId(id): SlotId) -> (usize, usize, u64) {
        let id = id as usize;
        let (lane, within) = (id & (self.lanes.len() - 1), id >> self.spread);
        (within / BITS, lane, 1 << (within % BITS))
    }

    /// The right to the slot whose bit has just been cleared.
    #[inline]
    fn owned(&self, row: usize, lane: usize, bit: u64) -> OwnedSlot {
        OwnedSlot(self.slot(row, lane, bit))
    }

    #[inline]
    fn slot(&self, row: usize, lane: usize, bit: u64) -> SlotId {
        let within = row * BITS + bit.trailing_zeros() as usize;
        // It fits: it was a slot's number when the bit was set.
        SlotId(((within << self.spread) | lane) as u32)
    }
}

impl std::fmt::Debug for IdleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdleSet")
            .field("slots", &self.snapshot())
            .field("waiting", &self.waiting.load(Relaxed))
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Word {
    fn new() -> Self {
        Self {
            idle: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }
}

/// Clears the lowest bit among `among` of a word in which none of the flags `unless` is up.
#[inline]
fn take(Word { idle: word, .. }: &Word, unless: u64, among: u64) -> Option<u64> {
    let mut seen = word.load(Relaxed);
    loop {
        let bits = seen & among & !FLAGS;
        if bits == 0 || seen & unless != 0 {
            return None;
        }
        let bit = bits & bits.wrapping_neg();
        match word.compare_exchange_weak(seen, seen & !bit, Acquire, Relaxed) {
            Ok(_) => return Some(bit),
            Err(now) => seen = now,
        }
    }
}

/// Chunk and index of one of the further words; chunk `k` begins at word `FIRST * (2^k - 1)`.
fn place(word: usize) -> (usize, usize) {
    let shifted = word + FIRST;
    let chunk = (shifted.ilog2() - FIRST.ilog2()) as usize;
    (chunk, shifted - (FIRST << chunk))
}

/// A number for the calling thread, counted up from 0.
#[inline]
fn own_lane() -> usize {
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| match own.get() {
        usize::MAX => number(own),
        known => known,
    })
}

#[cold]
fn number(own: &Cell<usize>) -> usize {
    static NEXT: std::sync::Mutex<usize> = std::sync::Mutex::new(0);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    own.set(*next);
    *next += 1;
    own.get()
}

const WAITING: u64 = 1 << 62;
const CLOSED: u64 = 1 << 63;
const FLAGS: u64 = WAITING | CLOSED;
const BITS: usize = 62;
const MOST_LANES: usize = 8;
/// Below this many slots a lane would often be empty and others be robbed.
const LEAST_IN_LANE: usize = 4;
const FIRST: usize = 8;
const CHUNKS: usize = 16;

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same set under one mutex.
    #[derive(Default)]
    struct Model {
        idle: std::collections::BTreeSet<SlotId>,
        last: std::collections::BTreeSet<SlotId>,
        waiting: bool,
        closed: bool,
    }

    #[derive(Debug, Clone)]
    enum Op {
        Pop,
        Push,
        PopOrWait,
        PushFlagged,
        PopFlagged,
        SetWaiting(bool),
        Claim(u32),
        Prefer(u32, bool),
        Grow(usize),
        Close,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => Just(Op::Pop),
            8 => Just(Op::Push),
            2 => Just(Op::PopOrWait),
            2 => Just(Op::PushFlagged),
            2 => Just(Op::PopFlagged),
            2 => any::<bool>().prop_map(Op::SetWaiting),
            2 => (0..300u32).prop_map(Op::Claim),
            2 => (0..300u32, any::<bool>()).prop_map(|(slot, yes)| Op::Prefer(slot, yes)),
            1 => (1..2000usize).prop_map(Op::Grow),
            1 => Just(Op::Close),
        ]
    }

    impl Model {
        /// Does what moves no slot, to both.
        fn change(&mut self, set: &IdleSet, op: Op, room: usize) {
            match op {
                Op::SetWaiting(waiting) => {
                    set.set_waiting(waiting);
                    self.waiting = waiting;
                }
                Op::Prefer(slot, preferred) => {
                    let slot = SlotId(slot % u32::try_from(room).expect("few slots"));
                    set.prefer(slot, preferred);
                    self.last.remove(&slot);
                    self.last.extend((!preferred).then_some(slot));
                }
                Op::Close => {
                    set.close();
                    self.closed = true;
                }
                _ => unreachable!("it moves a slot"),
            }
        }
    }

    fn same(set: &IdleSet, model: &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(set.len(), model.idle.len());
        prop_assert!(
            set.snapshot()
                .into_iter()
                .eq(model.idle.iter().rev().copied())
        );
        prop_assert_eq!(set.is_closed(), model.closed);
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_under_a_mutex(
            slots in 1..300usize,
            lanes in 1..9usize,
            ops in proptest::collection::vec(op(), 1..400),
        ) {
            let (set, mut model) = (IdleSet::new(slots, lanes), Model::default());
            let slot = |id: usize| OwnedSlot(SlotId(u32::try_from(id).unwrap()));
            let mut owned: Vec<_> = (0..slots).map(slot).collect();
            let mut room = slots;
            for op in ops {
                let popped = match op {
                    Op::Pop => Some((set.pop(), model.waiting || model.closed)),
                    Op::PopFlagged => Some((set.pop_flagged(), false)),
                    Op::PopOrWait => {
                        let slot = set.pop_or_wait();
                        model.waiting |= slot.is_none();
                        // Found half way, the flags are put right by whoever called.
                        set.set_waiting(true);
                        set.set_waiting(model.waiting);
                        Some((slot, false))
                    }
                    Op::Push | Op::PushFlagged if owned.is_empty() => None,
                    Op::Push => {
                        let slot = owned.pop().unwrap();
                        let refused = model.waiting || model.closed;
                        prop_assert_eq!(set.push(set.spot(slot.id())).is_err(), refused);
                        if refused { owned.push(slot) } else { model.idle.insert(slot.id()); }
                        None
                    }
                    Op::PushFlagged if model.closed => None,
                    Op::PushFlagged => {
                        let slot = owned.pop().unwrap();
                        model.idle.insert(slot.id());
                        set.push_flagged(slot);
                        None
                    }
                    Op::Claim(slot) => {
                        let slot = SlotId(slot % u32::try_from(room).unwrap());
                        let before = owned.len();
                        owned.extend(set.claim(slot));
                        prop_assert_eq!(owned.len() > before, model.idle.remove(&slot));
                        None
                    }
                    Op::Grow(slots) => {
                        set.grow(slots);
                        owned.extend((room..slots).map(slot));
                        room = room.max(slots);
                        None
                    }
                    op => {
                        model.change(&set, op, room);
                        None
                    }
                };
                if let Some((slot, refused)) = popped {
                    prop_assert_eq!(slot.is_none(), refused || model.idle.is_empty());
                    let better = model.idle.difference(&model.last).next().is_some();
                    let worse = slot.as_ref().is_some_and(|it| model.last.contains(&it.id()));
                    prop_assert!(!(better && worse), "{slot:?} came before a preferred one");
                    let was_idle = slot.as_ref().is_none_or(|it| model.idle.remove(&it.id()));
                    prop_assert!(was_idle, "{slot:?} was not idle");
                    owned.extend(slot);
                }
                same(&set, &model)?;
            }
        }
    }

    #[test]
    fn a_thread_finds_what_lies_in_other_lanes() {
        let set = IdleSet::new(64, 8);
        for id in 0..64 {
            set.push(set.spot(SlotId(id))).unwrap();
        }
        for _ in 0..64 {
            assert!(set.pop().is_some());
        }
        assert_eq!(set.pop(), None);
    }

    fn idle(set: &IdleSet, slots: impl IntoIterator<Item = u32>) {
        for slot in slots {
            set.push(set.spot(SlotId(slot))).expect("nobody waits");
        }
    }

    fn popped(set: &IdleSet) -> Vec<u32> {
        std::iter::from_fn(|| set.pop())
            .map(|it| it.id().0)
            .collect()
    }

    #[test]
    fn a_set_that_grows_far_has_a_place_for_every_slot() {
        for lanes in [1, 2, 8] {
            let set = IdleSet::new(10, lanes);
            for slots in [63, 600, 4_000] {
                set.grow(slots);
                let all = 0..u32::try_from(slots).unwrap();
                idle(&set, all.clone());
                assert_eq!(set.len(), slots);
                let mut taken = popped(&set);
                taken.sort_unstable();
                assert!(taken.into_iter().eq(all), "{slots} slots, {lanes} lanes");
            }
        }
    }

    #[test]
    fn what_grows_while_others_wait_is_as_shut_as_the_rest() {
        let set = IdleSet::new(10, 1);
        set.set_waiting(true);
        set.grow(1000);
        assert_eq!(set.push(set.spot(SlotId(999))), Err(Flagged));
        set.set_waiting(false);
        idle(&set, [999]);
        set.close();
        set.grow(2000);
        assert_eq!(set.push(set.spot(SlotId(1999))), Err(Flagged));
        set.set_waiting(true);
        set.grow(3000);
        assert_eq!(set.push(set.spot(SlotId(2999))), Err(Flagged));
        set.set_waiting(false);
        assert_eq!(set.push(set.spot(SlotId(2999))), Err(Flagged));
    }

    #[test]
    fn every_thread_has_a_lane() {
        for lanes in [1, 2, 4] {
            let set = IdleSet::new(64, lanes);
            for _ in 0..40 {
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        idle(&set, 0..64);
                        assert_eq!(popped(&set).len(), 64);
                    });
                });
            }
        }
    }

    #[test]
    fn threads_begin_in_different_lanes() {
        let set = IdleSet::new(800, 8);
        idle(&set, 0..800);
        let lanes: std::collections::HashSet<_> = (0..64)
            .map(|_| std::thread::scope(|scope| scope.spawn(|| set.pop()).join()))
            .map(|slot| slot.unwrap().unwrap().id().0 % 8)
            .collect();
        assert!(lanes.len() > 1, "all in {lanes:?}");
    }

    #[test]
    fn what_is_idle_and_why_it_is_not_lent_shows() {
        let set = IdleSet::new(4, 1);
        idle(&set, [1]);
        set.set_waiting(true);
        let shown = format!("{set:?}");
        assert!(
            shown.contains("[SlotId(1)], waiting: true, closed: false"),
            "{shown}"
        );
    }

    #[test]
    fn the_row_in_which_something_was_idle_last_is_looked_at_first() {
        let set = IdleSet::new(3 * 62, 1);
        // Slots 0, 62 and 124 are the first of their rows.
        idle(&set, [0, 1, 62, 63]);
        assert_eq!(set.pop(), Some(OwnedSlot(SlotId(62))));
        idle(&set, [124]);
        assert_eq!(set.pop(), Some(OwnedSlot(SlotId(124))));
        // Nothing is left in row 2: row 0 is next, and stays it though row 2 has one again.
        assert_eq!(set.pop(), Some(OwnedSlot(SlotId(0))));
        set.push_flagged(OwnedSlot(SlotId(124)));
        assert_eq!(popped(&set), [1, 63, 124]);
    }

    #[test]
    fn what_is_not_preferred_is_taken_last() {
        for (rows, other) in [(1, 5), (3, 70)] {
            let set = IdleSet::new(rows * 62, 1);
            for slot in [0, 2, 3] {
                set.prefer(SlotId(slot), false);
            }
            set.prefer(SlotId(2), true);
            set.prefer(SlotId(2), true);
            idle(&set, [0, 3, other, 2]);
            assert_eq!(popped(&set), [2, other, 0, 3], "{rows} rows");
            idle(&set, [0, 3, other]);
            assert_eq!(set.pop_flagged(), Some(OwnedSlot(SlotId(other))));
            assert_eq!(set.pop_or_wait(), Some(OwnedSlot(SlotId(0))));
            set.prefer(SlotId(0), true);
            idle(&set, [0]);
            assert_eq!(popped(&set), [0, 3], "it is preferred again");
        }
    }
}
