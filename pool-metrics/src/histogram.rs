//! Times: a log-linear atomic histogram, its sum, its highest value, and a sliding window.
//!
//! Recording is wait-free: two relaxed adds. A bucket is at most 3.2 % wide (1/32), from 1 ns to
//! 18 minutes; longer times count as 18 minutes. 9.2 KB each.
//!
//! The window's lock is taken by readers alone, never while recording.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use histogram::{AtomicHistogram, Histogram, SparseHistogram};

use crate::counter::Peak;

/// Upper bounds of the exported buckets, in seconds; a last one without bound follows.
///
/// The alert on slow acquires compares with 0.1, which therefore is a bound.
pub const BOUNDS: [f64; 16] = [
    1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A histogram of times, written by many and read now and then.
///
/// ```
/// use std::time::{Duration, Instant};
/// use pool_metrics::TimeHistogram;
///
/// let start = Instant::now();
/// let waits = TimeHistogram::new(start);
/// for millis in 1..=100 {
///     waits.record(Duration::from_millis(millis));
/// }
/// let times = waits.snapshot(start + Duration::from_secs(1));
/// assert_eq!(times.count(), 100);
/// let p50 = times.recent.p50.expect("there are samples");
/// assert!((49..=52).contains(&p50.as_millis()));
/// ```
pub struct TimeHistogram {
    buckets: AtomicHistogram,
    sum_ns: AtomicU64,
    highest_ns: Peak,
    window: Mutex<Window>,
}

impl TimeHistogram {
    /// An empty histogram.
    pub fn new(now: Instant) -> Self {
        Self {
            buckets: AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER).expect("both are valid"),
            sum_ns: AtomicU64::new(0),
            highest_ns: Peak::default(),
            window: Mutex::new(Window::new(now)),
        }
    }

    /// Records one time.
    #[inline]
    pub fn record(&self, time: Duration) {
        self.record_weighted(time, 1);
    }

    /// Records a sample that stands for `weight` times: 64 when one in 64 is measured.
    ///
    /// The weight is constant for a source, so that every bucket only ever grows.
    #[inline]
    pub fn record_weighted(&self, time: Duration, weight: u32) {
        let time_ns = u64::try_from(time.as_nanos()).map_or(MAX_NS, |ns| ns.min(MAX_NS));
        let weight = u64::from(weight);
        self.buckets
            .add(time_ns, weight)
            .expect("times are cut to the range");
        self.sum_ns
            .fetch_add(time_ns.saturating_mul(weight), Relaxed);
        self.highest_ns.observe(time_ns);
    }

    /// The times so far, and the quantiles of the last minute.
    pub fn snapshot(&self, now: Instant) -> TimeSnapshot {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        self.buckets
            .load_into(&mut window.scratch)
            .expect("all histograms are alike");
        let recent = window.recent(now);
        TimeSnapshot {
            buckets: fold(window.scratch.as_slice()),
            sum: Duration::from_nanos(self.sum_ns.load(Relaxed)),
            highest: Duration::from_nanos(self.highest_ns.value()),
            recent,
        }
    }

    /// Forgets the window and the highest time; the counts stay, since a counter never falls.
    pub fn reset(&self, now: Instant) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        self.buckets
            .load_into(&mut window.scratch)
            .expect("all histograms are alike");
        let frame = SparseHistogram::from(&window.scratch);
        window.frames.clear();
        window.frames.push_back((now, frame));
        self.highest_ns.reset(0);
    }
}

impl fmt::Debug for TimeHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeHistogram")
            .field("highest_ns", &self.highest_ns)
            .finish_non_exhaustive()
    }
}

/// Times as they stood at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TimeSnapshot {
    /// How many times fell under each of the [`BOUNDS`] and not under the one before; the last
    /// entry holds the times above every bound. A histogram bin that straddles a bound counts
    /// under the higher one: times are never shown shorter than they were.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sum of all times.
    pub sum: Duration,
    /// The longest time since the start or the last reset.
    pub highest: Duration,
    /// The last minute.
    pub recent: Quantiles,
}

impl TimeSnapshot {
    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The mean time, if there is any.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count()))?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// The times recorded after `earlier`. What belongs to a moment (the quantiles, the longest
    /// time) stays.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut times = self.clone();
        for (bucket, earlier) in times.buckets.iter_mut().zip(earlier.buckets) {
            *bucket = bucket.saturating_sub(earlier);
        }
        times.sum = self.sum.saturating_sub(earlier.sum);
        times
    }
}

/// Quantiles of a window, absent where the window holds no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Quantiles {
    /// How many times the window holds.
    pub count: u64,
    /// Half of the times are at most this long.
    pub p50: Option<Duration>,
    /// 95 % are at most this long.
    pub p95: Option<Duration>,
    /// 99 % are at most this long.
    pub p99: Option<Duration>,
}

