//! A target of health checks.

use crate::{CheckFailure, Counts, TimeSnapshot};

/// A target of health checks at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HealthSnapshot {
    /// The name by which an operator knows the target; unique in a report. Not its address, if
    /// that holds credentials.
    pub target: String,
    /// Whether it is judged to be up.
    pub up: bool,
    /// Checks that ended.
    pub checks: u64,
    /// Checks that failed.
    pub failures: Counts<CheckFailure>,
    /// Failed checks since the last good one.
    pub consecutive_failures: u64,
    /// How long the checks took.
    pub time: TimeSnapshot,
}

impl HealthSnapshot {
    /// A target that is up and was never checked.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            up: true,
            ..Self::default()
        }
    }

    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            checks: self.checks.saturating_sub(earlier.checks),
            failures: self.failures.since(&earlier.failures),
            time: self.time.since(&earlier.time),
            ..self.clone()
        }
    }
}
