//! A histogram is off by at most 3.2 %, and never shows a time shorter than it was.

#![expect(
    clippy::disallowed_methods,
    reason = "only differences between dates count"
)]

use std::time::{Duration, Instant};

use pool_metrics::{BOUNDS, TimeHistogram};
use proptest::prelude::*;

/// Times of every size, from nanoseconds to the end of the range.
fn time_ns() -> impl Strategy<Value = u64> {
    (0..40_u32, any::<u64>()).prop_map(|(bits, fill)| fill & ((1 << (bits + 1)) - 1))
}

fn exact(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1] as f64
}

proptest! {
    #[test]
    fn quantiles_are_at_most_3_2_percent_above_the_exact_ones(
        mut times in prop::collection::vec(time_ns(), 1..500),
    ) {
        let start = Instant::now();
        let histogram = TimeHistogram::new(start);
        for &time in &times {
            histogram.record(Duration::from_nanos(time));
        }
        times.sort_unstable();
        let snapshot = histogram.snapshot(start);
        let recent = snapshot.recent;
        for (percent, shown) in [(50, recent.p50), (95, recent.p95), (99, recent.p99)] {
            let (shown, exact) = (shown.unwrap().as_nanos() as f64, exact(&times, percent));
            prop_assert!(shown >= exact && shown <= exact * 1.032, "{shown} for {exact}");
        }
        prop_assert_eq!(snapshot.count(), times.len() as u64);
        prop_assert_eq!(snapshot.sum, Duration::from_nanos(times.iter().sum()));
        prop_assert_eq!(snapshot.highest, Duration::from_nanos(times[times.len() - 1]));
    }

    #[test]
    fn no_time_counts_under_a_bound_that_it_passed_and_none_is_shifted_by_over_3_2_percent(
        times in prop::collection::vec(time_ns(), 1..500),
    ) {
        let start = Instant::now();
        let histogram = TimeHistogram::new(start);
        for &time in &times {
            histogram.record(Duration::from_nanos(time));
        }
        let buckets = histogram.snapshot(start).buckets;
        let mut below = 0;
        for (count, bound) in buckets.iter().zip(BOUNDS) {
            below += count;
            let under = |bound: f64| times.iter().filter(|&&time| time as f64 <= bound * 1e9).count();
            prop_assert!(below <= under(bound) as u64, "bound {bound}");
            prop_assert!(below >= under(bound / 1.032) as u64, "bound {bound}");
        }
    }

    #[test]
    fn a_sample_of_weight_n_counts_as_n_times(time in time_ns(), weight in 1..100_u32) {
        let start = Instant::now();
        let (weighted, repeated) = (TimeHistogram::new(start), TimeHistogram::new(start));
        weighted.record_weighted(Duration::from_nanos(time), weight);
        for _ in 0..weight {
            repeated.record(Duration::from_nanos(time));
        }
        prop_assert_eq!(weighted.snapshot(start), repeated.snapshot(start));
    }
}

#[test]
fn a_time_beyond_the_range_counts_at_its_end() {
    let start = Instant::now();
    let histogram = TimeHistogram::new(start);
    histogram.record(Duration::MAX);
    let times = histogram.snapshot(start);
    assert_eq!(times.count(), 1);
    assert!(times.highest > Duration::from_secs(1000));
}

#[test]
fn the_last_minute_forgets_what_is_older() {
    let start = Instant::now();
    let histogram = TimeHistogram::new(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    histogram.record(Duration::from_secs(1));
    for second in 0..60 {
        assert_eq!(
            histogram.snapshot(at(second)).recent.count,
            1,
            "second {second}"
        );
    }
    histogram.record(Duration::from_millis(1));
    // A frame is ten seconds long, so a time is forgotten between 60 and 70 seconds of age.
    let recent = histogram.snapshot(at(75)).recent;
    assert_eq!(recent.count, 1);
    assert!(recent.p99.unwrap() < Duration::from_millis(2));
    assert_eq!(
        histogram.snapshot(at(300)).count(),
        2,
        "the counter goes on"
    );
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let start = Instant::now() + Duration::from_secs(1000);
    let histogram = TimeHistogram::new(start);
    histogram.record(Duration::from_millis(1));
    assert_eq!(
        histogram
            .snapshot(start - Duration::from_secs(500))
            .recent
            .count,
        1
    );
    assert_eq!(histogram.snapshot(start).recent.count, 1);
}

#[test]
fn a_reset_forgets_the_window_and_the_peak_but_not_the_counts() {
    let start = Instant::now();
    let histogram = TimeHistogram::new(start);
    histogram.record(Duration::from_secs(1));
    histogram.reset(start);
    let times = histogram.snapshot(start);
    assert_eq!(
        (times.count(), times.recent.count, times.highest),
        (1, 0, Duration::ZERO)
    );
}
