//! Evidence: the outcomes that rates are computed from.
//!
//! A time window counts outcomes in periods of equal width and forgets whole periods; a count
//! window remembers the last outcomes exactly. Both keep running sums, so that asking is free.
//!
//! Successes that were counted beside the machine come in bulk. A count window folds them in as if
//! they had come one after another before whatever the machine is told next, which is the order in
//! which the stripes let them be counted: none of them could have decided anything.

use std::collections::VecDeque;

use crate::config::Window;

/// How many results of each kind a window holds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Successes.
    pub successes: u64,
    /// Hard failures.
    pub failures: u64,
    /// Overload signals.
    pub overloads: u64,
    /// Those of the above that took at least the slow threshold.
    pub slow: u64,
    /// Hard failures in a row. In a time window: all of them, unless it holds a success.
    pub streak: u64,
}

impl Counts {
    /// Number of results.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.successes
            .saturating_add(self.failures)
            .saturating_add(self.overloads)
    }

    /// Failures and overloads as a share of all results; 0 when there are none.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        share(self.failures + self.overloads, self.total())
    }

    /// Slow calls as a share of all results; 0 when there are none.
    #[must_use]
    pub fn slow_rate(&self) -> f64 {
        share(self.slow, self.total())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits"
)]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Lower end of the Wilson score interval: the rate that `part` of `whole` proves at `z` standard
/// deviations.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits"
)]
pub(crate) fn wilson_lower(part: u64, whole: u64, z: f64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let n = whole as f64;
    let rate = share(part, whole);
    let z2 = z * z;
    let centre = rate + z2 / (2.0 * n);
    let margin = z * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - margin) / (1.0 + z2 / n)).max(0.0)
}

/// One result on its way into the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Success,
    Failure,
    Overload,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    successes: u32,
    failures: u32,
    overloads: u32,
    slow: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Evidence {
    Time(TimeWindow),
    Count(CountWindow),
}

impl Evidence {
    pub(crate) fn new(window: Window) -> Self {
        match window {
            Window::Time { buckets, width } => Self::Time(TimeWindow {
                width_ns: crate::config::nanos(width).max(1),
                period: 0,
                buckets: vec![Bucket::default(); buckets as usize].into(),
                sums: Counts::default(),
                recorded: 0,
            }),
            Window::Count { calls } => Self::Count(CountWindow {
                // Memory follows use: a large ring that is never filled is never allocated.
                ring: VecDeque::new(),
                calls: calls as usize,
                sums: Counts::default(),
                recorded: 0,
            }),
        }
    }

