//! The metrics of breakers.

use Kind::{Counter, Gauge};
use Read::Breaker;

use super::{Kind, Metric, Read};

pub(super) const METRICS: &[Metric] = &[
    Metric::new(
        Gauge,
        "breaker_state",
        "1",
        "1 for the breaker's state, 0 for the others.",
        Breaker(|breaker, emit| emit.one_of("state", breaker.state)),
    )
    .labels(&["state"])
    .known_as("breaker state"),
    Metric::new(
        Gauge,
        "breaker_mode",
        "1",
        "1 for who decides (evidence, or an operator), 0 for the others.",
        Breaker(|breaker, emit| emit.one_of("mode", breaker.mode)),
    )
    .labels(&["mode"]),
    Metric::new(
        Gauge,
        "breaker_limit",
        "{call}",
        "The most calls in flight that the breaker allows; absent where it does not limit them.",
        Breaker(|breaker, emit| {
            if let Some(limit) = breaker.limit {
                emit.count(limit);
            }
        }),
    ),
    Metric::new(
        Gauge,
        "breaker_in_flight",
        "{call}",
        "Calls in flight; absent where the breaker does not count them.",
        Breaker(|breaker, emit| {
            if let Some(calls) = breaker.in_flight {
                emit.count(calls);
            }
        }),
    ),
    Metric::new(
        Gauge,
        "breaker_failure_ratio",
        "1",
        "The share of failures in the breaker's window, 0 to 1.",
        Breaker(|breaker, emit| emit.real(breaker.failure_ratio)),
    )
    .known_as("error rate"),
    Metric::new(
        Counter,
        "breaker_trips_total",
        "{trip}",
        "How often the breaker opened, by cause.",
        Breaker(|breaker, emit| emit.counts("cause", &breaker.trips)),
    )
    .labels(&["cause"])
    .known_as("breaker trips"),
    Metric::new(
        Counter,
        "breaker_transitions_total",
        "{transition}",
        "How often the breaker went from one state to another.",
        Breaker(|breaker, emit| {
            for (edge, count) in breaker.transitions.iter() {
                let (from, to) = edge.ends();
                emit.with("from", from).with("to", to).count(count);
            }
        }),
    )
    .labels(&["from", "to"]),
    Metric::new(
        Counter,
        "breaker_calls_total",
        "{call}",
        "What calls told the breaker.",
        Breaker(|breaker, emit| emit.counts("outcome", &breaker.calls)),
    )
    .labels(&["outcome"]),
    Metric::new(
        Counter,
        "breaker_rejected_total",
        "{call}",
        "Calls that the breaker refused, by reason.",
        Breaker(|breaker, emit| emit.counts("reason", &breaker.rejected)),
    )
    .labels(&["reason"]),
];
