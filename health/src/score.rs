//! How good one connection is: a number from 0 to 1, and what it is made of.
//!
//! The score starts at 1 and loses up to 0.3 for errors, 0.3 for failed validations, 0.2 for
//! latency and 0.1 for age; the shares can be changed. It serves for preference (lend the best),
//! rotation and retirement (close the worst).
//!
//! Latency is compared with the mean *of the same class of work*. The obvious alternative, a fixed
//! limit of 50 ms for all, takes every connection that happens to serve long queries for a bad one:
//! in the simulation `tests/score_finds_bad_connections.rs` it retires healthy connections, and
//! misses a connection that is four times too slow at two milliseconds. Age counts only near the
//! end of a connection's own life, not in hours, so that pools of any lifetime use the same scale.
//!
//! ```
//! use std::time::Duration;
//! use health::{ScorePolicy, Vitals};
//!
//! let policy = ScorePolicy::new();
//! let class_mean = Duration::from_millis(2);
//! let mut vitals = Vitals::new();
//! for _ in 0..50 {
//!     vitals.record(true, Duration::from_millis(8), class_mean);
//! }
//! let score = vitals.score(&policy, Duration::from_secs(60), Some(Duration::from_secs(1800)));
//! assert!(score.latency > 0.19 && score.errors == 0.0 && score.age == 0.0);
//! assert!((score.value - (1.0 - score.latency)).abs() < 1e-9);
//! ```

use std::time::Duration;

use crate::ConfigErrors;
use crate::config::Rules;

/// What is known of one connection, as moving averages: 24 bytes, a few additions per operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Vitals {
    errors: f64,
    invalid: f64,
    /// How many times slower than its class, less one.
    slowness: f64,
}

impl Vitals {
    /// A connection of which nothing bad is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            errors: 0.0,
            invalid: 0.0,
            slowness: 0.0,
        }
    }

    /// Takes an operation: whether it went well, how long it took, and how long operations of its
    /// class take in the mean over all connections. With a mean of zero latency says nothing.
    pub fn record(&mut self, success: bool, latency: Duration, class_mean: Duration) {
        average(&mut self.errors, if success { 0.0 } else { 1.0 });
        if success && !class_mean.is_zero() {
            // One stray operation counts no more than one that is ten times too slow.
            let ratio = (latency.as_secs_f64() / class_mean.as_secs_f64()).min(10.0);
            average(&mut self.slowness, ratio - 1.0);
        }
    }

    /// Takes the result of a validation.
    pub fn record_validation(&mut self, valid: bool) {
        average(&mut self.invalid, if valid { 0.0 } else { 1.0 });
    }

    /// The score at an age, for a connection that is to be closed at `lifetime`, if at all.
    #[must_use]
    pub fn score(&self, policy: &ScorePolicy, age: Duration, lifetime: Option<Duration>) -> Score {
        let lived = match lifetime {
            Some(lifetime) if !lifetime.is_zero() => age.as_secs_f64() / lifetime.as_secs_f64(),
            _ => 0.0,
        };
        let late = f64::from(policy.late_percent) / 100.0;
        let over = f64::from(policy.slow_percent) / 100.0 - 1.0;
        let part = |percent: u8, share: f64| f64::from(percent) / 100.0 * share.clamp(0.0, 1.0);
        let errors = part(policy.errors_percent, self.errors);
        let validations = part(policy.validations_percent, self.invalid);
        let latency = part(policy.latency_percent, self.slowness / over);
        let age = part(policy.age_percent, (lived - late) / (1.0 - late));
        Score {
            value: (1.0 - errors - validations - latency - age).clamp(0.0, 1.0),
            errors,
            validations,
            latency,
            age,
        }
    }
}

fn average(mean: &mut f64, sample: f64) {
    *mean += SAMPLE_SHARE * (sample - *mean);
}

/// A score and the penalties that make up what it lacks.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Score {
    /// From 0, useless, to 1, as good as any.
    pub value: f64,
    /// Lost for failed operations.
    pub errors: f64,
    /// Lost for failed validations.
    pub validations: f64,
    /// Lost for being slower than its class.
    pub latency: f64,
    /// Lost for being near the end of its life.
    pub age: f64,
}

/// What a [`Score`] can lose, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScorePolicy {
    errors_percent: u8,
    validations_percent: u8,
    latency_percent: u8,
    age_percent: u8,
    slow_percent: u16,
    late_percent: u8,
}

impl ScorePolicy {
    /// The defaults: up to 30 points for errors, 30 for validations, 20 for latency, all of them
    /// at three times the mean of the class, and 10 for age, beginning at 80 percent of the life.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            errors_percent: 30,
            validations_percent: 30,
            latency_percent: 20,
            age_percent: 10,
            slow_percent: 300,
            late_percent: 80,
        }
    }

    /// What is lost if every operation fails.
    #[must_use]
    pub const fn errors(mut self, percent: u8) -> Self {
        self.errors_percent = percent;
        self
    }

    /// What is lost if every validation fails.
    #[must_use]
    pub const fn validations(mut self, percent: u8) -> Self {
        self.validations_percent = percent;
        self
    }

    /// What is lost for latency, and at which percentage of the mean of the class all of it is.
    #[must_use]
    pub const fn latency(mut self, percent: u8, at_percent_of_mean: u16) -> Self {
        self.latency_percent = percent;
        self.slow_percent = at_percent_of_mean;
        self
    }

    /// What is lost at the end of the life, and at which percentage of it the loss begins.
    #[must_use]
    pub const fn age(mut self, percent: u8, from_percent_of_life: u8) -> Self {
        self.age_percent = percent;
        self.late_percent = from_percent_of_life;
        self
    }

    /// Names every rule that this policy breaks. A policy that breaks one still gives a score in
    /// [0, 1], if no useful one.
    ///
    /// # Errors
    /// If it breaks any.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut rules = Rules::default();
        rules.percent("score.errors", self.errors_percent);
        rules.percent("score.validations", self.validations_percent);
        rules.percent("score.latency", self.latency_percent);
        rules.percent("score.age", self.age_percent);
        rules.require(
            self.slow_percent > 100,
            "score.latency.at_percent_of_mean",
            self.slow_percent,
            "must be above 100",
        );
        rules.require(
            self.late_percent < 100,
            "score.age.from_percent_of_life",
            self.late_percent,
            "must be below 100",
        );
        rules.finish()
    }
}

impl Default for ScorePolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// Weight of one operation in the moving averages.
const SAMPLE_SHARE: f64 = 0.1;
