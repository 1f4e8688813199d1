//! The one place where real time is read.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since `start`.
pub(crate) fn since(start: Instant) -> f64 {
    now().duration_since(start).as_secs_f64()
}
