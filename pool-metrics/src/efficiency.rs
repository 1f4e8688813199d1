//! How well a connection serves: one number in 0 to 1, with the parts that made it.

use std::time::Duration;

/// What is known of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers fill in each field; a new one must reach them"
)]
pub struct ConnectionFacts {
    /// Requests that it served.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// How often it was validated.
    pub validations: u64,
    /// How many of the validations failed.
    pub validation_failures: u64,
    /// The mean time of a request.
    pub mean_request_time: Duration,
    /// The time since it was opened.
    pub age: Duration,
}

/// The efficiency of a connection: 1 less four penalties, never below 0.
///
/// | part | formula | at most |
/// |---|---|---|
/// | errors | failed requests ÷ requests | 0.3 |
/// | validation | failed validations ÷ validations | 0.3 |
/// | latency | 5 × (mean request time − 50 ms), in seconds | 0.2 |
/// | age | 0.02 × (age − 1 h), in hours | 0.1 |
///
/// ```
/// use pool_metrics::{ConnectionFacts, Efficiency};
///
/// let facts = ConnectionFacts { requests: 10, errors: 1, ..ConnectionFacts::default() };
/// assert_eq!(Efficiency::of(&facts).score(), 0.9);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Efficiency {
    /// The penalty for failed requests.
    pub errors: f64,
    /// The penalty for failed validations.
    pub validation: f64,
    /// The penalty for slow requests.
    pub latency: f64,
    /// The penalty for age.
    pub age: f64,
}

impl Efficiency {
    /// Judges a connection.
    pub fn of(facts: &ConnectionFacts) -> Self {
        let slow = facts
            .mean_request_time
            .saturating_sub(Duration::from_millis(50));
        let old = facts.age.saturating_sub(Duration::from_secs(3600));
        Self {
            errors: ratio(facts.errors, facts.requests).min(0.3),
            validation: ratio(facts.validation_failures, facts.validations).min(0.3),
            latency: (5.0 * slow.as_secs_f64()).min(0.2),
            age: (0.02 * old.as_secs_f64() / 3600.0).min(0.1),
        }
    }

    /// The efficiency, 0 to 1.
    pub fn score(&self) -> f64 {
        (1.0 - self.errors - self.validation - self.latency - self.age).max(0.0)
    }
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_penalty_has_its_own_ceiling() {
        let facts = ConnectionFacts {
            requests: 1,
            errors: 1,
            validations: 2,
            validation_failures: 2,
            mean_request_time: Duration::from_secs(9),
            age: Duration::from_secs(1_000_000),
        };
        let worst = Efficiency::of(&facts);
        assert_eq!(
            worst,
            Efficiency {
                errors: 0.3,
                validation: 0.3,
                latency: 0.2,
                age: 0.1
            }
        );
        assert!((worst.score() - 0.1).abs() < 1e-12);
    }

    #[test]
    fn an_unused_connection_is_perfect() {
        assert_eq!(Efficiency::of(&ConnectionFacts::default()).score(), 1.0);
    }

    #[test]
    fn latency_and_age_cost_nothing_up_to_50_ms_and_one_hour() {
        let facts = |millis, hours: u64| ConnectionFacts {
            mean_request_time: Duration::from_millis(millis),
            age: Duration::from_secs(3600 * hours),
            ..ConnectionFacts::default()
        };
        assert_eq!(Efficiency::of(&facts(50, 1)).score(), 1.0);
        let later = Efficiency::of(&facts(70, 3));
        assert!((later.latency - 0.1).abs() < 1e-12);
        assert!((later.age - 0.04).abs() < 1e-12);
    }
}
