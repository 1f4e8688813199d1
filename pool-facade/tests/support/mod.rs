//! What several tests share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::sync::Arc;
use std::time::Duration;

use pool_core::testing::{Script, Scripted};
use pool_facade::{Builder, Pool, pool_core};

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Lets so much of the paused clock's time go by.
pub(crate) async fn pass(time: Duration) {
    let now = tokio::time::Instant::now();
    tokio::time::sleep_until(now + time).await;
}

/// Lets everything run that needs no time.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// The time on tokio's clock, as the pool's API takes it.
pub(crate) fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// A pool of one node, of at most `max_size` connections.
pub(crate) fn pool(max_size: usize) -> (Arc<Script>, Pool<Scripted>) {
    pool_with(max_size, |builder| builder)
}

pub(crate) fn pool_with(
    max_size: usize,
    set: impl FnOnce(Builder<Scripted>) -> Builder<Scripted>,
) -> (Arc<Script>, Pool<Scripted>) {
    let script = Script::new();
    let builder = Pool::builder().node("db", script.manager());
    let pool = set(builder.max_size(max_size)).build().unwrap();
    (script, pool)
}
