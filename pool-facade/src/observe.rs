//! What the nodes' pools tell: passed on to the user, to the log, and to the recorder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pool_core::{ErrorClass, Event, Observer, Sample, Stage};
use pool_metrics::{ConnectError, PoolRecorder};

/// The user's own observer of events, with the name of the node.
pub(crate) type OnEvent = Arc<dyn Fn(&str, &Event) + Send + Sync>;

/// Watches one node's pool.
pub(crate) struct NodeObserver {
    pub(crate) pool: Arc<str>,
    pub(crate) node: Arc<str>,
    pub(crate) recorder: Option<Arc<PoolRecorder>>,
    pub(crate) on_event: Option<OnEvent>,
}

impl Observer for NodeObserver {
    fn on_event(&self, _: u64, event: &Event) {
        if let Some(recorder) = &self.recorder {
            count(recorder, event);
        }
        self.log(event);
        if let Some(on_event) = &self.on_event {
            on_event(&self.node, event);
        }
    }

    fn on_sample(&self, sample: Sample, took: Duration) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        match sample {
            Sample::Acquire => {
                recorder.acquire_time.record(took);
                recorder.wait_time.record(took);
            }
            Sample::Stage(Stage::Connect) => recorder.connect_time.record(took),
            Sample::Stage(Stage::Validate) => recorder.validate_time.record(took),
            // One use in so many is told.
            Sample::Use => recorder.use_time.record_weighted(took, 64),
            _ => {}
        }
    }
}

impl NodeObserver {
    fn log(&self, event: &Event) {
        let (pool, node) = (&*self.pool, &*self.node);
        match event {
            Event::Connected {
                connection, took, ..
            } => {
                tracing::debug!(target: "pool::connect", pool, node, connection, ?took, "connected");
            }
            Event::ConnectFailed { class, took, .. } if *class == ErrorClass::Permanent => {
                tracing::error!(target: "pool::connect", pool, node, %class, ?took, "connecting fails for good");
            }
            Event::ConnectFailed { class, took, .. } => {
                tracing::debug!(target: "pool::connect", pool, node, %class, ?took, "connecting failed");
            }
            Event::Closed {
                connection, reason, ..
            } => {
                tracing::debug!(target: "pool::maintain", pool, node, connection, %reason, "closed");
            }
            Event::HeldTooLong {
                connection,
                site,
                held,
                ..
            } => {
                tracing::warn!(target: "pool::acquire", pool, node, connection, %site, ?held, "held too long");
            }
            Event::NestedAcquire { site, holds, .. } => {
                tracing::warn!(target: "pool::acquire", pool, node, %site, %holds, "waits for itself");
            }
            Event::Panicked { callback, .. } => {
                tracing::error!(target: "pool::maintain", pool, node, callback, "panicked");
            }
            event => tracing::info!(target: "pool::maintain", pool, node, ?event),
        }
    }
}

/// Counts what the pool's own statistics do not tell apart.
fn count(recorder: &PoolRecorder, event: &Event) {
    match event {
        Event::ConnectFailed { class, .. } => recorder.connection_errors.increment(match class {
            ErrorClass::Overload => ConnectError::Overload,
            ErrorClass::Permanent => ConnectError::Auth,
            _ => ConnectError::Other,
        }),
        Event::HeldTooLong { .. } => recorder.leaks_suspected.increment(),
        _ => {}
    }
}

impl fmt::Debug for NodeObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeObserver")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
