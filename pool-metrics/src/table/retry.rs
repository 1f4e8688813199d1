//! The metrics of retries.

use Kind::{Counter, Gauge};
use Read::Retry;

use super::{Kind, Metric, Read};

pub(super) const METRICS: &[Metric] = &[
    Metric::new(
        Counter,
        "retry_attempts_total",
        "{attempt}",
        "Attempts after the first of each call.",
        Retry(|retry, emit| emit.count(retry.attempts)),
    )
    .known_as("retry attempts"),
    Metric::new(
        Counter,
        "retry_calls_total",
        "{call}",
        "How calls under the policy ended.",
        Retry(|retry, emit| emit.counts("outcome", &retry.calls)),
    )
    .labels(&["outcome"])
    .known_as("successful retries (`after_retry`) and failed retries (`exhausted`)"),
    Metric::new(
        Counter,
        "retry_backoff_seconds_total",
        "s",
        "Time slept between attempts.",
        Retry(|retry, emit| emit.real(retry.backoff.as_secs_f64())),
    ),
    Metric::new(
        Gauge,
        "retry_budget_tokens",
        "{token}",
        "What is left in the retry budget; absent where there is none.",
        Retry(|retry, emit| {
            if let Some(tokens) = retry.budget {
                emit.real(tokens);
            }
        }),
    ),
];
