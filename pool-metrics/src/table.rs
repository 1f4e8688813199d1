//! The one table of metrics: name, kind, unit, labels, meaning, and where the number comes from.
//!
//! Everything that shows a metric reads this table: the exporters, the reference page, the
//! dashboard, the alert rules. A metric therefore cannot be exported and undocumented, or
//! documented and without a source.

mod breaker;
mod health;
mod pool;
mod retry;

use crate::snapshot::{BreakerSnapshot, HealthSnapshot, PoolSnapshot, RetrySnapshot};
use crate::{Counts, LabelValue, Quantiles, Report, TimeSnapshot};

/// Every metric, in the order of the page.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    [
        pool::METRICS,
        breaker::METRICS,
        health::METRICS,
        retry::METRICS,
    ]
    .into_iter()
    .flatten()
}

/// A metric.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// The name under which Prometheus knows it. An interface: it changes with a major version.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The unit, in the notation of UCUM as OpenTelemetry uses it: `s`, `1`, `{connection}`.
    pub unit: &'static str,
    /// The labels beside the one that names the pool, breaker, target or policy.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    /// What users of other pools call it.
    pub known_as: Option<&'static str>,
    /// Its name in the semantic conventions of OpenTelemetry, where those have one.
    pub convention: Option<&'static str>,
    read: Read,
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "exporters must treat each kind")]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times, by bucket.
    Histogram,
}

/// A number as it is exported.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "exporters must treat each form")]
pub enum Number {
    /// A count.
    Count(u64),
    /// A ratio, or seconds.
    Real(f64),
}

/// Takes the samples of a metric, one after another.
pub trait Samples {
    /// A sample of a counter or a gauge. The names of `labels` are unique.
    fn number(&mut self, labels: &[(&'static str, &str)], value: Number);

    /// A sample of a histogram.
    fn times(&mut self, labels: &[(&'static str, &str)], times: &TimeSnapshot);
}

impl Metric {
    /// The label that names whose metric it is.
    pub fn subject(&self) -> Option<&'static str> {
        match self.read {
            Read::Pool(_) => Some("pool"),
            Read::Breaker(_) => Some("breaker"),
            Read::Health(_) => Some("target"),
            Read::Retry(_) => Some("policy"),
            Read::Report(_) => None,
        }
    }

    /// Gives every sample that `report` has of this metric to `samples`.
    pub fn read(&self, report: &Report, samples: &mut dyn Samples) {
        match self.read {
            Read::Pool(read) => {
                for pool in &report.pools {
                    read(pool, &mut Emit::of("pool", &pool.name, samples));
                }
            }
            Read::Breaker(read) => {
                for breaker in &report.breakers {
                    read(breaker, &mut Emit::of("breaker", &breaker.name, samples));
                }
            }
            Read::Health(read) => {
                for health in &report.health {
                    read(health, &mut Emit::of("target", &health.target, samples));
                }
            }
            Read::Retry(read) => {
                for retry in &report.retries {
                    read(retry, &mut Emit::of("policy", &retry.policy, samples));
                }
            }
            Read::Report(read) => {
                read(
                    report,
                    &mut Emit {
                        labels: [("", ""); MAX_LABELS],
                        length: 0,
                        samples,
                    },
                );
            }
        }
    }

    const fn new(
        kind: Kind,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
        read: Read,
    ) -> Self {
        Self {
            name,
            kind,
            unit,
            labels: &[],
            help,
            known_as: None,
            convention: None,
            read,
        }
    }

    const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    const fn known_as(mut self, name: &'static str) -> Self {
        self.known_as = Some(name);
        self
    }

    const fn convention(mut self, name: &'static str) -> Self {
        self.convention = Some(name);
        self
    }
}

impl Number {
    /// The number as a float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Real(real) => real,
        }
    }
}

/// Where a metric's samples come from.
#[derive(Clone, Copy, Debug)]
enum Read {
    Pool(fn(&PoolSnapshot, &mut Emit<'_>)),
    Breaker(fn(&BreakerSnapshot, &mut Emit<'_>)),
    Health(fn(&HealthSnapshot, &mut Emit<'_>)),
    Retry(fn(&RetrySnapshot, &mut Emit<'_>)),
    Report(fn(&Report, &mut Emit<'_>)),
}

/// Hands samples on, under the label of their subject.
struct Emit<'a> {
    labels: [(&'static str, &'a str); MAX_LABELS],
    length: usize,
    samples: &'a mut dyn Samples,
}

impl<'a> Emit<'a> {
    fn of(subject: &'static str, name: &'a str, samples: &'a mut dyn Samples) -> Self {
        let mut labels = [("", ""); MAX_LABELS];
        labels[0] = (subject, name);
        Self {
            labels,
            length: 1,
            samples,
        }
    }

    fn with<'b>(&'b mut self, label: &'static str, value: &'b str) -> Emit<'b> {
        let mut labels = self.labels;
        labels[self.length] = (label, value);
        Emit {
            labels,
            length: self.length + 1,
            samples: self.samples,
        }
    }

    fn count(&mut self, count: u64) {
        self.samples
            .number(&self.labels[..self.length], Number::Count(count));
    }

    fn real(&mut self, real: f64) {
        self.samples
            .number(&self.labels[..self.length], Number::Real(real));
    }

    fn counts<K: LabelValue>(&mut self, label: &'static str, counts: &Counts<K>) {
        for (kind, count) in counts.iter() {
            self.with(label, kind.label()).count(count);
        }
    }

    /// One series for each value, 1 for the one that holds: a state cannot be missed.
    fn one_of<K: LabelValue + PartialEq>(&mut self, label: &'static str, current: K) {
        for &kind in K::ALL {
            self.with(label, kind.label())
                .count(u64::from(kind == current));
        }
    }

    fn quantiles(&mut self, quantiles: &Quantiles) {
        for (percentile, time) in quantiles.iter() {
            self.with("percentile", percentile).real(time.as_secs_f64());
        }
    }

    fn times(&mut self, times: &TimeSnapshot) {
        self.samples.times(&self.labels[..self.length], times);
    }
}

const MAX_LABELS: usize = 4;
