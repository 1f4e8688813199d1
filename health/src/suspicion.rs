//! How unlikely it is that a silent target is well: phi accrual.
//!
//! A target with steady traffic or heartbeats need not be probed to be doubted. From the times
//! between its heartbeats follows how likely a silence as long as the present one is, and
//! phi = -log10 of that likelihood (Hayashibara and others, 2004). The value is continuous and the
//! reader chooses what to do with it:
//!
//! | phi | a target that is well is silent for that long | good for |
//! |----:|---|---|
//! | 1 | once in 10 heartbeats | nothing but a hint: prefer another |
//! | 3 | once in 1 000 | asking it: [`Monitor::on_suspicion`] probes early |
//! | 8 | once in 100 000 000 | taking it for dead without having asked |
//!
//! Mean and deviation are moving ones, of constant size and cost. The alternative, the exact
//! figures of the last thousand intervals, costs 8 kB per target and answers the same question.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use health::{Suspicion, SuspicionPolicy};
//!
//! let mut now = Instant::now();
//! let mut suspicion = Suspicion::new(SuspicionPolicy::new())?;
//! for _ in 0..100 {
//!     now += Duration::from_secs(1);
//!     suspicion.on_heartbeat(now);
//! }
//! assert!(suspicion.phi(now + Duration::from_millis(900)) < 1.0);
//! assert!(suspicion.phi(now + Duration::from_secs(2)) > 8.0);
//! # Ok::<(), health::ConfigErrors>(())
//! ```
//!
//! [`Monitor::on_suspicion`]: crate::Monitor::on_suspicion

use std::f64::consts::{LN_10, PI};
use std::time::{Duration, Instant};

use crate::ConfigErrors;
use crate::config::Rules;

/// The rhythm of one target's heartbeats, and the doubt that a pause casts.
#[derive(Debug, Clone)]
pub struct Suspicion {
    policy: SuspicionPolicy,
    last: Option<Instant>,
    intervals: u32,
    mean_s: f64,
    variance_s2: f64,
}

impl Suspicion {
    /// From this phi on a [`Monitor`](crate::Monitor) hurries.
    pub const SUSPECT: f64 = 3.0;

    /// Knows no rhythm but the one expected by the policy.
    ///
    /// # Errors
    /// If the policy breaks a rule.
    pub fn new(policy: SuspicionPolicy) -> Result<Self, ConfigErrors> {
        policy.validate()?;
        let expected_s = policy.expected_interval.as_secs_f64();
        Ok(Self {
            policy,
            last: None,
            // The expectation counts as one interval, so that it fades as real ones come in.
            intervals: 1,
            mean_s: expected_s,
            variance_s2: (expected_s / 4.0).powi(2),
        })
    }

    /// The target has shown that it lives.
    pub fn on_heartbeat(&mut self, now: Instant) {
        let Some(last) = self.last.replace(now) else {
            return;
        };
        let interval_s = now.saturating_duration_since(last).as_secs_f64();
        self.intervals = self.intervals.saturating_add(1).min(self.policy.window);
        let share = 1.0 / f64::from(self.intervals);
        let deviation_s = interval_s - self.mean_s;
        self.mean_s += share * deviation_s;
        self.variance_s2 = (1.0 - share) * (self.variance_s2 + share * deviation_s.powi(2));
        debug_assert!(self.variance_s2 >= 0.0 && self.variance_s2.is_finite());
    }

    /// How suspicious the silence up to now is: 0 or more, and finite. 0 before any heartbeat: of
    /// whom nothing was ever heard, nothing is known.
    #[must_use]
    pub fn phi(&self, now: Instant) -> f64 {
        let Some(last) = self.last else {
            return 0.0;
        };
        let pause = self.policy.acceptable_pause.unwrap_or_default();
        let silence_s = now.saturating_duration_since(last).as_secs_f64();
        let deviation_s = self
            .variance_s2
            .sqrt()
            .max(self.policy.min_deviation.as_secs_f64());
        let excess = (silence_s - self.mean_s - pause.as_secs_f64()) / deviation_s;
        (-ln_upper_tail(excess) / LN_10).max(0.0)
    }
}

