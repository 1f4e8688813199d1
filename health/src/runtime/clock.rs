//! The time of the runtime, so that paused time holds for probes too.

use std::time::Instant;

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
