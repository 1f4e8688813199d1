//! The alerts: what is asked of the metrics, for how long, and how urgent the answer is.

/// A query that is evaluated once and used by name.
pub(crate) struct Record {
    pub(crate) name: &'static str,
    pub(crate) query: &'static str,
}

/// An alert.
pub(crate) struct Alert {
    pub(crate) name: &'static str,
    pub(crate) query: &'static str,
    pub(crate) held: &'static str,
    pub(crate) severity: &'static str,
    /// May name labels as `{{ $labels.pool }}`.
    pub(crate) summary: &'static str,
}

pub(crate) const RECORDS: &[Record] = &[
    Record {
        name: "pool:utilization:ratio",
        query: r#"sum by(job, instance, pool)(pool_connections{state="used"}) / on(job, instance, pool) (pool_connections_max > 0)"#,
    },
    Record {
        name: "pool:acquire_duration_seconds:p99_rate5m",
        query: "histogram_quantile(0.99, sum by(job, instance, pool, le)(rate(pool_acquire_duration_seconds_bucket[5m])))",
    },
    Record {
        name: "pool:acquire_failure:ratio_rate5m",
        query: r#"sum by(job, instance, pool)(rate(pool_acquire_failures_total{reason!="cancelled"}[5m])) / ((sum by(job, instance, pool)(rate(pool_acquire_failures_total{reason!="cancelled"}[5m])) + sum by(job, instance, pool)(rate(pool_connections_acquired_total[5m]))) > 0)"#,
    },
    Record {
        name: "breaker:not_serving:bool",
        query: r#"sum without(state)(breaker_state{state=~"open|half_open"})"#,
    },
];

pub(crate) const ALERTS: &[Alert] = &[
    Alert {
        name: "PoolUtilizationHigh",
        query: "pool:utilization:ratio > 0.70",
        held: "5m",
        severity: "warning",
        summary: "Pool {{ $labels.pool }} has more than 70 % of its connections lent.",
    },
    Alert {
        name: "PoolUtilizationCritical",
        query: "pool:utilization:ratio > 0.90",
        held: "2m",
        severity: "critical",
        summary: "Pool {{ $labels.pool }} has more than 90 % of its connections lent.",
    },
    Alert {
        name: "PoolStarved",
        query: r#"pool_pending_requests > 0 and on(job, instance, pool) sum by(job, instance, pool)(pool_connections{state="idle"}) == 0"#,
        held: "1m",
        severity: "warning",
        summary: "Callers of pool {{ $labels.pool }} wait and no connection is idle.",
    },
    Alert {
        name: "PoolAcquireSlow",
        query: "pool:acquire_duration_seconds:p99_rate5m > 0.1",
        held: "5m",
        severity: "warning",
        summary: "One in a hundred acquires of pool {{ $labels.pool }} takes more than 100 ms.",
    },
    Alert {
        name: "PoolErrorRateHigh",
        query: "pool:acquire_failure:ratio_rate5m > 0.01",
        held: "5m",
        severity: "critical",
        summary: "More than 1 % of the acquires of pool {{ $labels.pool }} fail.",
    },
    Alert {
        name: "BreakerOpenTooLong",
        // Not state="open": half-open probes interrupt that state, and the time would start anew
        // with each. Degraded still serves, and what an operator forced is known to them.
        query: r#"breaker:not_serving:bool == 1 unless on(job, instance, breaker) breaker_mode{mode="forced_open"} == 1"#,
        held: "5m",
        severity: "critical",
        summary: "Breaker {{ $labels.breaker }} has not been serving for five minutes.",
    },
    Alert {
        name: "BreakerDegraded",
        query: r#"breaker_state{state="degraded"} == 1"#,
        held: "15m",
        severity: "warning",
        summary: "Breaker {{ $labels.breaker }} has limited its calls for fifteen minutes.",
    },
    Alert {
        name: "BreakerFlapping",
        query: r#"sum without(from, to)(increase(breaker_transitions_total{to="open"}[10m])) > 5"#,
        held: "0m",
        severity: "warning",
        summary: "Breaker {{ $labels.breaker }} opened more than five times in ten minutes.",
    },
    Alert {
        name: "BreakerForced",
        query: r#"sum without(mode)(breaker_mode{mode!="auto"}) == 1"#,
        held: "1h",
        severity: "warning",
        summary: "Breaker {{ $labels.breaker }} has been in a forced mode for an hour.",
    },
    Alert {
        name: "HealthCheckFailing",
        query: "health_consecutive_failures > 3",
        held: "0m",
        severity: "critical",
        summary: "Target {{ $labels.target }} failed more than three health checks in a row.",
    },
    Alert {
        name: "HealthCheckStale",
        query: "increase(health_checks_total[5m]) == 0",
        held: "5m",
        severity: "warning",
        summary: "Target {{ $labels.target }} is not being checked.",
    },
    Alert {
        name: "RetryBudgetExhausted",
        query: r#"increase(retry_calls_total{outcome="budget_denied"}[5m]) > 0"#,
        held: "5m",
        severity: "warning",
        summary: "The budget of retry policy {{ $labels.policy }} is empty.",
    },
];
