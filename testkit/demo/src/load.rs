//! The tasks that use the pool, and their own count of what they got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::{Backend, PoolOf};

/// Tasks that ask, think and ask again, until told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// What the users of a pool have seen, by their own count.
///
/// When none is running, `lent = answered + wrong + cut + left_midway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Counts {
    /// Connections received.
    pub lent: u64,
    /// Requests that got no connection.
    pub unserved: u64,
    /// Callers who left while they waited for a connection.
    pub left_waiting: u64,
    /// Requests whose reply carried their id.
    pub answered: u64,
    /// Requests whose reply carried another's id.
    pub wrong: u64,
    /// Requests whose connection was lost.
    pub cut: u64,
    /// Callers who left before the reply came.
    pub left_midway: u64,
    /// The most connections held at once.
    pub most_held: u64,
}

impl Counts {
    /// Callers who left.
    pub(crate) fn left(&self) -> u64 {
        self.left_waiting + self.left_midway
    }
}

impl Load {
    /// Sets `tasks` tasks to work.
    pub(crate) fn start<B: Backend>(pool: &PoolOf<B>, tasks: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let workers = (0..tasks).map(|_| work::<B>(pool.clone(), shared.clone()));
        Self {
            tasks: workers.collect(),
            shared,
        }
    }

    /// Whether one caller in ten does not wait long. Those who have lost patience before this
    /// returns are gone for good.
    pub(crate) async fn hurry(&self, hurry: bool) {
        self.shared.hurry.store(hurry, SeqCst);
        while !hurry && self.shared.hurried.load(SeqCst) > 0 {
            pause(LOOK).await;
        }
    }

    /// Lets every task finish what it is doing.
    pub(crate) async fn stop(self) -> Counts {
        self.shared.stop.store(true, SeqCst);
        self.tasks.join_all().await;
        self.shared.counts()
    }

    /// What they have seen so far.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.counts()
    }
}

pub(crate) async fn pause(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

async fn work<B: Backend>(pool: PoolOf<B>, shared: Arc<Shared>) {
    while !shared.stop.load(SeqCst) {
        let id = shared.next_id.fetch_add(1, SeqCst);
        // Entered before the look, so that whoever has seen the flag is waited for.
        let gauge = Gauge::enter(&shared.hurried);
        let hurry = shared.hurry.load(SeqCst).then(|| scatter(id) % 20);
        let hurried = hurry.filter(|kind| *kind < 2).map(|_| gauge);
        match hurry {
            // What becomes of it is counted as it is dropped.
            Some(0) => drop(timeout(WAIT, request::<B>(&pool, &shared, id, None)).await),
            Some(1) => request::<B>(&pool, &shared, id, Some(REPLY)).await,
            _ => request::<B>(&pool, &shared, id, None).await,
        }
        drop(hurried);
        pause(THINK + THINK * (scatter(id) % 1000) as u32 / 1000).await;
    }
}

/// One request. With `patience`, the caller leaves when no reply has come after that time.
async fn request<B: Backend>(
    pool: &PoolOf<B>,
    shared: &Shared,
    id: u64,
    patience: Option<Duration>,
) {
    let waiting = Stage::enter(&shared.left_waiting);
    let acquired = pool.get().await;
    waiting.leave();
    let Ok(mut connection) = acquired else {
        add(&shared.unserved);
        return;
    };
    add(&shared.lent);
    // Dropped before the connection, so that what is counted as held is held.
    let held = Gauge::enter(&shared.held);
    shared.most_held.fetch_max(held.0.load(SeqCst), SeqCst);
    let midway = Stage::enter(&shared.left_midway);
    // Not completed unless the reply has been read: the pool must not lend the rest of it.
    let mut scope = connection.operation();
    let reply = B::echo(&mut scope, id);
    let reply = match patience {
        Some(patience) => match timeout(patience, reply).await {
            Ok(reply) => reply,
            Err(_) => return,
        },
        None => reply.await,
    };
    midway.leave();
    add(match reply {
        Ok(echo) => {
            scope.complete();
            if echo == id {
                &shared.answered
            } else {
                &shared.wrong
            }
        }
        Err(_) => &shared.cut,
    });
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    hurry: AtomicBool,
    /// Callers who may leave at any time.
    hurried: AtomicU64,
    next_id: AtomicU64,
    held: AtomicU64,
    most_held: AtomicU64,
    lent: AtomicU64,
    unserved: AtomicU64,
    left_waiting: AtomicU64,
    answered: AtomicU64,
    wrong: AtomicU64,
    cut: AtomicU64,
    left_midway: AtomicU64,
}

impl Shared {
    fn counts(&self) -> Counts {
        Counts {
            lent: self.lent.load(SeqCst),
            unserved: self.unserved.load(SeqCst),
            left_waiting: self.left_waiting.load(SeqCst),
            answered: self.answered.load(SeqCst),
            wrong: self.wrong.load(SeqCst),
            cut: self.cut.load(SeqCst),
            left_midway: self.left_midway.load(SeqCst),
            most_held: self.most_held.load(SeqCst),
        }
    }
}

/// Counts its own drop, unless it is left in good order.
struct Stage<'a>(&'a AtomicU64);

impl<'a> Stage<'a> {
    fn enter(left: &'a AtomicU64) -> Self {
        Self(left)
    }

    fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        add(self.0);
    }
}

/// Counts itself while it lives.
struct Gauge<'a>(&'a AtomicU64);

impl<'a> Gauge<'a> {
    fn enter(gauge: &'a AtomicU64) -> Self {
        add(gauge);
        Self(gauge)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, SeqCst);
}

/// A number for each id in which neighbours have nothing in common.
fn scatter(id: u64) -> u64 {
    let x = (id ^ (id >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The least time between two requests of a task; it may take twice as long.
const THINK: Duration = Duration::from_millis(50);
/// How long a caller in a hurry waits for all, or for the reply alone.
const WAIT: Duration = Duration::from_millis(100);
const REPLY: Duration = Duration::from_millis(3);
/// Between two looks at something that will be so in a moment.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
