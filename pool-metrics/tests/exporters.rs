//! Every exporter shows every metric, under the name and with the number of the table.

#![cfg(all(
    feature = "metrics",
    feature = "opentelemetry",
    feature = "prometheus-client"
))]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::full_report;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, atomics,
};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use pool_metrics::table::{Kind, metrics};
use pool_metrics::{Collector, Registration, Registry, Report, Source, copy_to_metrics, observe};

struct Fixed;

impl Source for Fixed {
    fn collect(&self, _now: Instant, report: &mut Report) {
        *report = full_report("orders");
    }
}

fn registry() -> (Registry, Registration) {
    let registry = Registry::new();
    let registration = registry.register(Arc::new(Fixed)).expect("there is room");
    (registry, registration)
}

#[test]
fn prometheus_client_encodes_every_metric() {
    let (registry, _registration) = registry();
    let mut client = prometheus_client::registry::Registry::default();
    client.register_collector(Box::new(Collector::new(registry)));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &client).unwrap();
    for metric in metrics() {
        let suffix = if metric.kind == Kind::Histogram {
            "_count"
        } else {
            ""
        };
        let start = match metric.subject() {
            Some(subject) => format!("\n{}{suffix}{{{subject}=\"orders\"", metric.name),
            None => format!("\n{}{{}} ", metric.name),
        };
        assert!(page.contains(&start), "{start} is not in\n{page}");
    }
    assert!(page.contains("pool_connections_max{pool=\"orders\"} 20\n"));
    let bucket = "pool_wait_duration_seconds_bucket{le=\"0.005\",pool=\"orders\"} 1\n";
    assert!(page.contains(bucket), "{page}");
    assert!(page.contains("pool_wait_duration_seconds_bucket{le=\"+Inf\",pool=\"orders\"} 1\n"));
}

type Cells = Mutex<BTreeMap<String, Arc<atomics::AtomicU64>>>;

/// Keeps the latest value of each key, as bits.
#[derive(Default)]
struct Kept {
    counters: Cells,
    gauges: Cells,
}

fn cell(cells: &Cells, key: &Key) -> Arc<atomics::AtomicU64> {
    let labels: Vec<_> = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()))
        .collect();
    let name = format!("{}[{}]", key.name(), labels.join(","));
    cells
        .lock()
        .expect("no recorder panics")
        .entry(name)
        .or_default()
        .clone()
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(cell(&self.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(cell(&self.gauges, key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("histograms are copied as counters")
    }
}

#[test]
fn the_metrics_facade_gets_every_metric_and_copying_twice_counts_nothing_twice() {
    let kept = Kept::default();
    let report = full_report("orders");
    metrics::with_local_recorder(&kept, || {
        copy_to_metrics(&report);
        copy_to_metrics(&report);
    });
    let (counters, gauges) = (
        kept.counters.into_inner().unwrap(),
        kept.gauges.into_inner().unwrap(),
    );
    for metric in metrics() {
        let name = match metric.kind {
            Kind::Histogram => format!("{}_count[", metric.name.trim_end_matches("_seconds")),
            _ => format!("{}[", metric.name),
        };
        let mut keys = counters.keys().chain(gauges.keys());
        assert!(keys.any(|key| key.starts_with(&name)), "{name}");
    }
    let wait = &counters["pool_wait_duration_count[pool=orders]"];
    assert_eq!(wait.load(Ordering::Relaxed), 1);
    let max = &gauges["pool_connections_max[pool=orders]"];
    assert_eq!(f64::from_bits(max.load(Ordering::Relaxed)), 20.0);
}

/// The points of every metric: attributes in order, and the value.
fn points(exporter: &InMemoryMetricExporter) -> BTreeMap<String, Vec<(String, f64)>> {
    let mut observed = BTreeMap::<String, Vec<(String, f64)>>::new();
    for resource in exporter.get_finished_metrics().expect("the exporter runs") {
        for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
            let AggregatedMetrics::F64(data) = metric.data() else {
                panic!("all are floats")
            };
            let attributes = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
                let mut all: Vec<_> = attributes
                    .map(|one| format!("{}={}", one.key, one.value))
                    .collect();
                all.sort();
                all.join(",")
            };
            let points = observed.entry(metric.name().to_owned()).or_default();
            match data {
                MetricData::Sum(sum) => points.extend(
                    sum.data_points()
                        .map(|p| (attributes(&mut p.attributes()), p.value())),
                ),
                MetricData::Gauge(gauge) => points.extend(
                    gauge
                        .data_points()
                        .map(|p| (attributes(&mut p.attributes()), p.value())),
                ),
                _ => panic!("{} is neither sum nor gauge", metric.name()),
            }
        }
    }
    observed
}

#[test]
fn opentelemetry_observes_the_conventions_names_and_attributes() {
    let (registry, _registration) = registry();
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    observe(&provider.meter("pool"), registry);
    provider.force_flush().unwrap();

    let observed = points(&exporter);
    let histograms = metrics()
        .filter(|metric| metric.kind == Kind::Histogram)
        .count();
    assert_eq!(
        observed.len(),
        metrics().count() + histograms,
        "{:?}",
        observed.keys()
    );
    let pool = "db.client.connection.pool.name=orders";
    for (name, attributes, value) in [
        (
            "db.client.connection.count",
            format!("{pool},db.client.connection.state=idle"),
            5.0,
        ),
        (
            "db.client.connection.count",
            format!("{pool},db.client.connection.state=used"),
            3.0,
        ),
        ("db.client.connection.max", pool.to_owned(), 20.0),
        ("db.client.connection.idle.max", pool.to_owned(), 10.0),
        (
            "db.client.connection.pending_requests",
            pool.to_owned(),
            0.0,
        ),
        ("db.client.connection.wait_time.count", pool.to_owned(), 1.0),
    ] {
        assert!(
            observed[name].contains(&(attributes, value)),
            "{name}: {:?}",
            observed[name]
        );
    }
}
