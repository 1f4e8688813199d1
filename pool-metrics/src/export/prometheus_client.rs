//! A collector for programs that use the `prometheus-client` crate.

use std::fmt;

use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::table::{Kind, Number, Samples, metrics};
use crate::{BOUNDS, Registry, TimeSnapshot, clock};

/// Encodes everything that a registry's sources say, with each scrape.
///
/// ```
/// use pool_metrics::{Collector, Registry};
///
/// let mut prometheus = prometheus_client::registry::Registry::default();
/// prometheus.register_collector(Box::new(Collector::new(Registry::new())));
/// ```
#[derive(Debug)]
pub struct Collector {
    registry: Registry,
}

impl Collector {
    /// A collector of what `registry` reports.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let report = self.registry.collect(clock::now());
        for metric in metrics() {
            // OpenMetrics names a counter without its suffix.
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let encoder = encoder.encode_descriptor(name, metric.help, None, kind)?;
            let mut family = Family {
                encoder,
                kind: metric.kind,
                result: Ok(()),
            };
            metric.read(&report, &mut family);
            family.result?;
        }
        Ok(())
    }
}

struct Family<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
    result: fmt::Result,
}

impl Family<'_> {
    fn encode_number(&mut self, labels: &[(&'static str, &str)], value: Number) -> fmt::Result {
        let mut encoder = self.encoder.encode_family(&labels)?;
        match (self.kind, value) {
            (Kind::Counter, Number::Count(count)) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
            }
            (Kind::Counter, Number::Real(real)) => {
                encoder.encode_counter::<NoLabelSet, _, f64>(&real, None)
            }
            (_, Number::Count(count)) => encoder.encode_gauge(&count),
            (_, Number::Real(real)) => encoder.encode_gauge(&real),
        }
    }

    fn encode_times(
        &mut self,
        labels: &[(&'static str, &str)],
        times: &TimeSnapshot,
    ) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
        self.encoder
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(times.sum.as_secs_f64(), times.count(), &buckets, None)
    }
}

impl Samples for Family<'_> {
    fn number(&mut self, labels: &[(&'static str, &str)], value: Number) {
        let result = self.encode_number(labels, value);
        self.result = self.result.and(result);
    }

    fn times(&mut self, labels: &[(&'static str, &str)], times: &TimeSnapshot) {
        let result = self.encode_times(labels, times);
        self.result = self.result.and(result);
    }
}
