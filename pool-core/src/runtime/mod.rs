//! What the pool needs of an async runtime: the time, a timer, and a place for tasks.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "tokio")]
pub use self::tokio::Tokio;

/// The clock and the timer of a runtime.
pub trait Timer: Send + Sync + 'static {
    /// Completes at the time it was made for; kept inline in the pool's futures.
    type Sleep: Future<Output = ()> + Send;

    /// The time. Comes from the runtime, so that a paused or simulated clock holds for the pool.
    fn now(&self) -> Instant;

    /// A future that completes at `deadline`, at once if that has passed.
    ///
    /// Called, and polled, within the runtime.
    fn sleep_until(&self, deadline: Instant) -> Self::Sleep;
}

/// A runtime that the pool can live on.
///
/// The pool spawns its connects and its maintenance task on whichever runtime the caller that
/// needs them runs on, so that a pool in a `static` survives several runtimes.
pub trait Runtime: Timer + Clone {
    /// Runs `task` in the background of the current runtime.
    ///
    /// # Errors
    ///
    /// Gives the task back unpolled when the calling thread is on no runtime.
    fn spawn(&self, task: Task) -> Result<(), Task>;

    /// Whether the calling thread is on a runtime, so that [`spawn`](Self::spawn) would take a task
    /// and a driver's own futures find what they need.
    fn is_current(&self) -> bool;

    /// A name for the calling task, unique while it lives, if the runtime has such a thing. Used
    /// to report a task that waits for a pool of which it holds a connection.
    fn task_id(&self) -> Option<u64> {
        None
    }
}

/// A background task.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The runtime of a pool whose builder names none.
#[cfg(feature = "tokio")]
pub type DefaultRuntime = Tokio;

/// The runtime of a pool whose builder names none: there is none without the `tokio` feature, so
/// [`Builder::runtime`](crate::Builder::runtime) has to be called.
#[cfg(not(feature = "tokio"))]
pub type DefaultRuntime = Missing;

/// Stands for a runtime that has not been named yet; has no values.
#[cfg(not(feature = "tokio"))]
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "it will never have a value")]
pub enum Missing {}

#[cfg(not(feature = "tokio"))]
impl Timer for Missing {
    type Sleep = std::future::Ready<()>;

    fn now(&self) -> Instant {
        match *self {}
    }

    fn sleep_until(&self, _: Instant) -> Self::Sleep {
        match *self {}
    }
}

#[cfg(not(feature = "tokio"))]
impl Runtime for Missing {
    fn spawn(&self, _: Task) -> Result<(), Task> {
        match *self {}
    }

    fn is_current(&self) -> bool {
        match *self {}
    }
}
