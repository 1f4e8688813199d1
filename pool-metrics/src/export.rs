//! Ways out of the program. Each reads the [table](crate::table) and knows no metric by name.

#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "tracing")]
pub(crate) mod log;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
#[cfg(feature = "opentelemetry")]
pub(crate) mod opentelemetry;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(crate) mod periodic;
#[cfg(feature = "prometheus-client")]
pub(crate) mod prometheus_client;
pub(crate) mod text;
