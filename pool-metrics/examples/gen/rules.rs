//! The rule file for Prometheus, and the tests that promtool runs on it.

use std::fmt::Write;

use crate::alerts::{ALERTS, Alert, RECORDS};

pub(crate) fn text() -> String {
    let mut rules = String::from(HEAD);
    rules.push_str("groups:\n  - name: pool-records\n    interval: 30s\n    rules:\n");
    for record in RECORDS {
        write!(
            rules,
            "      - record: {}\n        expr: {}\n",
            record.name,
            quoted(record.query)
        )
        .expect("a string takes everything");
    }
    rules.push_str("  - name: pool-alerts\n    interval: 30s\n    rules:\n");
    for alert in ALERTS {
        write!(
            rules,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          \
             severity: {}\n        annotations:\n          summary: {}\n          runbook_url: {}\n",
            alert.name,
            quoted(alert.query),
            alert.held,
            alert.severity,
            quoted(alert.summary),
            quoted(&runbook(alert)),
        )
        .expect("a string takes everything");
    }
    rules
}

pub(crate) fn tests_text() -> String {
    let mut tests = String::from(HEAD);
    tests.push_str(
        "rule_files:\n  - pool.rules.yml\nevaluation_interval: 30s\n\
         group_eval_order: [pool-records, pool-alerts]\ntests:\n",
    );
    for alert in ALERTS {
        assert!(
            CASES.iter().any(|case| case.fires.contains(&alert.name)),
            "{}",
            alert.name
        );
        assert!(
            CASES.iter().any(|case| case.silent.contains(&alert.name)),
            "{}",
            alert.name
        );
    }
    for case in CASES {
        write!(
            tests,
            "  # {}\n  - interval: 30s\n    input_series:\n",
            case.rule
        )
        .expect("a string takes everything");
        for (series, values) in case.series {
            let series = match series.split_once('{') {
                Some((name, labels)) => format!("{name}{{{TARGET},{labels}"),
                None => format!("{series}{{{TARGET}}}"),
            };
            write!(
                tests,
                "      - series: {}\n        values: {}\n",
                quoted(&series),
                quoted(values)
            )
            .expect("a string takes everything");
        }
        tests.push_str("    alert_rule_test:\n");
        for name in case.fires {
            push_expectation(&mut tests, case, name, true);
        }
        for name in case.silent {
            push_expectation(&mut tests, case, name, false);
        }
    }
    tests
}

/// What must happen to alerts after some time of some series.
struct Case {
    rule: &'static str,
    series: &'static [(&'static str, &'static str)],
    at: &'static str,
    subject: (&'static str, &'static str),
    fires: &'static [&'static str],
    silent: &'static [&'static str],
}

fn push_expectation(tests: &mut String, case: &Case, name: &str, fires: bool) {
    let alert = ALERTS
        .iter()
        .find(|alert| alert.name == name)
        .expect("cases name alerts");
    write!(
        tests,
        "      - eval_time: {}\n        alertname: {name}\n",
        case.at
    )
    .expect("a string takes everything");
    if !fires {
        tests.push_str("        exp_alerts: []\n");
        return;
    }
    let (label, value) = case.subject;
    let summary = alert
        .summary
        .replace(&format!("{{{{ $labels.{label} }}}}"), value);
    let outcome = match name {
        "RetryBudgetExhausted" => "              outcome: budget_denied\n",
        "BreakerDegraded" => "              state: degraded\n",
        _ => "",
    };
    write!(
        tests,
        "        exp_alerts:\n          - exp_labels:\n              job: app\n              \
         instance: one\n              {label}: {value}\n              severity: {}\n{outcome}            \
         exp_annotations:\n              summary: {}\n              runbook_url: {}\n",
        alert.severity,
        quoted(&summary),
        quoted(&runbook(alert)),
    )
    .expect("a string takes everything");
}

fn runbook(alert: &Alert) -> String {
    format!("docs/operations/runbook.md#{}", alert.name.to_lowercase())
}

