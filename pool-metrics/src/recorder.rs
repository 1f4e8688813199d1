//! Records what happens to a pool, for a pool that does not count it by itself.
//!
//! A pool counts some things more cheaply than anyone else can: what a connection's holder stores
//! into the connection's own slot. The rest is told to a [`PoolRecorder`], whose
//! [`add_to`](PoolRecorder::add_to) *adds* to a snapshot. Whoever counts an event in the pool does
//! not tell the recorder, and every event is counted once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counter::{CounterSet, Peak, Striped};
use crate::snapshot::{ClassSnapshot, PoolSnapshot};
use crate::{
    AcquireFailure, AcquirePath, CloseReason, ConnectError, Disposition, RequestOutcome, Stage,
    TimeHistogram, ValidationStage,
};

/// Counters, times and peaks of one pool.
///
/// ```
/// use std::time::{Duration, Instant};
/// use pool_metrics::{AcquirePath, PoolRecorder, PoolSnapshot};
///
/// let start = Instant::now();
/// let recorder = PoolRecorder::new(start);
/// recorder.acquired.increment(AcquirePath::Waited);
/// recorder.wait_time.record(Duration::from_millis(3));
/// recorder.acquire_time.record(Duration::from_millis(3));
///
/// let mut pool = PoolSnapshot::new("orders", "postgres");
/// pool.acquired[AcquirePath::Idle] = 7; // counted by the pool itself
/// recorder.add_to(&mut pool, start);
/// assert_eq!(pool.acquired.total(), 8);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct PoolRecorder {
    /// Connections opened.
    pub created: Striped,
    /// Connections closed.
    pub closed: CounterSet<CloseReason>,
    /// Acquires that gave a connection.
    pub acquired: CounterSet<AcquirePath>,
    /// Connections given back.
    pub released: CounterSet<Disposition>,
    /// Connects that failed.
    pub connection_errors: CounterSet<ConnectError>,
    /// Acquires that gave no connection.
    pub acquire_failures: CounterSet<AcquireFailure>,
    /// Stages that ran out of time.
    pub timeouts: CounterSet<Stage>,
    /// Validations that failed.
    pub validation_failures: CounterSet<ValidationStage>,
    /// Connections held for longer than the leak threshold.
    pub leaks_suspected: Striped,
    /// Warnings that were counted and not logged.
    pub warnings_suppressed: Striped,
    /// The most connections lent at once, as observed.
    pub peak_used: Peak,
    /// The most callers waiting at once, as observed.
    pub peak_pending: Peak,
    /// From the call to the connection or the error.
    pub acquire_time: TimeHistogram,
    /// In the queue, of those that waited.
    pub wait_time: TimeHistogram,
    /// From the connection to its return.
    pub use_time: TimeHistogram,
    /// Opening a connection.
    pub connect_time: TimeHistogram,
    /// Checking a connection.
    pub validate_time: TimeHistogram,
    classes: Mutex<Vec<Arc<ClassRecorder>>>,
    started: Mutex<Instant>,
}

impl PoolRecorder {
    /// The most classes of a pool; the requests of further ones count as class `other`.
    pub const MAX_CLASSES: usize = 16;

    /// A recorder in which every number is 0.
    pub fn new(now: Instant) -> Self {
        Self {
            created: Striped::new(),
            closed: CounterSet::default(),
            acquired: CounterSet::default(),
            released: CounterSet::default(),
            connection_errors: CounterSet::default(),
            acquire_failures: CounterSet::default(),
            timeouts: CounterSet::default(),
            validation_failures: CounterSet::default(),
            leaks_suspected: Striped::new(),
            warnings_suppressed: Striped::new(),
            peak_used: Peak::default(),
            peak_pending: Peak::default(),
            acquire_time: TimeHistogram::new(now),
            wait_time: TimeHistogram::new(now),
            use_time: TimeHistogram::new(now),
            connect_time: TimeHistogram::new(now),
            validate_time: TimeHistogram::new(now),
            classes: Mutex::default(),
            started: Mutex::new(now),
        }
    }

    /// The recorder of the requests of a class; the same one for the same name. Keep it, rather
    /// than ask for it with each request.
    pub fn class(&self, name: &str, now: Instant) -> Arc<ClassRecorder> {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match classes.iter().find(|class| class.name == name) {
            Some(class) => return class.clone(),
            None if classes.len() + 1 < Self::MAX_CLASSES => name,
            None => OTHER_CLASS,
        };
        if let Some(other) = classes.iter().find(|class| class.name == name) {
            return other.clone();
        }
        let class = Arc::new(ClassRecorder {
            name: name.to_owned(),
            requests: CounterSet::default(),
            time: TimeHistogram::new(now),
        });
        classes.push(class.clone());
        class
    }

    /// Adds the counts and classes to those of `pool`, raises its peaks, and sets its times and age.
    pub fn add_to(&self, pool: &mut PoolSnapshot, now: Instant) {
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        pool.age = now.saturating_duration_since(started);
        pool.created += self.created.value();
        self.closed.add_to(&mut pool.closed);
        self.acquired.add_to(&mut pool.acquired);
        self.released.add_to(&mut pool.released);
        self.connection_errors.add_to(&mut pool.connection_errors);
        self.acquire_failures.add_to(&mut pool.acquire_failures);
        self.timeouts.add_to(&mut pool.timeouts);
        self.validation_failures
            .add_to(&mut pool.validation_failures);
        pool.leaks_suspected += self.leaks_suspected.value();
        pool.warnings_suppressed += self.warnings_suppressed.value();
        pool.peak_used = pool.peak_used.max(self.peak_used.value());
        pool.peak_pending = pool.peak_pending.max(self.peak_pending.value());
        pool.acquire_time = self.acquire_time.snapshot(now);
        pool.wait_time = self.wait_time.snapshot(now);
        pool.use_time = self.use_time.snapshot(now);
        pool.connect_time = self.connect_time.snapshot(now);
        pool.validate_time = self.validate_time.snapshot(now);
        let classes = self
            .classes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        pool.classes
            .extend(classes.iter().map(|class| class.snapshot(now)));
    }

    /// Starts age, peaks and windows again. Counters go on, since readers take a falling counter
    /// for a restart; [`PoolSnapshot::since`] gives each reader a reset of its own.
    pub fn reset(&self, now: Instant) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.peak_used.reset(0);
        self.peak_pending.reset(0);
        for times in [
            &self.acquire_time,
            &self.wait_time,
            &self.use_time,
            &self.connect_time,
            &self.validate_time,
        ] {
            times.reset(now);
        }
    }
}

/// The requests of one class: counts by outcome, and times.
#[derive(Debug)]
pub struct ClassRecorder {
    name: String,
    requests: CounterSet<RequestOutcome>,
    time: TimeHistogram,
}

impl ClassRecorder {
    /// The name under which the class is shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Records a request.
    pub fn record(&self, outcome: RequestOutcome, time: Duration) {
        self.requests.increment(outcome);
        self.time.record(time);
    }

    fn snapshot(&self, now: Instant) -> ClassSnapshot {
        ClassSnapshot {
            name: self.name.clone(),
            requests: self.requests.counts(),
            time: self.time.snapshot(now),
        }
    }
}

const OTHER_CLASS: &str = "other";
