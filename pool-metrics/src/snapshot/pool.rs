//! A pool, its request classes and its connections.

use std::time::Duration;

use crate::efficiency::ratio;
use crate::{
    AcquireFailure, AcquirePath, CloseReason, ConnectError, Counts, Disposition, Efficiency,
    RequestOutcome, Stage, TimeSnapshot, ValidationStage,
};

/// A pool at one moment.
///
/// ```
/// use pool_metrics::{AcquirePath, PoolSnapshot};
///
/// let mut pool = PoolSnapshot::new("orders", "postgres");
/// pool.max = 20;
/// pool.used = 15;
/// pool.acquired[AcquirePath::Idle] = 1000;
/// assert_eq!(pool.utilization(), 0.75);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The name by which an operator knows the pool; unique in a report.
    pub name: String,
    /// What it connects to: `postgres`, `redis`, `http`.
    pub kind: String,
    /// The version of the pool's software.
    pub version: String,
    /// The time since the pool's numbers were last reset.
    pub age: Duration,

    /// Open connections that are not lent.
    pub idle: u64,
    /// Open connections that are lent.
    pub used: u64,
    /// Connects in flight.
    pub creating: u64,
    /// The configured maximum of connections.
    pub max: u64,
    /// The configured least number of idle connections.
    pub idle_min: u64,
    /// The configured most idle connections, if that is limited.
    pub idle_max: Option<u64>,
    /// Callers waiting.
    pub pending: u64,
    /// The most connections lent at once since the start or the last reset.
    pub peak_used: u64,
    /// The most callers waiting at once since the start or the last reset.
    pub peak_pending: u64,

    /// Connections opened.
    pub created: u64,
    /// Connections closed.
    pub closed: Counts<CloseReason>,
    /// Acquires that gave a connection.
    pub acquired: Counts<AcquirePath>,
    /// Connections given back by their users.
    pub released: Counts<Disposition>,
    /// Connects that failed.
    pub connection_errors: Counts<ConnectError>,
    /// Acquires that gave no connection.
    pub acquire_failures: Counts<AcquireFailure>,
    /// Stages that ran out of time.
    pub timeouts: Counts<Stage>,
    /// Validations that failed.
    pub validation_failures: Counts<ValidationStage>,
    /// Connections held for longer than the leak threshold.
    pub leaks_suspected: u64,
    /// Warnings that were counted and not logged.
    pub warnings_suppressed: u64,

    /// From the call to the connection or the error.
    pub acquire_time: TimeSnapshot,
    /// In the queue, of those that waited.
    pub wait_time: TimeSnapshot,
    /// From the connection to its return.
    pub use_time: TimeSnapshot,
    /// Opening a connection.
    pub connect_time: TimeSnapshot,
    /// Checking a connection.
    pub validate_time: TimeSnapshot,

    /// Requests by class.
    pub classes: Vec<ClassSnapshot>,
    /// The open connections, as far as their owner tells. Exported in sum: a series for each
    /// connection would have no bound.
    pub connections: Vec<ConnectionSnapshot>,
}

impl PoolSnapshot {
    /// A snapshot in which every number is 0.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            ..Self::default()
        }
    }

    /// Open connections.
    pub fn total(&self) -> u64 {
        self.idle + self.used
    }

    /// Lent connections over the maximum; 0 when the maximum is 0.
    pub fn utilization(&self) -> f64 {
        ratio(self.used, self.max)
    }

    /// Acquires that gave no connection although their caller stayed.
    pub fn acquire_errors(&self) -> u64 {
        self.acquire_failures.total() - self.acquire_failures[AcquireFailure::Cancelled]
    }

    /// The share of acquires that failed, cancelled ones left out.
    pub fn acquire_error_ratio(&self) -> f64 {
        ratio(
            self.acquire_errors(),
            self.acquire_errors() + self.acquired.total(),
        )
    }

    /// Requests of all classes.
    pub fn total_requests(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.requests.total())
            .sum()
    }

    /// Requests of all classes that failed.
    pub fn failed_requests(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.requests[RequestOutcome::Failure])
            .sum()
    }

    /// The lowest and the mean efficiency of the connections, if any is told.
    pub fn efficiency(&self) -> Option<(f64, f64)> {
        let scores = || self.connections.iter().map(|one| one.efficiency.score());
        let lowest = scores().reduce(f64::min)?;
        Some((
            lowest,
            scores().sum::<f64>() / self.connections.len() as f64,
        ))
    }

    /// What was counted after `earlier`: a reset that disturbs no other reader.
    ///
    /// What belongs to a moment (sizes, peaks, quantiles) stays.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut pool = self.clone();
        pool.age = self.age.saturating_sub(earlier.age);
        pool.created = self.created.saturating_sub(earlier.created);
        pool.closed = self.closed.since(&earlier.closed);
        pool.acquired = self.acquired.since(&earlier.acquired);
        pool.released = self.released.since(&earlier.released);
        pool.connection_errors = self.connection_errors.since(&earlier.connection_errors);
        pool.acquire_failures = self.acquire_failures.since(&earlier.acquire_failures);
        pool.timeouts = self.timeouts.since(&earlier.timeouts);
        pool.validation_failures = self.validation_failures.since(&earlier.validation_failures);
        pool.leaks_suspected = self.leaks_suspected.saturating_sub(earlier.leaks_suspected);
        pool.warnings_suppressed = self
            .warnings_suppressed
            .saturating_sub(earlier.warnings_suppressed);
        pool.acquire_time = self.acquire_time.since(&earlier.acquire_time);
        pool.wait_time = self.wait_time.since(&earlier.wait_time);
        pool.use_time = self.use_time.since(&earlier.use_time);
        pool.connect_time = self.connect_time.since(&earlier.connect_time);
        pool.validate_time = self.validate_time.since(&earlier.validate_time);
        for class in &mut pool.classes {
            if let Some(earlier) = earlier.classes.iter().find(|one| one.name == class.name) {
                class.requests = class.requests.since(&earlier.requests);
                class.time = class.time.since(&earlier.time);
            }
        }
        pool
    }
}

/// The requests of one class.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClassSnapshot {
    /// The name of the class.
    pub name: String,
    /// How the requests ended.
    pub requests: Counts<RequestOutcome>,
    /// How long they took.
    pub time: TimeSnapshot,
}

/// One connection.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_structs,
    reason = "a name and its value; there is nothing to add"
)]
pub struct ConnectionSnapshot {
    /// The pool's number for it.
    pub id: u64,
    /// How well it serves.
    pub efficiency: Efficiency,
}