    /// Forgets everything; the period stays, so that time cannot go back.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Time(window) => {
                window.buckets.fill(Bucket::default());
                window.sums = Counts::default();
                window.recorded = 0;
            }
            Self::Count(window) => {
                window.ring.clear();
                window.sums = Counts::default();
                window.recorded = 0;
            }
        }
    }

    /// Takes over what the old window knew, if it means the same in the new shape.
    ///
    /// Returns whether it does: results of the last calls in any count window, periods of the same
    /// width in a time window.
    pub(crate) fn reshape(&mut self, window: Window) -> bool {
        let mut new = Self::new(window);
        let kept = match (&*self, &mut new) {
            (Self::Count(old), Self::Count(new)) => {
                let skip = old.ring.len().saturating_sub(new.calls);
                for &(kind, slow) in old.ring.iter().skip(skip) {
                    new.record(kind, slow);
                }
                new.recorded = old.recorded;
                true
            }
            (Self::Time(old), Self::Time(new)) if old.width_ns == new.width_ns => {
                new.period = old.period;
                for age in 0..old.buckets.len().min(new.buckets.len()) as u64 {
                    let Some(period) = old.period.checked_sub(age) else {
                        break;
                    };
                    let bucket = old.buckets[old.index(period)];
                    let index = new.index(period);
                    new.buckets[index] = bucket;
                    new.add(bucket);
                }
                new.recorded = old.recorded;
                true
            }
            _ => false,
        };
        *self = new;
        kept
    }

    /// Moves the window to the period of `now_ns`; never back.
    pub(crate) fn advance(&mut self, now_ns: u64) {
        if let Self::Time(window) = self {
            window.advance(now_ns / window.width_ns);
        }
    }

    pub(crate) fn record(&mut self, kind: Kind, slow: bool) {
        match self {
            Self::Time(window) => window.record(kind, slow),
            Self::Count(window) => window.record(kind, slow),
        }
    }

    /// Successes that were counted elsewhere during the current period, one after another.
    pub(crate) fn record_successes(&mut self, count: u64) {
        match self {
            Self::Time(window) => {
                let index = window.index(window.period);
                let bucket = &mut window.buckets[index].successes;
                let room = u32::MAX - *bucket;
                let added = u32::try_from(count).unwrap_or(u32::MAX).min(room);
                *bucket += added;
                window.sums.successes += u64::from(added);
                window.recorded = window.recorded.saturating_add(count);
            }
            Self::Count(window) => {
                // More than a full ring leaves nothing else in it.
                let kept = count.min(window.calls as u64);
                (0..kept).for_each(|_| window.record(Kind::Success, false));
                window.recorded = window.recorded.saturating_add(count - kept);
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        match self {
            Self::Time(window) => Counts {
                streak: if window.sums.successes == 0 {
                    window.sums.failures
                } else {
                    0
                },
                ..window.sums
            },
            Self::Count(window) => window.sums,
        }
    }

    /// Overloads and results of the newest `span_ns`, in whole periods; of the whole window when it
    /// counts calls.
    pub(crate) fn recent_overload(&self, span_ns: u64) -> (u64, u64) {
        match self {
            Self::Time(window) => {
                let periods = span_ns.div_ceil(window.width_ns);
                if periods >= window.buckets.len() as u64 {
                    return (window.sums.overloads, window.sums.total());
                }
                let mut found = (0, 0);
                for age in 0..periods.min(window.period.saturating_add(1)) {
                    let bucket = window.buckets[window.index(window.period - age)];
                    let total = [bucket.successes, bucket.failures, bucket.overloads];
                    found.0 += u64::from(bucket.overloads);
                    found.1 += total.into_iter().map(u64::from).sum::<u64>();
                }
                found
            }
            Self::Count(window) => (window.sums.overloads, window.sums.total()),
        }
    }

    /// Results recorded since the window was last cleared.
    pub(crate) const fn recorded(&self) -> u64 {
        match self {
            Self::Time(window) => window.recorded,
            Self::Count(window) => window.recorded,
        }
    }

    /// End of the current period; successes before it cannot change any decision by expiry.
    pub(crate) const fn period_end_ns(&self) -> u64 {
        match self {
            Self::Time(window) => window
                .period
                .saturating_add(1)
                .saturating_mul(window.width_ns),
            Self::Count(_) => u64::MAX,
        }
    }

    /// The results in order, as far as the window keeps one.
    #[cfg(test)]
    pub(crate) fn results(&self) -> Vec<(Kind, bool)> {
        match self {
            Self::Time(_) => Vec::new(),
            Self::Count(window) => window.ring.iter().copied().collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimeWindow {
    width_ns: u64,
    period: u64,
    buckets: Box<[Bucket]>,
    sums: Counts,
    recorded: u64,
}

impl TimeWindow {
    fn advance(&mut self, period: u64) {
        let Some(steps) = period.checked_sub(self.period) else {
            return;
        };
        for step in 1..=steps.min(self.buckets.len() as u64) {
            let index = self.index(self.period + step);
            let old = std::mem::take(&mut self.buckets[index]);
            self.sums.successes -= u64::from(old.successes);
            self.sums.failures -= u64::from(old.failures);
            self.sums.overloads -= u64::from(old.overloads);
            self.sums.slow -= u64::from(old.slow);
        }
        self.period = period;
    }

    fn record(&mut self, kind: Kind, slow: bool) {
        let index = self.index(self.period);
        let bucket = &mut self.buckets[index];
        let (cell, sum) = match kind {
            Kind::Success => (&mut bucket.successes, &mut self.sums.successes),
            Kind::Failure => (&mut bucket.failures, &mut self.sums.failures),
            Kind::Overload => (&mut bucket.overloads, &mut self.sums.overloads),
        };
        if *cell < u32::MAX {
            *cell += 1;
            *sum += 1;
        }
        if slow && bucket.slow < u32::MAX {
            bucket.slow += 1;
            self.sums.slow += 1;
        }
        self.recorded = self.recorded.saturating_add(1);
    }

    fn add(&mut self, bucket: Bucket) {
        self.sums.successes += u64::from(bucket.successes);
        self.sums.failures += u64::from(bucket.failures);
        self.sums.overloads += u64::from(bucket.overloads);
        self.sums.slow += u64::from(bucket.slow);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a remainder by a length fits an index"
    )]
    const fn index(&self, period: u64) -> usize {
        (period % self.buckets.len() as u64) as usize
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CountWindow {
    ring: VecDeque<(Kind, bool)>,
    calls: usize,
    sums: Counts,
    recorded: u64,
}

impl CountWindow {
    fn record(&mut self, kind: Kind, slow: bool) {
        if self.ring.len() == self.calls {
            let (old, was_slow) = self.ring.pop_front().expect("a full ring has a front");
            *self.sum(old) -= 1;
            self.sums.slow -= u64::from(was_slow);
        }
        self.ring.push_back((kind, slow));
        *self.sum(kind) += 1;
        self.sums.slow += u64::from(slow);
        match kind {
            Kind::Success => self.sums.streak = 0,
            Kind::Failure => self.sums.streak = self.sums.streak.saturating_add(1),
            // Neither proof of life nor a hard failure.
            Kind::Overload => {}
        }
        self.recorded = self.recorded.saturating_add(1);
    }

    const fn sum(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Success => &mut self.sums.successes,
            Kind::Failure => &mut self.sums.failures,
            Kind::Overload => &mut self.sums.overloads,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const WIDTH_NS: u64 = 10;

    #[derive(Clone, Debug)]
    enum Op {
        Record(Kind, bool),
        Successes(u64),
        /// Time goes on by so many nanoseconds.
        Pass(u64),
        /// Another clock tells a time so much earlier.
        Earlier(u64),
        Clear,
        Reshape(Window),
    }

    /// Every result since the last clear, with its period.
    #[derive(Default)]
    struct Model {
        period: u64,
        results: Vec<(u64, Kind, bool)>,
        recorded: u64,
    }

    impl Model {
        fn seen(&self, window: Window) -> &[(u64, Kind, bool)] {
            let from = match window {
                Window::Time { buckets, .. } => {
                    let first = (self.period + 1).saturating_sub(u64::from(buckets));
                    self.results.partition_point(|result| result.0 < first)
                }
                Window::Count { calls } => self.results.len().saturating_sub(calls as usize),
            };
            &self.results[from..]
        }

        fn counts(&self, window: Window) -> Counts {
            let seen = self.seen(window);
            let count = |kind| seen.iter().filter(|result| result.1 == kind).count() as u64;
            // A count window looks back over all results, for a row may be longer than it.
            let alive = |result: &&(u64, Kind, bool)| result.1 != Kind::Success;
            let row = self.results.iter().rev().take_while(alive);
            let row = row.filter(|result| result.1 == Kind::Failure).count() as u64;
            Counts {
                successes: count(Kind::Success),
                failures: count(Kind::Failure),
                overloads: count(Kind::Overload),
                slow: seen.iter().filter(|result| result.2).count() as u64,
                streak: match window {
                    Window::Count { .. } => row,
                    Window::Time { .. } if count(Kind::Success) > 0 => 0,
                    Window::Time { .. } => count(Kind::Failure),
                },
            }
        }

        fn recent_overload(&self, window: Window, span_ns: u64) -> (u64, u64) {
            let first = match window {
                Window::Time { .. } => (self.period + 1).saturating_sub(span_ns.div_ceil(WIDTH_NS)),
                Window::Count { .. } => 0,
            };
            let seen = self.seen(window).iter().filter(|result| result.0 >= first);
            let overloads = seen.clone().filter(|result| result.1 == Kind::Overload);
            (overloads.count() as u64, seen.count() as u64)
        }
    }

    fn window() -> impl Strategy<Value = Window> {
        let width = Duration::from_nanos(WIDTH_NS);
        prop_oneof![
            3 => (1..6_u32).prop_map(move |buckets| Window::Time { buckets, width }),
            2 => (1..6_u32).prop_map(|calls| Window::Count { calls }),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        let kind = prop_oneof![
            Just(Kind::Success),
            Just(Kind::Failure),
            Just(Kind::Overload)
        ];
        prop_oneof![
            8 => (kind, any::<bool>()).prop_map(|(kind, slow)| Op::Record(kind, slow)),
            2 => (0..9_u64).prop_map(Op::Successes),
            4 => (0..70_u64).prop_map(Op::Pass),
            1 => (0..70_u64).prop_map(Op::Earlier),
            1 => Just(Op::Clear),
            1 => window().prop_map(Op::Reshape),
        ]
    }

    proptest! {
        #[test]
        fn a_window_counts_what_a_list_of_all_results_does(
            start in window(),
            ops in proptest::collection::vec(op(), 1..60),
        ) {
            let (mut shape, mut now_ns) = (start, 0);
            let (mut evidence, mut model) = (Evidence::new(start), Model::default());
            for op in ops {
                match op {
                    Op::Record(kind, slow) => {
                        evidence.record(kind, slow);
                        model.results.push((model.period, kind, slow));
                        model.recorded += 1;
                    }
                    Op::Successes(count) => {
                        evidence.record_successes(count);
                        let success = (model.period, Kind::Success, false);
                        model.results.extend((0..count).map(|_| success));
                        model.recorded += count;
                    }
                    Op::Pass(by) => now_ns += by,
                    Op::Earlier(by) => evidence.advance(now_ns.saturating_sub(by)),
                    Op::Clear => {
                        evidence.clear();
                        (model.results, model.recorded) = (Vec::new(), 0);
                    }
                    Op::Reshape(new) => {
                        let time = |window| matches!(window, Window::Time { .. });
                        let kept = time(shape) == time(new);
                        prop_assert_eq!(evidence.reshape(new), kept);
                        model.results = model.seen(shape).to_vec();
                        if let Window::Count { .. } = new {
                            model.results = model.seen(new).to_vec();
                        }
                        if !kept {
                            model = Model::default();
                        }
                        shape = new;
                    }
                }
                evidence.advance(now_ns);
                if let Window::Time { .. } = shape {
                    model.period = now_ns / WIDTH_NS;
                    prop_assert_eq!(evidence.period_end_ns(), (model.period + 1) * WIDTH_NS);
                } else {
                    prop_assert_eq!(evidence.period_end_ns(), u64::MAX);
                }
                prop_assert_eq!(evidence.counts(), model.counts(shape));
                prop_assert_eq!(evidence.recorded(), model.recorded);
                for span_ns in [1, 10, 11, 25, 40, 1000] {
                    let recent = model.recent_overload(shape, span_ns);
                    prop_assert_eq!(evidence.recent_overload(span_ns), recent);
                }
            }
        }
    }

    #[test]
    fn periods_of_another_width_are_other_evidence() {
        let shape = |ns| Window::Time {
            buckets: 3,
            width: Duration::from_nanos(ns),
        };
        let mut evidence = Evidence::new(shape(10));
        evidence.record(Kind::Failure, false);
        assert!(!evidence.reshape(shape(20)));
        assert_eq!(evidence.counts(), Counts::default());
    }

    #[test]
    fn rates_are_shares_of_all_results() {
        let counts = Counts {
            successes: 5,
            failures: 2,
            overloads: 3,
            slow: 4,
            streak: 0,
        };
        assert_eq!(counts.total(), 10);
        assert!((counts.failure_rate() - 0.5).abs() < 1e-12);
        assert!((counts.slow_rate() - 0.4).abs() < 1e-12);
        let none = Counts::default();
        assert!(none.failure_rate() == 0.0 && none.slow_rate() == 0.0);
    }

    #[test]
    fn what_a_share_proves_is_the_lower_end_of_wilsons_interval() {
        // Part, whole, deviations, and the formula's value to six digits.
        let table = [
            (1, 10, 1.96, 0.017_876),
            (5, 10, 1.0, 0.349_244),
            (95, 100, 2.0, 0.886_579),
            (10, 10, 1.0, 0.909_091),
            (0, 10, 1.0, 0.0),
            (0, 0, 1.0, 0.0),
        ];
        for (part, whole, z, lower) in table {
            let proven = wilson_lower(part, whole, z);
            assert!((proven - lower).abs() < 1e-6, "{part} of {whole}: {proven}");
        }
    }

    #[test]
    fn a_full_cell_counts_no_further_and_forgets_no_more_than_it_holds() {
        let full = u64::from(u32::MAX);
        let mut evidence = Evidence::new(Window::Time {
            buckets: 2,
            width: Duration::from_nanos(WIDTH_NS),
        });
        evidence.record_successes(full - 1);
        evidence.record_successes(5);
        evidence.record(Kind::Success, true);
        assert_eq!(
            (evidence.counts().successes, evidence.counts().slow),
            (full, 1)
        );
        assert_eq!(evidence.recorded(), full + 5);
        let Evidence::Time(window) = &mut evidence else {
            unreachable!("it was made so");
        };
        (window.buckets[0].slow, window.sums.slow) = (u32::MAX, full);
        (window.buckets[0].failures, window.sums.failures) = (u32::MAX, full);
        evidence.record(Kind::Failure, true);
        assert_eq!(
            (evidence.counts().failures, evidence.counts().slow),
            (full, full)
        );
        evidence.advance(2 * WIDTH_NS);
        assert_eq!(evidence.counts(), Counts::default());
    }
}
