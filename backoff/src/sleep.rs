//! How to wait: the seam through which a runtime, or the lack of one, comes in.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use crate::clock;

/// Waits in a task. A closure from a [`Duration`] to a future will do.
///
/// `sleep` is all that must be written. A runtime with a clock of its own, such as one that can be
/// paused, gives that too.
pub trait Sleep {
    /// Is ready when `span` is over. Dropping it cancels the wait.
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// The time by the clock that `sleep` goes by.
    fn now(&self) -> Instant {
        clock::now()
    }
}

impl<F, Fut> Sleep for F
where
    F: Fn(Duration) -> Fut,
    Fut: Future<Output = ()> + Send,
{
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        self(span)
    }
}

/// Waits by blocking the thread. A closure that takes a [`Duration`] will do.
pub trait BlockingSleep {
    /// Returns when `span` is over.
    fn sleep(&self, span: Duration);

    /// The time by the clock that `sleep` goes by.
    fn now(&self) -> Instant {
        clock::now()
    }
}

impl<F: Fn(Duration)> BlockingSleep for F {
    fn sleep(&self, span: Duration) {
        self(span);
    }
}
