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
//! 0.65.

use std::time::Duration;

use crate::window::{Evidence, share};

const CUT: f64 = 0.7;
const NIBBLE: f64 = 0.97;
const CUT_INTERVAL_NS: u64 = 50_000_000;
/// Slow start ends at this share of what was in flight when overload began.
const CLIMB: f64 = 0.5;
const CLIMB_STEP: f64 = 0.5;
/// Half of the classic additive step: with few calls in flight the limit is coarse, and 0.5 kept
/// it oscillating around the capacity (0.94 of the possible at half a call per instance, now 0.97).
const STEP: f64 = 0.25;
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
    }

    /// The evidence starts anew; the limit stays.
    pub(crate) const fn forget_evidence(&mut self) {
        self.seen_at_result = None;
    }

    /// Whether an overload signal counts: more than the tolerated share of the recent results.
    ///
    /// Where calls are so rare that a second holds fewer than ten results, the distance in results
    /// to the overload before stands for the share.
    pub(crate) fn overloaded(&mut self, evidence: &Evidence, tolerated: f64) -> bool {
        let recorded = evidence.recorded();
        let before = self.seen_at_result.replace(recorded);
        let (overloads, results) = evidence.recent_overload(JUDGED_NS);
        if results >= JUDGED_RESULTS {
            return share(overloads, results) > tolerated;
        }
        before.is_some_and(|before| share(1, recorded.saturating_sub(before)) > tolerated)
    }

    /// An overload signal that counts. `in_flight` includes the call that brought it.
    pub(crate) fn on_overload(&mut self, in_flight: u64, now_ns: u64) {
        let since =
            |then: Option<u64>, ns| then.is_none_or(|then| now_ns.saturating_sub(then) >= ns);
        let begins = since(self.signal_ns, JUDGED_NS);
        let cuts = since(self.cut_ns, CUT_INTERVAL_NS);
        let running = as_f64(in_flight).min(self.bound.unwrap_or(f64::INFINITY));
        if begins {
            self.climb = Some(CLIMB * running);
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
    }

    /// A success; `in_flight` includes it. A limit of which not half is used proves nothing.
    pub(crate) fn on_success(&mut self, in_flight: u64) {
        if let Some(bound) = &mut self.bound {
            if 2.0 * as_f64(in_flight) >= *bound {
                let climbs = self.climb.is_none_or(|climb| *bound < climb);
                *bound += if climbs { CLIMB_STEP } else { STEP / *bound };
            }
        }
    }

    pub(crate) fn admits(&self, in_flight: u64) -> bool {
        self.calls().is_none_or(|calls| in_flight < calls)
    }

    /// Calls that may be in flight; `None`: any number.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1, and a cast of too much saturates"
    )]
    pub(crate) fn calls(&self) -> Option<u64> {
        self.bound.map(|bound| bound as u64)
    }
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
}
