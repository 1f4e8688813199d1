//! What several tests share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pool_core::testing::{Script, Scripted};
use pool_core::{Builder, Event, Manager, Observer, Pool, Pooled, ResetAt};

pub(crate) type ScriptedPool = Pool<Scripted>;

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

pub(crate) fn pool(max_size: usize) -> (Arc<Script>, ScriptedPool) {
    pool_with(max_size, |builder| builder)
}

pub(crate) fn pool_with(
    max_size: usize,
    set: impl FnOnce(Builder<Scripted>) -> Builder<Scripted>,
) -> (Arc<Script>, ScriptedPool) {
    pool_of(Script::new(), max_size, set)
}

/// A pool with that script, which was set up before.
pub(crate) fn pool_of(
    script: Arc<Script>,
    max_size: usize,
    set: impl FnOnce(Builder<Scripted>) -> Builder<Scripted>,
) -> (Arc<Script>, ScriptedPool) {
    let builder = Pool::builder(script.manager()).max_size(max_size);
    let pool = set(builder).build().unwrap();
    (script, pool)
}

/// A script whose connections are reset then.
pub(crate) fn resetting(at: ResetAt) -> Arc<Script> {
    let script = Script::new();
    *script.reset_at.lock().unwrap() = at;
    script
}

/// Leases as many connections as there may be, and so proves that no capacity is lost.
pub(crate) async fn take<M: Manager>(pool: &Pool<M>, count: usize) -> Vec<Pooled<M>> {
    let mut held = Vec::new();
    for _ in 0..count {
        let Ok(lease) = pool.get().await else {
            panic!(
                "{} of {count} could be leased: {:?}",
                held.len(),
                pool.state()
            );
        };
        held.push(lease);
    }
    held
}

/// Keeps what it is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<(u64, Event)>>>);

impl Recorder {
    pub(crate) fn numbered(&self) -> Vec<(u64, Event)> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.numbered()
            .into_iter()
            .map(|(_, event)| event)
            .collect()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| wanted(event)).count()
    }
}

impl Observer for Recorder {
    fn on_event(&self, sequence: u64, event: &Event) {
        self.0.lock().unwrap().push((sequence, event.clone()));
    }
}

/// A small generator with a printed seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}
