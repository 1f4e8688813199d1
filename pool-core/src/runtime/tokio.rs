//! The pool on tokio.

use std::time::Instant;

use tokio::runtime::Handle;

use super::{Runtime, Task, Timer};

/// The tokio runtime, current or multi-threaded, of whichever task calls.
///
/// The time is tokio's, so `tokio::time::pause` and `start_paused` tests hold for the pool.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Tokio;

impl Timer for Tokio {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.into())
    }
}

impl Runtime for Tokio {
    fn spawn(&self, task: Task) -> Result<(), Task> {
        match Handle::try_current() {
            Ok(handle) => {
                drop(handle.spawn(task));
                Ok(())
            }
            Err(_) => Err(task),
        }
    }

    fn is_current(&self) -> bool {
        Handle::try_current().is_ok()
    }

    fn task_id(&self) -> Option<u64> {
        // The number is only to be had as text; the report of nested acquires is a debugging aid
        // that is off by default.
        tokio::task::try_id()?.to_string().parse().ok()
    }
}
