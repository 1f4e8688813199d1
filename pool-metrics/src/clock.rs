//! The one place where time is read: exporters are woken from outside and have no caller's `now`.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