/// A scalar that YAML takes as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const HEAD: &str = "# Written by `cargo xtask gen` from the tables in pool-metrics; do not edit.\n";
const TARGET: &str = r#"job="app",instance="one""#;
const POOL: (&str, &str) = ("pool", "orders");
const BREAKER: (&str, &str) = ("breaker", "orders");

const CASES: &[Case] = &[
    Case {
        rule: "80 % utilisation is a warning and not critical",
        series: &[
            (r#"pool_connections{pool="orders",state="used"}"#, "16x30"),
            (r#"pool_connections{pool="orders",state="idle"}"#, "4x30"),
            (r#"pool_connections_max{pool="orders"}"#, "20x30"),
            (r#"pool_pending_requests{pool="orders"}"#, "2x30"),
        ],
        at: "10m",
        subject: POOL,
        fires: &["PoolUtilizationHigh"],
        silent: &["PoolUtilizationCritical", "PoolStarved"],
    },
    Case {
        rule: "95 % utilisation is critical, and callers that wait while nothing is idle starve",
        series: &[
            (r#"pool_connections{pool="orders",state="used"}"#, "19x30"),
            (r#"pool_connections{pool="orders",state="idle"}"#, "0x30"),
            (r#"pool_connections_max{pool="orders"}"#, "20x30"),
            (r#"pool_pending_requests{pool="orders"}"#, "2x30"),
        ],
        at: "10m",
        subject: POOL,
        fires: &[
            "PoolUtilizationHigh",
            "PoolUtilizationCritical",
            "PoolStarved",
        ],
        silent: &[],
    },
    Case {
        rule: "a pool whose maximum is 0 is silent",
        series: &[
            (r#"pool_connections{pool="orders",state="used"}"#, "0x30"),
            (r#"pool_connections_max{pool="orders"}"#, "0x30"),
        ],
        at: "10m",
        subject: POOL,
        fires: &[],
        silent: &["PoolUtilizationHigh", "PoolUtilizationCritical"],
    },
    Case {
        rule: "a twentieth of the acquires over 100 ms is slow, 2 % failures are too many",
        series: &[
            (
                r#"pool_acquire_duration_seconds_bucket{pool="orders",le="0.1"}"#,
                "0+95x40",
            ),
            (
                r#"pool_acquire_duration_seconds_bucket{pool="orders",le="0.25"}"#,
                "0+100x40",
            ),
            (
                r#"pool_acquire_duration_seconds_bucket{pool="orders",le="+Inf"}"#,
                "0+100x40",
            ),
            (
                r#"pool_acquire_failures_total{pool="orders",reason="timeout"}"#,
                "0+2x40",
            ),
            (
                r#"pool_connections_acquired_total{pool="orders",path="idle"}"#,
                "0+98x40",
            ),
        ],
        at: "15m",
        subject: POOL,
        fires: &["PoolAcquireSlow", "PoolErrorRateHigh"],
        silent: &[],
    },
    Case {
        rule: "cancelled acquires are no errors, and fast ones are not slow",
        series: &[
            (
                r#"pool_acquire_duration_seconds_bucket{pool="orders",le="0.1"}"#,
                "0+100x40",
            ),
            (
                r#"pool_acquire_duration_seconds_bucket{pool="orders",le="+Inf"}"#,
                "0+100x40",
            ),
            (
                r#"pool_acquire_failures_total{pool="orders",reason="cancelled"}"#,
                "0+50x40",
            ),
            (
                r#"pool_acquire_failures_total{pool="orders",reason="timeout"}"#,
                "0x40",
            ),
            (
                r#"pool_connections_acquired_total{pool="orders",path="idle"}"#,
                "0+50x40",
            ),
        ],
        at: "15m",
        subject: POOL,
        fires: &[],
        silent: &["PoolAcquireSlow", "PoolErrorRateHigh"],
    },
    Case {
        rule: "half-open probes that interrupt open do not hide that the breaker is not serving",
        series: &[
            (
                r#"breaker_state{breaker="orders",state="open"}"#,
                "1 1 0 1 1 0 1 1 0 1 1 0 1 1 0 1 1 0 1 1 0 1 1 0",
            ),
            (
                r#"breaker_state{breaker="orders",state="half_open"}"#,
                "0 0 1 0 0 1 0 0 1 0 0 1 0 0 1 0 0 1 0 0 1 0 0 1",
            ),
            (
                r#"breaker_state{breaker="orders",state="degraded"}"#,
                "0x24",
            ),
            (
                r#"breaker_mode{breaker="orders",mode="forced_open"}"#,
                "0x24",
            ),
            (
                r#"breaker_transitions_total{breaker="orders",from="half_open",to="open"}"#,
                "0 0 0 1 1 1 2 2 2 3 3 3 4 4 4 5 5 5 6 6 6 7 7 7",
            ),
        ],
        at: "10m",
        subject: BREAKER,
        fires: &["BreakerOpenTooLong", "BreakerFlapping"],
        silent: &["BreakerDegraded"],
    },
    Case {
        rule: "a degraded breaker pages nobody, and is a warning after a quarter of an hour",
        series: &[
            (r#"breaker_state{breaker="orders",state="open"}"#, "0x60"),
            (
                r#"breaker_state{breaker="orders",state="half_open"}"#,
                "0x60",
            ),
            (
                r#"breaker_state{breaker="orders",state="degraded"}"#,
                "1x60",
            ),
            (r#"breaker_mode{breaker="orders",mode="auto"}"#, "1x60"),
            (
                r#"breaker_mode{breaker="orders",mode="forced_open"}"#,
                "0x60",
            ),
            (
                r#"breaker_transitions_total{breaker="orders",from="closed",to="open"}"#,
                "3x60",
            ),
        ],
        at: "20m",
        subject: BREAKER,
        fires: &["BreakerDegraded"],
        silent: &["BreakerOpenTooLong", "BreakerFlapping", "BreakerForced"],
    },
    Case {
        rule: "a breaker that was forced open pages nobody, and is a warning after an hour",
        series: &[
            (r#"breaker_state{breaker="orders",state="open"}"#, "1x150"),
            (
                r#"breaker_state{breaker="orders",state="half_open"}"#,
                "0x150",
            ),
            (r#"breaker_mode{breaker="orders",mode="auto"}"#, "0x150"),
            (
                r#"breaker_mode{breaker="orders",mode="forced_open"}"#,
                "1x150",
            ),
        ],
        at: "70m",
        subject: BREAKER,
        fires: &["BreakerForced"],
        silent: &["BreakerOpenTooLong"],
    },
    Case {
        rule: "the fourth failed check in a row fires",
        series: &[
            (
                r#"health_consecutive_failures{target="orders"}"#,
                "1 2 3 4 4 4 4 4 4",
            ),
            (r#"health_checks_total{target="orders"}"#, "0+1x40"),
        ],
        at: "90s",
        subject: ("target", "orders"),
        fires: &["HealthCheckFailing"],
        silent: &["HealthCheckStale"],
    },
    Case {
        rule: "the third failed check in a row does not fire",
        series: &[(
            r#"health_consecutive_failures{target="orders"}"#,
            "1 2 3 4 4 4 4 4 4",
        )],
        at: "60s",
        subject: ("target", "orders"),
        fires: &[],
        silent: &["HealthCheckFailing"],
    },
    Case {
        rule: "a target that is no longer checked is noticed",
        series: &[(r#"health_checks_total{target="orders"}"#, "7x40")],
        at: "15m",
        subject: ("target", "orders"),
        fires: &["HealthCheckStale"],
        silent: &["HealthCheckFailing"],
    },
    Case {
        rule: "a retry budget that goes on denying is noticed",
        series: &[(
            r#"retry_calls_total{policy="orders",outcome="budget_denied"}"#,
            "0+1x40",
        )],
        at: "15m",
        subject: ("policy", "orders"),
        fires: &["RetryBudgetExhausted"],
        silent: &[],
    },
    Case {
        rule: "a retry budget that denied nothing is silent",
        series: &[(
            r#"retry_calls_total{policy="orders",outcome="budget_denied"}"#,
            "5x40",
        )],
        at: "15m",
        subject: ("policy", "orders"),
        fires: &[],
        silent: &["RetryBudgetExhausted"],
    },
];
