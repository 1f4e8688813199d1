//! The metrics of health checks.

use Kind::{Counter, Gauge, Histogram};
use Read::Health;

use super::{Kind, Metric, Read};

pub(super) const METRICS: &[Metric] = &[
    Metric::new(
        Gauge,
        "health_up",
        "1",
        "1 if the target is judged to be up.",
        Health(|health, emit| emit.count(u64::from(health.up))),
    ),
    Metric::new(
        Counter,
        "health_checks_total",
        "{check}",
        "Health checks that ended.",
        Health(|health, emit| emit.count(health.checks)),
    ),
    Metric::new(
        Counter,
        "health_check_failures_total",
        "{check}",
        "Health checks that failed, by reason.",
        Health(|health, emit| emit.counts("reason", &health.failures)),
    )
    .labels(&["reason"])
    .known_as("health check failures"),
    Metric::new(
        Gauge,
        "health_consecutive_failures",
        "{check}",
        "Failed checks since the last good one.",
        Health(|health, emit| emit.count(health.consecutive_failures)),
    )
    .known_as("consecutive failures"),
    Metric::new(
        Histogram,
        "health_check_duration_seconds",
        "s",
        "How long health checks took.",
        Health(|health, emit| emit.times(&health.time)),
    ),
];
