//! A bridge into the `metrics` facade, for programs whose numbers go there already.

use std::io;
use std::time::Duration;

use metrics::{Key, KeyName, Label, Level, Metadata, SharedString, Unit, with_recorder};

use crate::export::periodic::Periodic;
use crate::table::{Kind, Number, Samples, metrics};
use crate::{Registry, Report, TimeSnapshot, clock};

/// Copies everything into the global recorder of `metrics` each `period`.
///
/// The facade takes histograms observation by observation, which nobody could afford on the way of
/// an acquire. So a histogram arrives as two counters, `.._sum_nanoseconds` and `.._count`; the
/// quantiles are gauges of their own.
///
/// # Errors
///
/// When no thread can be started.
pub fn metrics_bridge(registry: Registry, period: Duration) -> io::Result<Periodic> {
    Periodic::spawn("pool-metrics-bridge", period, move || {
        copy_to_metrics(&registry.collect(clock::now()));
    })
}

/// Copies a report into the current recorder of `metrics` once.
pub fn copy_to_metrics(report: &Report) {
    for metric in metrics() {
        with_recorder(|recorder| {
            let name = KeyName::from_const_str(metric.name);
            let unit = (metric.unit == "s").then_some(Unit::Seconds);
            let help = SharedString::const_str(metric.help);
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, unit, help),
                Kind::Gauge => recorder.describe_gauge(name, unit, help),
                Kind::Histogram => {}
            }
        });
        metric.read(
            report,
            &mut Facade {
                name: metric.name,
                kind: metric.kind,
            },
        );
    }
}

struct Facade {
    name: &'static str,
    kind: Kind,
}

impl Facade {
    fn counter(name: String, labels: &[(&'static str, &str)], count: u64) {
        let key = key(name, labels);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA).absolute(count));
    }
}

impl Samples for Facade {
    fn number(&mut self, labels: &[(&'static str, &str)], value: Number) {
        match (self.kind, value) {
            (Kind::Counter, Number::Count(count)) => {
                Self::counter(self.name.to_owned(), labels, count);
            }
            // The facade's counters are whole numbers, and a counter of seconds is not.
            (_, value) => {
                let key = key(self.name.to_owned(), labels);
                with_recorder(|recorder| {
                    recorder.register_gauge(&key, &METADATA).set(value.as_f64());
                });
            }
        }
    }

    fn times(&mut self, labels: &[(&'static str, &str)], times: &TimeSnapshot) {
        let sum_ns = u64::try_from(times.sum.as_nanos()).unwrap_or(u64::MAX);
        let base = self.name.trim_end_matches("_seconds");
        Self::counter(format!("{base}_sum_nanoseconds"), labels, sum_ns);
        Self::counter(format!("{base}_count"), labels, times.count());
    }
}

fn key(name: String, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(name, labels)
}

static METADATA: Metadata<'static> = Metadata::new("pool::metrics", Level::INFO, None);
