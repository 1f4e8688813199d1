//! Observable instruments for OpenTelemetry.
//!
//! What the semantic conventions for database clients name goes under their name
//! (`db.client.connection.*`) with their attributes; the rest under its own name with dots. The
//! SDK has no observable histogram, so a histogram is observed as two counters, `<name>.sum` in
//! seconds and `<name>.count`; the quantiles are gauges of their own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use crate::table::{Kind, Metric, Number, Samples, metrics};
use crate::{Registry, Report, TimeSnapshot, clock};

/// Makes an instrument for every metric. They live as long as the meter's provider.
///
/// ```
/// use opentelemetry::metrics::MeterProvider;
/// use pool_metrics::{Registry, observe};
///
/// # let provider = opentelemetry_sdk::metrics::SdkMeterProvider::builder().build();
/// observe(&provider.meter("pool"), Registry::new());
/// ```
pub fn observe(meter: &Meter, registry: Registry) {
    let latest = Arc::new(Latest {
        registry,
        report: Mutex::new(None),
    });
    for metric in metrics() {
        let name = instrument_name(metric);
        match metric.kind {
            Kind::Histogram => {
                let source = latest.clone();
                meter
                    .f64_observable_counter(format!("{name}.sum"))
                    .with_unit("s")
                    .with_description(metric.help)
                    .with_callback(move |observer| source.observe(metric, Part::Sum, observer))
                    .build();
                let source = latest.clone();
                meter
                    .f64_observable_counter(format!("{name}.count"))
                    .with_unit("1")
                    .with_description(metric.help)
                    .with_callback(move |observer| source.observe(metric, Part::Count, observer))
                    .build();
            }
            Kind::Counter => {
                let source = latest.clone();
                meter
                    .f64_observable_counter(name)
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .with_callback(move |observer| source.observe(metric, Part::Value, observer))
                    .build();
            }
            // The conventions ask for sums that go up and down where connections add up.
            Kind::Gauge if metric.convention.is_some() => {
                let source = latest.clone();
                meter
                    .f64_observable_up_down_counter(name)
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .with_callback(move |observer| source.observe(metric, Part::Value, observer))
                    .build();
            }
            Kind::Gauge => {
                let source = latest.clone();
                meter
                    .f64_observable_gauge(name)
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .with_callback(move |observer| source.observe(metric, Part::Value, observer))
                    .build();
            }
        }
    }
}

fn instrument_name(metric: &Metric) -> String {
    match metric.convention {
        Some(name) => name.to_owned(),
        None => metric
            .name
            .trim_end_matches("_total")
            .trim_end_matches("_seconds")
            .trim_end_matches("_ratio")
            .replace('_', "."),
    }
}

/// One report for all instruments of a collection, rather than one for each.
struct Latest {
    registry: Registry,
    report: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Latest {
    fn observe(&self, metric: &Metric, part: Part, observer: &dyn AsyncInstrument<f64>) {
        let report = self.report(clock::now());
        let is_convention = metric.convention.is_some();
        metric.read(
            &report,
            &mut Observations {
                observer,
                part,
                is_convention,
            },
        );
    }

    fn report(&self, now: Instant) -> Arc<Report> {
        let latest = self
            .report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, report)) = latest {
            if now.saturating_duration_since(at) < FRESH {
                return report;
            }
        }
        // Not under the lock: the sources are other people's code.
        let report = Arc::new(self.registry.collect(now));
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, report.clone()));
        report
    }
}

#[derive(Clone, Copy)]
enum Part {
    Value,
    Sum,
    Count,
}

struct Observations<'a> {
    observer: &'a dyn AsyncInstrument<f64>,
    part: Part,
    is_convention: bool,
}

impl Observations<'_> {
    fn observe(&self, labels: &[(&'static str, &str)], value: f64) {
        let attributes: Vec<_> = labels
            .iter()
            .map(|(name, value)| {
                let name = match *name {
                    "pool" => "db.client.connection.pool.name",
                    "state" if self.is_convention => "db.client.connection.state",
                    other => other,
                };
                KeyValue::new(name, (*value).to_owned())
            })
            .collect();
        self.observer.observe(value, &attributes);
    }
}

impl Samples for Observations<'_> {
    fn number(&mut self, labels: &[(&'static str, &str)], value: Number) {
        self.observe(labels, value.as_f64());
    }

    fn times(&mut self, labels: &[(&'static str, &str)], times: &TimeSnapshot) {
        let value = match self.part {
            Part::Count => times.count() as f64,
            Part::Sum | Part::Value => times.sum.as_secs_f64(),
        };
        self.observe(labels, value);
    }
}

const FRESH: Duration = Duration::from_millis(100);
