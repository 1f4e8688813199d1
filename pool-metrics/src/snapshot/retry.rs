//! A retry policy.

use std::time::Duration;

use crate::{Counts, RetryOutcome};

/// A retry policy at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// The name by which an operator knows the policy; unique in a report.
    pub policy: String,
    /// Attempts after the first of each call.
    pub attempts: u64,
    /// How the calls ended.
    pub calls: Counts<RetryOutcome>,
    /// The time slept between attempts.
    pub backoff: Duration,
    /// What is left in the retry budget, if there is one.
    pub budget: Option<f64>,
}

impl RetrySnapshot {
    /// A policy under which nothing was called.
    pub fn new(policy: impl Into<String>) -> Self {
        Self {
            policy: policy.into(),
            ..Self::default()
        }
    }

    /// Calls that a retry saved.
    pub fn succeeded(&self) -> u64 {
        self.calls[RetryOutcome::AfterRetry]
    }

    /// Calls that failed in spite of their retries.
    pub fn failed(&self) -> u64 {
        self.calls[RetryOutcome::Exhausted]
    }

    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            attempts: self.attempts.saturating_sub(earlier.attempts),
            calls: self.calls.since(&earlier.calls),
            backoff: self.backoff.saturating_sub(earlier.backoff),
            ..self.clone()
        }
    }
}
