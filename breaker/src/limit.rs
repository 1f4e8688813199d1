//! The adaptive limit on calls in flight: who may enter while degraded, and how that changes.
//!
//! Overload is answered by shrinking what is really in flight, not by refusing a share of the
//! calls: the limit then finds the capacity by itself, whatever the demand is.
//!
//! When a backend stalls, the overload of all calls sent before arrives within one timeout and
//! takes the limit down to nearly nothing, which is right: the backlog has to drain. What must not
//! follow is a climb of one call per round. So the limit remembers half of what was in flight when
//! the overload began, and climbs there by slow start. Measured against the plain rule at 100 ms
//! calls, 40 in flight per instance and a capacity cut to half: 0.95 of the possible instead of
//! 0.65. A later overload, met with a limit of two or three, must not take that memory away: one
//! instance of five then stayed near three for the rest of the incident and beyond it.
//!
//! Few calls make all this coarse. Half a call in flight per instance and 100 ms a call are five
//! results a second, and the capacity is a limit between two and three. Three rules serve 0.96 of
//! the possible there, over 40 seeds, where plainer ones served 0.93: no signal counts that chance
//! would explain, growth is slow where overload was met, and then only while the limit is fully
//! used.

use std::time::Duration;

use crate::window::{Evidence, wilson_lower};

const CUT: f64 = 0.7;
const NIBBLE: f64 = 0.97;
const CUT_INTERVAL_NS: u64 = 50_000_000;
/// Slow start ends at this share of what was in flight when overload began, ...
const CLIMB: f64 = 0.5;
/// ... at least at so many calls, because a false alarm costs least when it is soon over, ...
const LEAST_CLIMB: f64 = 2.5;
/// ... and at this share at least of where it ended before.
const CLIMB_KEPT: f64 = 0.7;
const CLIMB_STEP: f64 = 0.5;
/// A tenth of the classic additive step. The signal comes a timeout late, when everything in the
/// queue has been lost already: the fewer such discoveries, the better.
const STEP: f64 = 0.05;
/// Standard deviations by which overload must exceed the tolerated share. Without them, a harmless
/// tail of one timeout in a hundred cost another 1.1 % of the calls; now it is 0.4 % at most.
const SURE: f64 = 1.0;
/// Calls made under the least limit that may fail in a row before it counts as futile.
const FUTILE_CALLS: u32 = 3;
/// Overload is judged by the results of so long.
const JUDGED_NS: u64 = 1_000_000_000;
/// ... unless they are fewer than this.
const JUDGED_RESULTS: u64 = 10;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limit {
    /// `None`: not limited. Never under 1.
    bound: Option<f64>,
    /// Slow start ends here; `None`: at the first overload signal.
    climb: Option<f64>,
    signal_ns: Option<u64>,
    cut_ns: Option<u64>,
    /// Results recorded when overload was last seen.
    seen_at_result: Option<u64>,
    /// Since when the limit has been one, the least.
    least_since_ns: Option<u64>,
    /// Calls that were made since then and failed, with no success between.
    futile: u32,
}

impl Limit {
    pub(crate) const CUT_INTERVAL: Duration = Duration::from_nanos(CUT_INTERVAL_NS);

    /// The backend has answered `probes` and is trusted with no more yet.
    pub(crate) fn start(&mut self, probes: u32) {
        self.bound = Some(f64::from(probes.max(1)));
    }

    /// Another state decides who may enter. What was learnt of the backend stays.
    pub(crate) const fn lift(&mut self) {
        self.bound = None;
        self.least_since_ns = None;
        self.futile = 0;
    }

    /// The evidence starts anew; the limit stays.
    pub(crate) const fn forget_evidence(&mut self) {
        self.seen_at_result = None;
    }

    /// Whether an overload signal counts: more than the tolerated share of the recent results, and
    /// not by chance.
    ///
    /// Where calls are so rare that a second holds fewer than ten results, the distance in results
    /// to the overload before stands for the share.
    pub(crate) fn overloaded(&mut self, evidence: &Evidence, tolerated: f64) -> bool {
        let recorded = evidence.recorded();
        let before = self.seen_at_result.replace(recorded);
        let (overloads, results) = evidence.recent_overload(JUDGED_NS);
        if results >= JUDGED_RESULTS {
            return wilson_lower(overloads, results, SURE) > tolerated;
        }
        before.is_some_and(|before| {
            wilson_lower(1, recorded.saturating_sub(before), SURE) > tolerated
        })
    }