/// ln(1 - F(y)) for the standard normal distribution F, without underflow.
///
/// A series up to 2 and the continued fraction of the Mills ratio beyond (Abramowitz and Stegun
/// 26.2.11 and 26.2.14). The usual logistic approximation is off by 1.3 at phi 8.
fn ln_upper_tail(y: f64) -> f64 {
    let ln_density = -0.5 * y * y - 0.5 * (2.0 * PI).ln();
    if y > 2.0 {
        let ratio = (1..=40)
            .rev()
            .fold(y, |tail, term| y + f64::from(term) / tail);
        return ln_density - ratio.ln();
    }
    // Below -8 the tail is 1 to the last bit.
    let y = y.max(-8.0);
    let mut term = y;
    let mut sum = y;
    for odd in (3..201).step_by(2) {
        term *= y * y / f64::from(odd);
        sum += term;
    }
    let density = (-0.5 * y * y).exp() / (2.0 * PI).sqrt();
    (0.5 - density * sum).min(1.0).ln()
}

/// What a [`Suspicion`] takes for a normal rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspicionPolicy {
    window: u32,
    expected_interval: Duration,
    min_deviation: Duration,
    acceptable_pause: Option<Duration>,
}

impl SuspicionPolicy {
    /// The defaults: one second expected, a memory of 200 intervals, a deviation of at least
    /// 100 ms, no pause allowed for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 200,
            expected_interval: Duration::from_secs(1),
            min_deviation: Duration::from_millis(100),
            acceptable_pause: None,
        }
    }

    /// How many intervals are remembered.
    #[must_use]
    pub const fn window(mut self, intervals: u32) -> Self {
        self.window = intervals;
        self
    }

    /// The interval to expect before any was seen.
    #[must_use]
    pub const fn expected_interval(mut self, interval: Duration) -> Self {
        self.expected_interval = interval;
        self
    }

    /// The least deviation to assume, or a very regular target would be suspect at once.
    #[must_use]
    pub const fn min_deviation(mut self, deviation: Duration) -> Self {
        self.min_deviation = deviation;
        self
    }

    /// A silence that is nothing unusual, such as a garbage collection, on top of the mean.
    #[must_use]
    pub const fn acceptable_pause(mut self, pause: Option<Duration>) -> Self {
        self.acceptable_pause = pause;
        self
    }

    /// Names every rule that this policy breaks.
    ///
    /// # Errors
    /// If it breaks any.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut rules = Rules::default();
        rules.require(
            (2..=100_000).contains(&self.window),
            "suspicion.window",
            self.window,
            "must be from 2 to 100000",
        );
        rules.span("suspicion.expected_interval", self.expected_interval);
        rules.span("suspicion.min_deviation", self.min_deviation);
        if let Some(pause) = self.acceptable_pause {
            rules.span("suspicion.acceptable_pause", pause);
        }
        rules.finish()
    }
}

impl Default for SuspicionPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the standard normal distribution from published tables.
    #[test]
    fn the_tail_agrees_with_the_tables() {
        let table = [
            (1.281_551_566, 1.0),
            (2.326_347_874, 2.0),
            (3.090_232_306, 3.0),
            (4.753_424_309, 6.0),
            (5.612_001_244, 8.0),
            (6.361_340_902, 10.0),
        ];
        for (quantile, phi) in table {
            let computed = -ln_upper_tail(quantile) / LN_10;
            assert!((computed - phi).abs() < 1e-8, "{phi}: {computed}");
        }
    }

    #[test]
    fn the_tail_falls_without_a_step_from_one_end_to_the_other() {
        let mut before = ln_upper_tail(-40.0);
        assert!(before <= 0.0);
        for hundredth in -3999..=100_000 {
            let here = ln_upper_tail(f64::from(hundredth) / 100.0);
            assert!(here.is_finite() && here <= before + 1e-12, "at {hundredth}");
            let slope = f64::from(hundredth).abs() / 100.0 + 2.0;
            assert!(before - here <= slope * 0.02, "step at {hundredth}");
            before = here;
        }
    }
}
