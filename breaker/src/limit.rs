//! The adaptive limit on calls in flight: who may enter while degraded, and how that changes.
//!
//! Overload is answered by shrinking what is really in flight, not by refusing a share of the
//! calls: the limit then finds the capacity by itself, whatever the demand is.

const CUT: f64 = 0.7;
const NIBBLE: f64 = 0.97;
const CUT_INTERVAL_NS: u64 = 50_000_000;
/// Overload is judged by the results of so long.
const JUDGED_NS: u64 = 1_000_000_000;
/// ... unless they are fewer than this.
const JUDGED_RESULTS: u64 = 10;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limit {
    /// `None`: not limited. Never under 1.
    bound: Option<f64>,
    /// Growing by half a call per success, until the first overload signal.
    slow_start: bool,
    cut_ns: Option<u64>,
    /// Results recorded when overload was last seen.
    seen_at_result: Option<u64>,
}

impl Limit {
    pub(crate) const CUT_INTERVAL: std::time::Duration =
        std::time::Duration::from_nanos(CUT_INTERVAL_NS);

    /// The limit of a backend that has answered `probes` and is trusted with no more yet.
    pub(crate) fn ramp(probes: u32) -> Self {
        Self { bound: Some(f64::from(probes.max(1))), slow_start: true, ..Self::default() }
    }

    /// Whether an overload signal counts: more than the tolerated share of the recent results.
    ///
    /// Where calls are so rare that a second holds fewer than ten results, the distance in results
    /// to the overload before stands for the share.
    pub(crate) fn overloaded(
        &mut self,
        evidence: &crate::window::Evidence,
        tolerated: f64,
    ) -> bool {
        let recorded = evidence.recorded();
        let before = self.seen_at_result.replace(recorded);
        let (overloads, results) = evidence.recent_overload(JUDGED_NS);
        if results >= JUDGED_RESULTS {
            return crate::window::share(overloads, results) > tolerated;
        }
        before.is_some_and(|before| crate::window::share(1, recorded - before) > tolerated)
    }

    /// An overload signal that counts. `in_flight` includes the call that brought it.
    pub(crate) fn on_overload(&mut self, in_flight: u64, now_ns: u64) {
        self.slow_start = false;
        let due = self.cut_ns.is_none_or(|cut| now_ns.saturating_sub(cut) >= CUT_INTERVAL_NS);
        let bound = match self.bound {
            None => CUT * as_f64(in_flight),
            Some(bound) if due => CUT * bound.min(as_f64(in_flight)),
            Some(bound) => NIBBLE * bound,
        };
        if due {
            self.cut_ns = Some(now_ns);
        }
        self.bound = Some(bound.max(1.0));
    }

    pub(crate) fn on_success(&mut self) {
        if let Some(bound) = &mut self.bound {
            *bound += if self.slow_start { 0.5 } else { 0.5 / *bound };
        }
    }

    /// The evidence starts anew; the limit stays.
    pub(crate) const fn forget_evidence(&mut self) {
        self.seen_at_result = None;
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

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 calls in flight")]
const fn as_f64(calls: u64) -> f64 {
    calls as f64
}