    /// An overload signal that counts. `in_flight` includes the call that brought it.
    pub(crate) fn on_overload(&mut self, in_flight: u64, now_ns: u64) {
        let since =
            |then: Option<u64>, ns| then.is_none_or(|then| now_ns.saturating_sub(then) >= ns);
        let begins = since(self.signal_ns, JUDGED_NS);
        let cuts = since(self.cut_ns, CUT_INTERVAL_NS);
        let running = as_f64(in_flight).min(self.bound.unwrap_or(f64::INFINITY));
        if begins {
            let kept = CLIMB_KEPT * self.climb.unwrap_or(0.0);
            self.climb = Some(kept.max(CLIMB * running).max(LEAST_CLIMB));
        }
        self.signal_ns = Some(now_ns);
        let bound = match self.bound {
            Some(bound) if !cuts => NIBBLE * bound,
            Some(_) | None => {
                self.cut_ns = Some(now_ns);
                CUT * running
            }
        };
        self.bound = Some(bound.max(1.0));
        if self.calls() == Some(1) {
            self.least_since_ns.get_or_insert(now_ns);
        }
    }

    /// A success; `in_flight` includes it. A limit that is not used proves nothing: in slow start
    /// half of it must be in use, and all of it where overload was met.
    pub(crate) fn on_success(&mut self, in_flight: u64) {
        self.futile = 0;
        let Some(bound) = &mut self.bound else { return };
        if self.climb.is_none_or(|climb| *bound < climb) {
            if 2.0 * as_f64(in_flight) >= *bound {
                *bound += CLIMB_STEP;
            }
        } else if in_flight >= whole(*bound) {
            *bound += STEP / *bound;
        }
        if *bound >= 2.0 {
            self.least_since_ns = None;
        }
    }

    /// A failure or overload of a call that was admitted at `started_ns`, while degraded.
    pub(crate) fn on_failed(&mut self, started_ns: u64) {
        if self.least_since_ns.is_some_and(|since| started_ns >= since) {
            self.futile = self.futile.saturating_add(1);
        }
    }

    /// Whether nothing is left to answer overload with: calls that had the backend as good as for
    /// themselves have failed too.
    pub(crate) const fn is_futile(&self) -> bool {
        self.futile >= FUTILE_CALLS
    }

    pub(crate) fn admits(&self, in_flight: u64) -> bool {
        self.calls().is_none_or(|calls| in_flight < calls)
    }

    #[cfg(test)]
    pub(crate) const fn futile(&self) -> u32 {
        self.futile
    }

