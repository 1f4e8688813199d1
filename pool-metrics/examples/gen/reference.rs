//! The reference of metrics and log targets.

use std::fmt::Write;

use pool_metrics::table::{Kind, Metric, metrics};
use pool_metrics::{BOUNDS, TARGETS};

pub(crate) fn text() -> String {
    let mut page = String::from(
        "# Metrics\n\nWritten by `cargo xtask gen` from the table in `pool-metrics`; do not edit.\n\n\
         Names are an interface. Every series of an enumerated label exists from the start, at 0. \
         Each metric carries the label of its table's heading beside its own.\n",
    );
    let subjects = [
        (Some("pool"), "Pools: label `pool`"),
        (Some("breaker"), "Breakers: label `breaker`"),
        (Some("target"), "Health checks: label `target`"),
        (Some("policy"), "Retries: label `policy`"),
        (None, "The report itself"),
    ];
    for (subject, heading) in subjects {
        write!(
            page,
            "\n## {heading}\n\n\
             | name | kind | unit | labels | meaning | also known as | OpenTelemetry |\n\
             |---|---|---|---|---|---|---|\n"
        )
        .expect("a string takes everything");
        for metric in metrics().filter(|metric| metric.subject() == subject) {
            push_row(&mut page, metric);
        }
    }
    let bounds: Vec<_> = BOUNDS.iter().map(f64::to_string).collect();
    write!(
        page,
        "\n## Histogram bounds\n\nSeconds: {}. Within the program a bin is at most 3.2 % wide; a \
         bin that straddles a bound counts under the higher one.\n\n\
         ## Log targets\n\n| target | up to | tells |\n|---|---|---|\n",
        bounds.join(", ")
    )
    .expect("a string takes everything");
    for target in TARGETS {
        writeln!(
            page,
            "| `{}` | {:?} | {} |",
            target.name, target.level, target.meaning
        )
        .expect("a string takes everything");
    }
    page
}

fn push_row(page: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels: Vec<_> = metric
        .labels
        .iter()
        .map(|label| format!("`{label}`"))
        .collect();
    let convention = metric
        .convention
        .map(|name| format!("`{name}`"))
        .unwrap_or_default();
    writeln!(
        page,
        "| `{}` | {kind} | {} | {} | {} | {} | {convention} |",
        metric.name,
        metric.unit,
        labels.join(", "),
        metric.help,
        metric.known_as.unwrap_or_default(),
    )
    .expect("a string takes everything");
}
