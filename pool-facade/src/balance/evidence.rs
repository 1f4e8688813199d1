//! Moving averages of what a node's calls came to.

use std::time::Duration;

use super::board::Counts;

/// What the calls and probes of one node have shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    /// The share of failures, in [0, 1]; where calls are few, probes count too.
    pub(super) error: f64,
    /// The share of failures of calls alone. Out of the rotation it begins at 1, so that it takes
    /// many calls to prove a node well.
    pub(super) call_error: f64,
    pub(super) latency_ns: Option<f64>,
    /// What a probe takes.
    pub(super) probe_ns: Option<f64>,
}

impl Evidence {
    /// Takes what was counted between two ticks. Which came first is not known: it is as if each
    /// result had been so much of a failure as all were together.
    pub(super) fn on_counts(&mut self, counts: Counts) {
        let results = f64::from(counts.successes) + f64::from(counts.failures);
        if results > 0.0 {
            let share = f64::from(counts.failures) / results;
            self.error = blend(self.error, share, ERROR_SHARE, results);
            self.call_error = blend(self.call_error, share, ERROR_SHARE, results);
        }
        if counts.measured > 0 {
            let measured = f64::from(counts.measured);
            let mean = counts.took_ns as f64 / measured;
            let latency_ns = self.latency_ns.unwrap_or(mean);
            self.latency_ns = Some(blend(latency_ns, mean, LATENCY_SHARE, measured));
        }
    }

    /// A probe has succeeded. The mean is geometric: one lucky probe of a slow node does not make it
    /// look quick.
    pub(super) fn on_probe(&mut self, took: Duration) {
        let took_ns = (took.as_nanos() as f64).max(1.0);
        let probe_ns = self.probe_ns.unwrap_or(took_ns);
        self.probe_ns = Some((probe_ns * took_ns).sqrt());
    }

    /// Takes the latency from that of the probes: as much above the usual as theirs is.
    pub(super) fn pull(&mut self, usual: &Usual) {
        if let (Some(own), Some(probe_ns), Some(call_ns)) =
            (self.probe_ns, usual.probe_ns, usual.call_ns)
        {
            self.latency_ns = Some(call_ns * own / probe_ns);
        }
    }

    /// Nothing was heard for `silence`: the memory fades, towards what is usual.
    pub(super) fn fade(&mut self, silence: Duration, usual_ns: f64) {
        let kept = (-silence.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.error *= kept;
        self.call_error *= kept;
        if let Some(latency_ns) = &mut self.latency_ns {
            *latency_ns = usual_ns + (*latency_ns - usual_ns) * kept;
        }
    }

    /// How much dearer a call is than at a node of the usual latency that never fails; 1 within the
    /// dead band, lest noise decide where all calls go. Beyond [`SLOW`] it is the cube of the
    /// latency that counts: in the tail of all calls a slow node shows long before it is of use.
    pub(super) fn price(&self, usual_ns: Option<f64>) -> f64 {
        let ratio = self.ratio(usual_ns);
        let ratio = if ratio < 1.0 / DEAD_BAND {
            ratio * DEAD_BAND
        } else if ratio > DEAD_BAND {
            ratio / DEAD_BAND * (ratio / SLOW).max(1.0).powi(2)
        } else {
            1.0
        };
        // Fast failures look like speed.
        let ratio = if self.error > DOUBTFUL {
            ratio.max(1.0)
        } else {
            ratio
        };
        let success = (1.0 - self.error).max(LEAST_SUCCESS);
        (ratio / success.powi(3)).clamp(LEAST_PRICE, MOST_PRICE)
    }

    /// The latency in relation to the usual one.
    pub(super) fn ratio(&self, usual_ns: Option<f64>) -> f64 {
        match (self.latency_ns, usual_ns) {
            (Some(latency_ns), Some(usual_ns)) => latency_ns.max(1.0) / usual_ns.max(1.0),
            _ => 1.0,
        }
    }
}

/// What is usual among the nodes in the rotation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    pub(super) call_ns: Option<f64>,
    pub(super) probe_ns: Option<f64>,
}

/// A moving average after `count` samples of the same `value`.
fn blend(average: f64, value: f64, share: f64, count: f64) -> f64 {
    value + (average - value) * (1.0 - share).powf(count)
}

/// The lower median; `None` of none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some(values[middle])
}