    /// Calls that may be in flight; `None`: any number.
    pub(crate) fn calls(&self) -> Option<u64> {
        self.bound.map(whole)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 1, and a cast of too much saturates"
)]
const fn whole(bound: f64) -> u64 {
    bound as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has 2^53 calls in flight"
)]
const fn as_f64(calls: u64) -> f64 {
    calls as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Window;
    use crate::window::Kind;

    #[test]
    fn the_limit_starts_from_the_calls_really_in_flight() {
        let mut limit = Limit::default();
        limit.on_overload(100, 0);
        assert_eq!(limit.calls(), Some(70));
    }

    #[test]
    fn the_limit_is_cut_at_most_once_per_interval_and_nibbled_in_between() {
        let mut limit = Limit::default();
        limit.on_overload(1000, 0);
        limit.on_overload(1000, 1);
        assert_eq!(limit.calls(), Some(679));
        limit.on_overload(1000, CUT_INTERVAL_NS);
        assert_eq!(limit.calls(), Some(475));
    }

    #[test]
    fn the_limit_never_falls_under_one() {
        let mut limit = Limit::default();
        for signal in 0..10_000 {
            limit.on_overload(0, signal * 1_000_000);
            assert!(limit.admits(0));
        }
    }

    #[test]
    fn a_signal_that_chance_explains_does_not_count() {
        let overloaded = |overloads: u32, successes: u32| {
            let mut evidence = Evidence::new(Window::Time {
                buckets: 10,
                width: Duration::from_millis(100),
            });
            (0..successes).for_each(|_| evidence.record(Kind::Success, false));
            (0..overloads).for_each(|_| evidence.record(Kind::Overload, false));
            Limit::default().overloaded(&evidence, 0.05)
        };
        // 6 % each; the first could well be 1 %.
        assert!(!overloaded(3, 47));
        assert!(overloaded(30, 470));
        assert!(!overloaded(5, 95), "5 % are tolerated");
    }

    #[test]
    fn where_calls_are_rare_two_overloads_close_together_count() {
        let overloaded = |successes_between: u32| {
            let mut evidence = Evidence::new(Window::Time {
                buckets: 1,
                width: Duration::from_secs(1),
            });
            let mut limit = Limit::default();
            evidence.record(Kind::Overload, false);
            assert!(!limit.overloaded(&evidence, 0.05), "one may be chance");
            (0..successes_between).for_each(|_| evidence.record(Kind::Success, false));
            evidence.record(Kind::Overload, false);
            limit.overloaded(&evidence, 0.05)
        };
        assert!(overloaded(0));
        assert!(overloaded(6));
        assert!(!overloaded(7));
    }

    #[test]
    fn a_second_overload_leaves_most_of_the_climb() {
        let mut limit = Limit::default();
        limit.on_overload(100, 0);
        (0..40).for_each(|signal| limit.on_overload(1, signal * CUT_INTERVAL_NS));
        limit.on_overload(1, 40 * CUT_INTERVAL_NS + JUDGED_NS);
        assert_eq!(limit.calls(), Some(1));
        for _ in 0..70 {
            limit.on_success(limit.calls().unwrap());
        }
        // From 1 by 0.5 each to 0.7 of 50.
        assert_eq!(limit.calls(), Some(35));
    }

    #[test]
    fn the_ramp_doubles_at_least_every_two_rounds() {
        let mut limit = Limit::default();
        limit.start(2);
        let mut calls = 2;
        for _ in 0..10 {
            for _ in 0..2 {
                let round = limit.calls().unwrap();
                (0..round).for_each(|_| limit.on_success(round));
            }
            assert!(limit.calls().unwrap() >= 2 * calls);
            calls = limit.calls().unwrap();
        }
    }

    #[test]
    fn the_tolerated_share_itself_does_not_count() {
        let window = Window::Count { calls: 100 };
        for (overloads, successes) in [(30, 70), (2, 1)] {
            let judged = |tolerated: f64| {
                let (mut evidence, mut limit) = (Evidence::new(window), Limit::default());
                if successes < 10 {
                    limit.overloaded(&evidence, tolerated);
                }
                (0..successes).for_each(|_| evidence.record(Kind::Success, false));
                (0..overloads).for_each(|_| evidence.record(Kind::Overload, false));
                limit.overloaded(&evidence, tolerated)
            };
            let shown = match successes {
                1 => wilson_lower(1, 3, SURE),
                _ => wilson_lower(overloads, overloads + successes, SURE),
            };
            assert!(!judged(shown));
            assert!(judged(shown - 1e-9));
        }
    }

    #[test]
    fn the_first_overload_of_new_evidence_may_be_chance() {
        let mut evidence = Evidence::new(Window::Count { calls: 100 });
        let mut limit = Limit::default();
        evidence.record(Kind::Overload, false);
        assert!(!limit.overloaded(&evidence, 0.05));
        evidence.clear();
        limit.forget_evidence();
        (0..3).for_each(|_| evidence.record(Kind::Success, false));
        evidence.record(Kind::Overload, false);
        assert!(!limit.overloaded(&evidence, 0.05));
    }

    #[test]
    fn the_limit_climbs_while_half_used_and_then_creeps_while_fully_used() {
        // Limit, in flight, and the limit after a success when slow start ends at 5.
        let table = [
            (4.0, 2, 4.5),
            (4.0, 1, 4.0),
            (5.0, 5, 5.01),
            (5.0, 4, 5.0),
            (10.0, 10, 10.005),
            (10.9, 10, 10.9 + 0.05 / 10.9),
        ];
        for (bound, in_flight, after) in table {
            let mut limit = Limit {
                bound: Some(bound),
                climb: Some(5.0),
                ..Limit::default()
            };
            limit.on_success(in_flight);
            let got = limit.bound.unwrap();
            assert!(
                (got - after).abs() < 1e-9,
                "{bound} with {in_flight}: {got}"
            );
        }
    }
}
