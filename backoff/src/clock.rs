//! The only place that reads a clock or waits for one.

#![expect(clippy::disallowed_methods, reason = "this is where clocks live")]

use std::time::{Duration, Instant};

use crate::sleep::BlockingSleep;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits with `std::thread::sleep`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it has nothing to configure, now or later"
)]
pub struct ThreadSleep;

impl BlockingSleep for ThreadSleep {
    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}

/// Waits with Tokio's timer, and goes by Tokio's clock, so that paused time holds.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it has nothing to configure, now or later"
)]
pub struct TokioSleep;

#[cfg(feature = "tokio")]
impl crate::Sleep for TokioSleep {
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(span)
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
