//! Where the time comes from when the caller does not bring it.

use std::time::Instant;

/// A source of monotonic time, for a breaker whose callers do not pass `now`.
pub trait Clock: Send + Sync {
    /// The time. It may stand still.
    fn now(&self) -> Instant;
}

impl<F: Fn() -> Instant + Send + Sync> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}

/// The operating system's monotonic clock.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn system_now() -> Instant {
    Instant::now()
}
