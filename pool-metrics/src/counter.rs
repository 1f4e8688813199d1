//! Counters that cost the one who counts as little as its situation allows.
//!
//! | counter | writer | cost |
//! |---|---|---|
//! | [`Tally`] | one at a time, as a lent connection has | a load and a store |
//! | [`Striped`] | many threads, often | one uncontended add |
//! | [`CounterSet`] | anyone, on slow events | one add |
//!
//! All accesses are relaxed: each number is exact by itself, and a reader orders nothing by it. A
//! snapshot reads them one after another, so it may catch one event in one counter and not yet in
//! another; at quiescence everything balances.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

use crossbeam_utils::CachePadded;

use crate::{Counts, LabelValue};

/// A counter that has one writer at a time and any number of readers.
///
/// It belongs into something that is owned exclusively while it is counted, such as the slot of a
/// lent connection. Two writers at once lose counts, and nothing worse.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds one and returns the new count, by which the owner may decide which events to time.
    ///
    /// ```
    /// let uses = pool_metrics::Tally::default();
    /// let timed = (0..128).filter(|_| uses.increment() % 64 == 0).count();
    /// assert_eq!((uses.value(), timed), (128, 2));
    /// ```
    #[inline]
    pub fn increment(&self) -> u64 {
        let count = self.0.load(Relaxed).wrapping_add(1);
        self.0.store(count, Relaxed);
        count
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A counter for events that many threads count often.
///
/// Threads keep to a cache line of their own, so counting does not slow down when they are many.
pub struct Striped {
    stripes: Box<[CachePadded<AtomicU64>]>,
}

impl Striped {
    /// A counter at 0, with a stripe per core, at most 8.
    pub fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let stripes = cores.next_power_of_two().min(8);
        Self {
            stripes: (0..stripes).map(|_| CachePadded::default()).collect(),
        }
    }

    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        let stripe = THREAD.try_with(Cell::get).unwrap_or(0) & (self.stripes.len() - 1);
        self.stripes[stripe].fetch_add(count, Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.load(Relaxed)).sum()
    }
}

impl Default for Striped {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Striped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Striped").field(&self.value()).finish()
    }
}

/// A counter for each value of a label, for events that are slow anyway.
pub struct CounterSet<K> {
    values: [AtomicU64; crate::label::CAPACITY],
    kind: PhantomData<fn(K)>,
}

impl<K: LabelValue> CounterSet<K> {
    /// Adds one to the count of `kind`.
    pub fn increment(&self, kind: K) {
        self.values[kind.index()].fetch_add(1, Relaxed);
    }

    /// The counts.
    pub fn counts(&self) -> Counts<K> {
        let mut counts = Counts::default();
        self.add_to(&mut counts);
        counts
    }

    /// Adds the counts to what `counts` holds.
    pub fn add_to(&self, counts: &mut Counts<K>) {
        for &kind in K::ALL {
            counts[kind] += self.values[kind.index()].load(Relaxed);
        }
    }
}

impl<K> Default for CounterSet<K> {
    fn default() -> Self {
        Self {
            values: Default::default(),
            kind: PhantomData,
        }
    }
}

impl<K: LabelValue> fmt::Debug for CounterSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

/// The highest value of a gauge.
#[derive(Debug, Default)]
pub struct Peak(AtomicU64);

impl Peak {
    /// Raises the peak to `value` if that is higher.
    #[inline]
    pub fn observe(&self, value: u64) {
        // A plain load first: a peak is seldom passed, and loads share the cache line.
        if value > self.0.load(Relaxed) {
            self.0.fetch_max(value, Relaxed);
        }
    }

    /// The highest value since the start or the last reset.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Starts again from `value`.
    pub fn reset(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Relaxed));
}
