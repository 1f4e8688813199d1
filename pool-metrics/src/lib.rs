//! What an operator asks about a pool, a breaker, health checks and retries, and ways to tell it.
//!
//! Owners count cheaply ([`Tally`], [`Striped`], [`CounterSet`], [`TimeHistogram`]) and fill plain
//! snapshots when asked. A [`Registry`] asks them; the resulting [`Report`] is written as a
//! Prometheus page, or handed to another system by an exporter. The one invariant: **[`table`] is
//! the single source** of names, kinds, units, labels and meanings, for the exporters as for the
//! dashboard, the alert rules and the reference in `ops/`.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use pool_metrics::{PoolRecorder, PoolSnapshot, Registry, Report, Source, prometheus_text};
//!
//! struct Orders {
//!     recorder: PoolRecorder,
//! }
//!
//! impl Source for Orders {
//!     fn collect(&self, now: Instant, report: &mut Report) {
//!         let mut pool = PoolSnapshot::new("orders", "postgres");
//!         pool.max = 20;
//!         self.recorder.add_to(&mut pool, now);
//!         report.push_pool(pool);
//!     }
//! }
//!
//! let orders = Arc::new(Orders { recorder: PoolRecorder::new(Instant::now()) });
//! let registry = Registry::new();
//! let _registered = registry.register(orders.clone())?;
//! orders.recorder.created.increment();
//!
//! let page = prometheus_text(&registry.collect(Instant::now()));
//! assert!(page.contains("pool_connections_created_total{pool=\"orders\"} 1"));
//! # Ok::<(), pool_metrics::RegisterError>(())
//! ```
//!
//! # What it costs
//!
//! Nothing here is on the way of an acquire that finds an idle connection, except what its owner
//! stores into the connection's own slot: a [`Tally`], one load and one store. The owner times one
//! such acquire in 64 and records it with that weight. Every slow acquire is timed and costs two
//! relaxed adds. `cargo bench -p pool-metrics` prints both as ratios.
//!
//! # Ways out
//!
//! | feature | one line |
//! |---|---|
//! | (always) | `prometheus_text(&registry.collect(now))` |
//! | `http` (default) | `let endpoint = Endpoint::loopback(9187).token(token).serve(registry)?;` |
//! | `prometheus-client` | `prometheus_registry.register_collector(Box::new(Collector::new(registry)));` |
//! | `metrics` | `let bridge = metrics_bridge(registry, Duration::from_secs(10))?;` |
//! | `opentelemetry` | `observe(&meter, registry);` |
//! | `tracing` | `let lines = log_lines(registry, Duration::from_secs(300))?;` |
//!
//! Feature `serde` makes every snapshot serialisable.
//!
//! # What is bounded
//!
//! 1024 sources, 1024 snapshots of each kind, 16 classes for a pool; connections are exported in
//! sum. Label values other than names are enums, all of whose series exist from the start. Names
//! come from the program; nothing of a connection string, a query or an error's text is a label.

#![forbid(unsafe_code)]

#[cfg(any(
    feature = "http",
    feature = "metrics",
    feature = "opentelemetry",
    feature = "prometheus-client",
    feature = "tracing"
))]
mod clock;
mod counter;
mod efficiency;
mod export;
mod histogram;
mod label;
mod reason;
mod recorder;
mod registry;
mod snapshot;
pub mod table;
mod warning;

pub use counter::{CounterSet, Peak, Striped, Tally};
pub use efficiency::{ConnectionFacts, Efficiency};
#[cfg(feature = "http")]
pub use export::http::{Endpoint, Serving};
#[cfg(feature = "tracing")]
pub use export::log::{log_lines, log_report};
#[cfg(feature = "metrics")]
pub use export::metrics::{copy_to_metrics, metrics_bridge};
#[cfg(feature = "opentelemetry")]
pub use export::opentelemetry::observe;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub use export::periodic::Periodic;
#[cfg(feature = "prometheus-client")]
pub use export::prometheus_client::Collector;
pub use export::text::{PROMETHEUS_TEXT_TYPE, prometheus_text};
pub use histogram::{BOUNDS, Quantiles, TimeHistogram, TimeSnapshot};
pub use label::{Counts, LabelValue};
pub use reason::{
    AcquireFailure, AcquirePath, BreakerEdge, BreakerMode, BreakerState, CallOutcome, CheckFailure,
    CloseReason, ConnectError, Disposition, Rejection, RequestOutcome, RetryOutcome, Stage,
    TripCause, ValidationStage,
};
pub use recorder::{ClassRecorder, PoolRecorder};
pub use registry::{RegisterError, Registration, Registry, Report, Source};
pub use snapshot::{
    BreakerSnapshot, ClassSnapshot, ConnectionSnapshot, HealthSnapshot, PoolSnapshot, RetrySnapshot,
};
pub use warning::{Level, TARGETS, Target, WarningGate};