impl Quantiles {
    /// The quantiles under their label values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        [("50", self.p50), ("95", self.p95), ("99", self.p99)]
            .into_iter()
            .filter_map(|(label, time)| Some((label, time?)))
    }
}

/// Past states of the buckets, one every ten seconds, so that the last minute is a difference.
struct Window {
    /// The newest state, filled by each snapshot.
    scratch: Histogram,
    /// Past states, oldest first. Sparse: few buckets are ever used.
    frames: VecDeque<(Instant, SparseHistogram)>,
}

impl Window {
    fn new(now: Instant) -> Self {
        let scratch = Histogram::new(GROUPING_POWER, MAX_VALUE_POWER).expect("both are valid");
        let empty = SparseHistogram::from(&scratch);
        Self {
            scratch,
            frames: VecDeque::from([(now, empty)]),
        }
    }

    /// Quantiles of what came after the newest frame that is a window old.
    fn recent(&mut self, now: Instant) -> Quantiles {
        let age = |frame: &(Instant, SparseHistogram)| now.saturating_duration_since(frame.0);
        while self
            .frames
            .get(1)
            .is_some_and(|second| age(second) >= WINDOW)
        {
            self.frames.pop_front();
        }
        let (_, oldest) = &self.frames[0];

        let mut counts = [0; BINS];
        counts.copy_from_slice(self.scratch.as_slice());
        for (&index, &count) in oldest.index().iter().zip(oldest.count()) {
            let bin = &mut counts[index as usize];
            *bin = bin.saturating_sub(count);
        }
        let quantiles = quantiles(&counts);

        if self.frames.back().is_none_or(|newest| age(newest) >= FRAME) {
            self.frames
                .push_back((now, SparseHistogram::from(&self.scratch)));
        }
        debug_assert!(
            self.frames.len() <= 8,
            "frames are dropped as they leave the window"
        );
        quantiles
    }
}

/// The upper end of the bin that holds each quantile.
fn quantiles(counts: &[u64; BINS]) -> Quantiles {
    let count: u64 = counts.iter().sum();
    let mut found = Quantiles {
        count,
        ..Quantiles::default()
    };
    if count == 0 {
        return found;
    }
    let rank = |percent: u64| (u128::from(count) * u128::from(percent)).div_ceil(100) as u64;
    let (p50, p95, p99) = (rank(50), rank(95), rank(99));
    let mut below = 0;
    for (&bin, end_ns) in counts.iter().zip(LAYOUT.ends_ns.iter()) {
        if bin == 0 {
            continue;
        }
        below += bin;
        let end = Duration::from_nanos(*end_ns);
        if below >= p50 {
            found.p50.get_or_insert(end);
        }
        if below >= p95 {
            found.p95.get_or_insert(end);
        }
        if below >= p99 {
            found.p99 = Some(end);
            break;
        }
    }
    found
}

/// Adds up the bins under each bound.
fn fold(bins: &[u64]) -> [u64; BOUNDS.len() + 1] {
    let mut buckets = [0; BOUNDS.len() + 1];
    let mut start = 0;
    for (bucket, &end) in buckets.iter_mut().zip(&LAYOUT.bound_ends) {
        *bucket = bins[start..end].iter().sum();
        start = end;
    }
    buckets
}

/// Where the library's bins end, and which of them lie under which bound.
struct Layout {
    ends_ns: Box<[u64]>,
    bound_ends: [usize; BOUNDS.len() + 1],
}

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let histogram = Histogram::new(GROUPING_POWER, MAX_VALUE_POWER).expect("both are valid");
    let ends_ns: Box<[u64]> = histogram.iter().map(|bin| bin.end()).collect();
    assert_eq!(
        ends_ns.len(),
        BINS,
        "the library's layout is the one that it documents"
    );
    let mut bound_ends = [BINS; BOUNDS.len() + 1];
    for (end, bound) in bound_ends.iter_mut().zip(BOUNDS) {
        let bound_ns = (bound * 1e9).round() as u64;
        *end = ends_ns.partition_point(|&end_ns| end_ns <= bound_ns);
    }
    Layout {
        ends_ns,
        bound_ends,
    }
});

const GROUPING_POWER: u8 = 5;
const MAX_VALUE_POWER: u8 = 40;
const MAX_NS: u64 = (1 << MAX_VALUE_POWER) - 1;
const BINS: usize = (MAX_VALUE_POWER - GROUPING_POWER + 1) as usize * (1 << GROUPING_POWER);
const WINDOW: Duration = Duration::from_secs(60);
const FRAME: Duration = Duration::from_secs(10);
