//! The tasks that use the pool, and their own count of what they got.

use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pool_facade::{CallOptions, ErrorKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::backend::{Backend, PoolOf};

/// Tasks that ask, think and ask again, until told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// What the users of a pool have seen, by their own count.
///
/// When none is running, `asked = answered + wrong + refused + unserved + broken + late`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Counts {
    /// Calls made.
    pub asked: u64,
    /// Operations begun for them, repeated ones included.
    pub attempts: u64,
    /// Calls whose reply carried their id.
    pub answered: u64,
    /// Calls whose reply carried another's id.
    pub wrong: u64,
    /// Calls that no node would take.
    pub refused: u64,
    /// Calls that got no connection.
    pub unserved: u64,
    /// Calls whose operation failed.
    pub broken: u64,
    /// Calls whose time ran out while a server worked on them.
    pub late: u64,
}

impl Counts {
    /// Calls that failed, in whatever way.
    pub(crate) fn failed(&self) -> u64 {
        self.wrong + self.refused + self.unserved + self.broken + self.late
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            asked: self.asked - earlier.asked,
            attempts: self.attempts - earlier.attempts,
            answered: self.answered - earlier.answered,
            wrong: self.wrong - earlier.wrong,
            refused: self.refused - earlier.refused,
            unserved: self.unserved - earlier.unserved,
            broken: self.broken - earlier.broken,
            late: self.late - earlier.late,
        }
    }
}

/// How long calls took, since somebody last looked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    pub(crate) answered: Vec<Duration>,
    /// Of calls that failed other than by running out of time.
    pub(crate) refused: Vec<Duration>,
    /// When the first answer came.
    pub(crate) first: Option<Instant>,
}

impl Times {
    pub(crate) fn extend(&mut self, later: &Self) {
        self.answered.extend(&later.answered);
        self.refused.extend(&later.refused);
        self.first = self.first.or(later.first);
    }
}

/// The time within which so large a share of `times` lie.
pub(crate) fn quantile(times: &[Duration], share: f64) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place).or_else(|| sorted.last()).copied()
}

/// Where the tasks write what they see.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    next_id: AtomicU64,
    attempts: AtomicU64,
    counts: Mutex<(Counts, Times)>,
}

impl Diary {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.lock().0;
        counts.attempts = self.attempts.load(SeqCst);
        counts
    }

    /// The times since the last look.
    pub(crate) fn take_times(&self) -> Times {
        take(&mut self.lock().1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Counts, Times)> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, id: u64, result: Result<u64, ErrorKind>, took: Duration) {
        let (counts, times) = &mut *self.lock();
        match result {
            Ok(_) => {
                times.answered.push(took);
                times.first.get_or_insert_with(Instant::now);
            }
            Err(ErrorKind::OperationTimeout | ErrorKind::Timeout(_)) => {}
            Err(_) => times.refused.push(took),
        }
        *match result {
            Ok(echo) if echo == id => &mut counts.answered,
            Ok(_) => &mut counts.wrong,
            Err(ErrorKind::Rejected | ErrorKind::NoNode | ErrorKind::Closed) => &mut counts.refused,
            Err(ErrorKind::Operation) => &mut counts.broken,
            Err(ErrorKind::OperationTimeout) => &mut counts.late,
            Err(_) => &mut counts.unserved,
        } += 1;
    }
}

impl Load {
    /// Sets `tasks` tasks to work, each of which thinks for `think` before a call, give or take a
    /// third.
    pub(crate) fn start<B: Backend>(
        backend: &Arc<B>,
        pool: &PoolOf<B>,
        diary: &Arc<Diary>,
        tasks: usize,
        think: Duration,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let workers = (0..tasks).map(|_| {
            let (backend, pool) = (backend.clone(), pool.clone());
            work(backend, pool, diary.clone(), stop.clone(), think)
        });
        Self {
            tasks: workers.collect(),
            stop,
        }
    }

    /// Lets every task finish what it is doing.
    pub(crate) async fn stop(self) {
        self.stop.store(true, SeqCst);
        self.tasks.join_all().await;
    }
}

pub(crate) async fn pause(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

async fn work<B: Backend>(
    backend: Arc<B>,
    pool: PoolOf<B>,
    diary: Arc<Diary>,
    stop: Arc<AtomicBool>,
    think: Duration,
) {
    while !stop.load(SeqCst) {
        let id = diary.next_id.fetch_add(1, SeqCst);
        pause((think + think * (scatter(id) % 1000) as u32 / 1000) * 2 / 3).await;
        diary.lock().0.asked += 1;
        let begun = Instant::now();
        // Asking twice is as good as once, so what fails may be tried again on another node.
        let options = CallOptions::new().idempotent().timeout(PATIENCE);
        let result = pool
            .run_with(options, async |connection| {
                diary.attempts.fetch_add(1, SeqCst);
                backend.echo(connection, id).await
            })
            .await;
        diary.write(id, result.map_err(|error| error.kind()), begun.elapsed());
    }
}

/// A number for each id in which neighbours have nothing in common.
fn scatter(id: u64) -> u64 {
    let x = (id ^ (id >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// How long a caller waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// Between two looks at something that will be so in a moment.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
