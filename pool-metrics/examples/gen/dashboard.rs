//! The Grafana dashboard.

use serde_json::{Value, json};

pub(crate) fn text() -> String {
    let mut panels = Vec::new();
    let mut top = 0;
    for (title, row) in ROWS {
        panels.push(json!({
            "type": "row", "title": title, "collapsed": false, "panels": [],
            "id": panels.len() + 1, "gridPos": { "x": 0, "y": top, "w": 24, "h": 1 },
        }));
        top += 1;
        let width = 24 / row.len();
        for (place, panel) in row.iter().enumerate() {
            let position = json!({ "x": place * width, "y": top, "w": width, "h": HEIGHT });
            panels.push(panel.json(panels.len() + 1, &position));
        }
        top += HEIGHT;
    }
    let dashboard = json!({
        "title": "Connection pools",
        "uid": "holdfast-pools",
        "description": "Written by `cargo xtask gen`; edits are overwritten.",
        "tags": ["pool", "breaker"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "__inputs": [{
            "name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource",
            "pluginId": "prometheus", "pluginName": "Prometheus",
        }],
        "templating": { "list": [
            variable("job", "label_values(pool_info, job)"),
            variable("instance", "label_values(pool_info{job=~\"$job\"}, instance)"),
            variable("pool", "label_values(pool_info{job=~\"$job\"}, pool)"),
            variable("breaker", "label_values(breaker_state{job=~\"$job\"}, breaker)"),
        ] },
        "annotations": { "list": [] },
        "panels": panels,
    });
    let mut text = serde_json::to_string_pretty(&dashboard).expect("a tree of plain values");
    text.push('\n');
    text
}

struct Panel {
    kind: &'static str,
    title: &'static str,
    unit: &'static str,
    /// Queries with their legends. `$P` and `$B` stand for the selectors of pools and breakers.
    queries: &'static [(&'static str, &'static str)],
}

impl Panel {
    fn json(&self, id: usize, position: &Value) -> Value {
        let targets: Vec<_> = self
            .queries
            .iter()
            .zip('A'..)
            .map(|((query, legend), letter)| {
                let query = query
                    .replace("$P", r#"job=~"$job",instance=~"$instance",pool=~"$pool""#)
                    .replace(
                        "$B",
                        r#"job=~"$job",instance=~"$instance",breaker=~"$breaker""#,
                    )
                    .replace("$A", r#"job=~"$job",instance=~"$instance""#);
                json!({ "refId": letter.to_string(), "expr": query, "legendFormat": legend,
                    "datasource": source() })
            })
            .collect();
        let steps = match self.unit {
            // The thresholds of the alerts on utilisation.
            "percentunit" if self.kind == "gauge" => json!([
                { "color": "green", "value": null },
                { "color": "orange", "value": 0.7 },
                { "color": "red", "value": 0.9 },
            ]),
            _ => json!([{ "color": "green", "value": null }]),
        };
        let mut defaults = json!({ "unit": self.unit, "min": 0,
            "thresholds": { "mode": "absolute", "steps": steps } });
        if self.unit == "percentunit" {
            defaults["max"] = json!(1);
        }
        json!({
            "id": id, "type": self.kind, "title": self.title, "gridPos": position,
            "datasource": source(), "targets": targets,
            "fieldConfig": { "defaults": defaults, "overrides": [] },
        })
    }
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${DS_PROMETHEUS}" })
}

fn variable(name: &str, query: &str) -> Value {
    json!({ "name": name, "label": name, "type": "query", "query": query,
        "datasource": source(), "refresh": 2, "multi": true, "includeAll": true,
        "current": { "text": "All", "value": "$__all" } })
}

const fn panel(
    kind: &'static str,
    title: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel {
        kind,
        title,
        unit,
        queries,
    }
}

const HEIGHT: usize = 7;
const LINES: &str = "timeseries";

const ROWS: &[(&str, &[Panel])] = &[
    (
        "Overview",
        &[
            panel(
                "gauge",
                "Utilisation",
                "percentunit",
                &[("pool_utilization_ratio{$P}", "{{pool}}")],
            ),
            panel(
                LINES,
                "Pool size over time",
                "short",
                &[
                    ("pool_connections{$P}", "{{pool}} {{state}}"),
                    ("pool_connections_max{$P}", "{{pool}} max"),
                    ("pool_connections_peak{$P}", "{{pool}} peak"),
                ],
            ),
            panel(
                LINES,
                "Callers waiting",
                "short",
                &[("pool_pending_requests{$P}", "{{pool}}")],
            ),
            panel(
                LINES,
                "Error rate",
                "percentunit",
                &[("pool:acquire_failure:ratio_rate5m{$P}", "{{pool}}")],
            ),
        ],
    ),
    (
        "Latency",
        &[
            panel(
                LINES,
                "Acquire",
                "s",
                &[
                    (
                        "sum by(pool)(rate(pool_acquire_duration_seconds_sum{$P}[5m])) / sum by(pool)(rate(pool_acquire_duration_seconds_count{$P}[5m]))",
                        "{{pool}} mean",
                    ),
                    (
                        "histogram_quantile(0.5, sum by(pool, le)(rate(pool_acquire_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} p50",
                    ),
                    (
                        "histogram_quantile(0.95, sum by(pool, le)(rate(pool_acquire_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} p95",
                    ),
                    (
                        "histogram_quantile(0.99, sum by(pool, le)(rate(pool_acquire_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} p99",
                    ),
                ],
            ),
            panel(
                LINES,
                "Wait",
                "s",
                &[
                    (
                        "histogram_quantile(0.5, sum by(pool, le)(rate(pool_wait_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} p50",
                    ),
                    (
                        "histogram_quantile(0.99, sum by(pool, le)(rate(pool_wait_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} p99",
                    ),
                ],
            ),
            panel(
                LINES,
                "Connect and use, p95",
                "s",
                &[
                    (
                        "histogram_quantile(0.95, sum by(pool, le)(rate(pool_create_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} connect",
                    ),
                    (
                        "histogram_quantile(0.95, sum by(pool, le)(rate(pool_use_duration_seconds_bucket{$P}[5m])))",
                        "{{pool}} use",
                    ),
                ],
            ),
        ],
    ),
    (
        "Requests",
        &[
            panel(
                LINES,
                "Requests by class",
                "ops",
                &[(
                    "sum by(pool, class, outcome)(rate(pool_requests_total{$P}[5m]))",
                    "{{pool}} {{class}} {{outcome}}",
                )],
            ),
            panel(
                LINES,
                "Request time by class",
                "s",
                &[(
                    "pool_request_recent_seconds{$P}",
                    "{{pool}} {{class}} p{{percentile}}",
                )],
            ),
            panel(
                LINES,
                "Efficiency of the connections",
                "percentunit",
                &[(
                    "pool_connection_efficiency_ratio{$P}",
                    "{{pool}} {{statistic}}",
                )],
            ),
        ],
    ),
    (
        "Churn",
        &[
            panel(
                LINES,
                "Opened",
                "ops",
                &[("rate(pool_connections_created_total{$P}[5m])", "{{pool}}")],
            ),
            panel(
                LINES,
                "Closed by reason",
                "ops",
                &[(
                    "rate(pool_connections_closed_total{$P}[5m]) > 0",
                    "{{pool}} {{reason}}",
                )],
            ),
        ],
    ),
    (
        "Errors",
        &[
            panel(
                LINES,
                "Failed acquires",
                "ops",
                &[(
                    "rate(pool_acquire_failures_total{$P}[5m]) > 0",
                    "{{pool}} {{reason}}",
                )],
            ),
            panel(
                LINES,
                "Timeouts by stage",
                "ops",
                &[(
                    "rate(pool_timeouts_total{$P}[5m]) > 0",
                    "{{pool}} {{stage}}",
                )],
            ),
            panel(
                LINES,
                "Failed connects",
                "ops",
                &[(
                    "rate(pool_connection_errors_total{$P}[5m]) > 0",
                    "{{pool}} {{kind}}",
                )],
            ),
            panel(
                LINES,
                "Failed validations",
                "ops",
                &[(
                    "rate(pool_validation_failures_total{$P}[5m])",
                    "{{pool}} {{stage}}",
                )],
            ),
        ],
    ),
    (
        "Breaker",
        &[
            panel(
                "state-timeline",
                "State",
                "short",
                &[("breaker_state{$B} == 1", "{{breaker}} {{state}}")],
            ),
            panel(
                LINES,
                "Trips and refusals",
                "ops",
                &[
                    (
                        "sum by(breaker)(rate(breaker_trips_total{$B}[5m]))",
                        "{{breaker}} trips",
                    ),
                    (
                        "rate(breaker_rejected_total{$B}[5m]) > 0",
                        "{{breaker}} refused: {{reason}}",
                    ),
                ],
            ),
            panel(
                LINES,
                "Limit and calls in flight",
                "short",
                &[
                    ("breaker_limit{$B}", "{{breaker}} limit"),
                    ("breaker_in_flight{$B}", "{{breaker}} in flight"),
                ],
            ),
        ],
    ),
    (
        "Health",
        &[
            panel(
                "state-timeline",
                "Up",
                "short",
                &[("health_up{$A}", "{{target}}")],
            ),
            panel(
                LINES,
                "Failed checks",
                "ops",
                &[(
                    "rate(health_check_failures_total{$A}[5m]) > 0",
                    "{{target}} {{reason}}",
                )],
            ),
            panel(
                LINES,
                "Check time, p95",
                "s",
                &[(
                    "histogram_quantile(0.95, sum by(target, le)(rate(health_check_duration_seconds_bucket{$A}[5m])))",
                    "{{target}}",
                )],
            ),
        ],
    ),
    (
        "Retries",
        &[
            panel(
                LINES,
                "Retries",
                "ops",
                &[("rate(retry_attempts_total{$A}[5m])", "{{policy}}")],
            ),
            panel(
                LINES,
                "Success rate of retried calls",
                "percentunit",
                &[(
                    "sum by(policy)(rate(retry_calls_total{$A,outcome=\"after_retry\"}[5m])) / sum by(policy)(rate(retry_calls_total{$A,outcome=~\"after_retry|exhausted|budget_denied\"}[5m]))",
                    "{{policy}}",
                )],
            ),
            panel(
                LINES,
                "Budget",
                "short",
                &[("retry_budget_tokens{$A}", "{{policy}}")],
            ),
        ],
    ),
];