/// What one result is worth in the share of failures.
const ERROR_SHARE: f64 = 0.1;
/// What one call is worth in the latency.
const LATENCY_SHARE: f64 = 1.0 / 8.0;
/// Above this share of failures a low latency is no merit.
const DOUBTFUL: f64 = 0.05;
/// Slow is what takes more than so many times the usual latency.
pub(super) const SLOW: f64 = 3.0;
/// Latencies that differ by less count as equal.
const DEAD_BAND: f64 = 1.25;
const LEAST_SUCCESS: f64 = 1e-3;
const LEAST_PRICE: f64 = 1e-6;
const MOST_PRICE: f64 = 1e12;
/// How long what was heard last is believed.
const MEMORY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(successes: u32, failures: u32) -> Counts {
        Counts {
            successes,
            failures,
            ..Counts::default()
        }
    }

    #[test]
    fn a_run_of_results_counts_as_much_together_as_one_by_one() {
        let (mut together, mut single) = (Evidence::default(), Evidence::default());
        for (successes, failures) in [(0, 7), (40, 0), (0, 1), (3, 0)] {
            together.on_counts(counts(successes, failures));
            for _ in 0..successes {
                single.error *= 0.9;
            }
            for _ in 0..failures {
                single.error += 0.1 * (1.0 - single.error);
            }
            assert!((together.error - single.error).abs() < 1e-12);
        }
    }

    #[test]
    fn three_failures_in_a_row_are_more_than_a_fifth_and_two_are_not() {
        for (failures, more) in [(2, false), (3, true)] {
            let mut evidence = Evidence::default();
            evidence.on_counts(counts(0, failures));
            assert_eq!(evidence.error > 0.2, more);
        }
    }

    #[test]
    fn a_mixture_tends_to_its_share() {
        let mut evidence = Evidence::default();
        for _ in 0..100 {
            evidence.on_counts(counts(3, 1));
        }
        assert!((evidence.error - 0.25).abs() < 1e-9);
    }

    #[test]
    fn the_first_call_is_the_latency_and_each_further_one_an_eighth_of_it() {
        let mut evidence = Evidence::default();
        for (took_ns, latency_ns) in [(1000, 1000.0), (9000, 2000.0), (2000, 2000.0)] {
            evidence.on_counts(Counts {
                measured: 1,
                took_ns,
                ..counts(1, 0)
            });
            assert_eq!(evidence.latency_ns, Some(latency_ns));
        }
    }

    #[test]
    fn a_latency_by_probes_is_as_far_from_the_usual_as_theirs() {
        let evidence = |latency_ns, probe_ns| Evidence {
            latency_ns,
            probe_ns,
            ..Evidence::default()
        };
        let usual = |call_ns, probe_ns| Usual { call_ns, probe_ns };
        let known = usual(Some(10.0), Some(2.0));
        for (mut evidence, usual, latency_ns) in [
            (evidence(Some(90.0), Some(6.0)), known, Some(30.0)),
            (evidence(None, Some(2.0)), known, Some(10.0)),
            (evidence(Some(90.0), None), known, Some(90.0)),
            (
                evidence(Some(90.0), Some(6.0)),
                usual(None, Some(2.0)),
                Some(90.0),
            ),
            (
                evidence(Some(90.0), Some(6.0)),
                usual(Some(10.0), None),
                Some(90.0),
            ),
        ] {
            evidence.pull(&usual);
            assert_eq!(evidence.latency_ns, latency_ns);
        }
    }

    #[test]
    fn memory_fades_to_a_part_in_e_within_ten_seconds() {
        let mut evidence = Evidence {
            error: 0.2,
            call_error: 0.4,
            latency_ns: Some(3000.0),
            probe_ns: None,
        };
        for _ in 0..100 {
            evidence.fade(Duration::from_millis(100), 1000.0);
        }
        let kept = (-1.0_f64).exp();
        assert!((evidence.error - 0.2 * kept).abs() < 1e-9);
        assert!((evidence.call_error - 0.4 * kept).abs() < 1e-9);
        let above_ns = evidence.latency_ns.expect("it was known") - 1000.0;
        assert!((above_ns - 2000.0 * kept).abs() < 1e-6);
    }

    #[test]
    fn a_price_is_latency_over_success_cubed_outside_the_dead_band() {
        let price = |latency_ns, error| {
            let evidence = Evidence {
                error,
                latency_ns,
                ..Evidence::default()
            };
            evidence.price(Some(1000.0))
        };
        assert_eq!(price(None, 0.0), 1.0);
        assert_eq!(price(Some(1240.0), 0.0), 1.0);
        assert_eq!(price(Some(810.0), 0.0), 1.0);
        assert_eq!(price(Some(2_500.0), 0.0), 2.0);
        assert_eq!(price(Some(15_000.0), 0.0), 300.0);
        assert_eq!(price(Some(1000.0), 0.5), 8.0);
        // Fast failures earn nothing.
        assert_eq!(price(Some(1.0), 0.5), 8.0);
        assert_eq!(price(Some(400.0), 0.0), 0.5);
        assert_eq!(price(Some(400.0), 0.05), 0.5 / 0.95_f64.powi(3));
        assert_eq!(price(Some(400.0), 0.06), 1.0 / 0.94_f64.powi(3));
        assert!(price(Some(f64::MAX), 1.0).is_finite());
    }

    #[test]
    fn one_lucky_probe_in_ten_does_not_make_a_slow_node_quick() {
        let mut evidence = Evidence::default();
        for millis in [100, 100, 100, 10] {
            evidence.on_probe(Duration::from_millis(millis));
        }
        assert!(evidence.probe_ns.is_some_and(|it| it > 30e6));
    }

    #[test]
    fn the_median_is_the_lower_one() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0].into_iter()), Some(1.0));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
    }
}
