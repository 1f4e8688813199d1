//! How long acquires took: a log-linear histogram of 8 buckets to the octave.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Counts durations; every record is one relaxed addition. Its error is at most one eighth.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Box<[AtomicU64]>,
    /// The bucket of the last record.
    last: AtomicUsize,
}

/// What a [histogram of acquire times](crate::Statistics::acquire) held at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            last: AtomicUsize::new(0),
        }
    }

    /// Counts a duration that stands for so many.
    pub(crate) fn record(&self, duration: Duration, weight: u64) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(ns);
        self.counts[bucket].fetch_add(weight, Relaxed);
        self.last.store(bucket, Relaxed);
    }

    /// The counts, with `instant` more that took no time worth measuring, and `unmeasured` more
    /// that are taken to be as the last one was.
    pub(crate) fn snapshot(&self, instant: u64, unmeasured: u64) -> Latency {
        let mut counts: Vec<_> = self.counts.iter().map(|it| it.load(Relaxed)).collect();
        counts[0] += instant;
        counts[self.last.load(Relaxed)] += unmeasured;
        Latency { counts }
    }
}

impl Latency {
    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration that the share `q` (0 to 1) of them did not exceed, rounded up to the end of
    /// its bucket (at most one eighth too long); zero if there are none.
    pub fn quantile(&self, q: f64) -> Duration {
        let count = self.count();
        if count == 0 {
            return Duration::ZERO;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank is exact to 2^53 samples, and clamped"
        )]
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(if index == 0 { 0 } else { upper_end(index) });
            }
        }
        Duration::ZERO
    }

    /// What was added since `earlier`, a snapshot of the same pool.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts);
        Self {
            counts: counts
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
        }
    }
}

fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return usize::try_from(ns).expect("below 8");
    }
    let octave = u64::from(ns.ilog2()) - STEPS.ilog2() as u64;
    usize::try_from((octave << 3) + (ns >> octave)).expect("below BUCKETS")
}

fn upper_end(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let octave = (index >> 3) - 1;
    let base = (index - (octave << 3)) << octave;
    base.saturating_add((1 << octave) - 1)
}

const STEPS: u64 = 8;
const BUCKETS: usize = 496;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_bucket_that_ends_at_most_an_eighth_above_it() {
        for shift in 0..64 {
            for ns in [
                (1u64 << shift) - 1,
                1 << shift,
                (1 << shift) | (1 << shift >> 1),
                u64::MAX,
            ] {
                let end = upper_end(bucket(ns));
                assert!(
                    end >= ns && end - ns <= ns / 8,
                    "{ns} lies in a bucket that ends at {end}"
                );
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_ranks() {
        let histogram = Histogram::new();
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms), 1);
        }
        let latency = histogram.snapshot(100, 0);
        assert_eq!(latency.count(), 200);
        assert_eq!(latency.quantile(0.5), Duration::ZERO);
        let p99 = latency.quantile(0.99);
        assert!((98..=112).contains(&p99.as_millis()), "{p99:?}");
        assert_eq!(latency.since(&latency).count(), 0);
    }
}
