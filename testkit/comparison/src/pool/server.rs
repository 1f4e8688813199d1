//! The server that the pools connect to: made up, the same for all, and counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Opens connections, checks them, and can be taken down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server(Arc<State>);

#[derive(Debug, Default)]
struct State {
    takes: Duration,
    /// One check in so many fails; 0 is none.
    fail_one_in: u64,
    down: AtomicBool,
    /// Connections of an earlier epoch are dead.
    epoch: AtomicU64,
    checks: AtomicU64,
    connects: AtomicU64,
    connecting: AtomicU64,
    most_connecting: AtomicU64,
}

/// The epoch in which it was opened.
#[derive(Debug)]
pub(crate) struct Connection(u64);

/// Neither open nor alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// By this server.
    ByServer,
    /// By a pool that knows no error but its manager's; fast_pool says a timeout so.
    ByPool,
}

impl Server {
    /// Each connect takes `takes`.
    pub(crate) fn slow(takes: Duration) -> Self {
        Self(Arc::new(State {
            takes,
            ..State::default()
        }))
    }

    /// One check in `count` fails.
    pub(crate) fn flaky(count: u64) -> Self {
        Self(Arc::new(State {
            fail_one_in: count,
            ..State::default()
        }))
    }

    /// Every connection dies, and none can be opened.
    pub(crate) fn go_down(&self) {
        self.0.down.store(true, Relaxed);
        self.0.epoch.fetch_add(1, Relaxed);
    }

    pub(crate) fn come_up(&self) {
        self.0.down.store(false, Relaxed);
    }

    /// Attempts so far, failed ones too.
    pub(crate) fn connects(&self) -> u64 {
        self.0.connects.load(Relaxed)
    }

    /// The most attempts that there were at the same time.
    pub(crate) fn most_connecting(&self) -> u64 {
        self.0.most_connecting.load(Relaxed)
    }

    pub(super) async fn open(&self) -> Result<Connection, Refused> {
        let state = &self.0;
        state.connects.fetch_add(1, Relaxed);
        let attempt = Attempt::begin(state);
        if state.takes > Duration::ZERO {
            #[expect(clippy::disallowed_methods, reason = "stands for a server's delay")]
            tokio::time::sleep(state.takes).await;
        }
        drop(attempt);
        self.answer()
    }

    pub(super) fn open_blocking(&self) -> Result<Connection, Refused> {
        let state = &self.0;
        state.connects.fetch_add(1, Relaxed);
        let attempt = Attempt::begin(state);
        if state.takes > Duration::ZERO {
            #[expect(clippy::disallowed_methods, reason = "stands for a server's delay")]
            std::thread::sleep(state.takes);
        }
        drop(attempt);
        self.answer()
    }

    #[inline]
    pub(super) fn check(&self, connection: &Connection) -> Result<(), Refused> {
        let state = &self.0;
        let fails = state.fail_one_in > 0
            && state
                .checks
                .fetch_add(1, Relaxed)
                .is_multiple_of(state.fail_one_in);
        if fails || connection.0 != state.epoch.load(Relaxed) {
            return Err(Refused::ByServer);
        }
        Ok(())
    }

    fn answer(&self) -> Result<Connection, Refused> {
        if self.0.down.load(Relaxed) {
            return Err(Refused::ByServer);
        }
        Ok(Connection(self.0.epoch.load(Relaxed)))
    }
}

impl From<&str> for Refused {
    fn from(_: &str) -> Self {
        Self::ByPool
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

/// Counts itself for as long as it lives: a pool may drop a connect at any time.
struct Attempt<'a>(&'a State);

impl<'a> Attempt<'a> {
    fn begin(state: &'a State) -> Self {
        let now = state.connecting.fetch_add(1, Relaxed) + 1;
        state.most_connecting.fetch_max(now, Relaxed);
        Self(state)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.connecting.fetch_sub(1, Relaxed);
    }
}
