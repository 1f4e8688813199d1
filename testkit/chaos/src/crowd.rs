//! Callers of a pool, and their own count of what they got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use pool_postgres::tokio_postgres::Error;
use pool_postgres::{PgConnection, Pool};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::time;

/// How callers behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) tasks: usize,
    /// Between two calls.
    pub(crate) think: Duration,
    /// How long the server works on a call.
    pub(crate) work: Duration,
    /// How long a caller waits for all of a call, if not for ever.
    pub(crate) patience: Option<Duration>,
}

impl Manners {
    pub(crate) const fn new(tasks: usize) -> Self {
        Self {
            tasks,
            think: Duration::from_millis(5),
            work: Duration::ZERO,
            patience: None,
        }
    }
}

/// What one caller, or all together, have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Calls whose reply carried their number.
    pub(crate) answered: u64,
    /// Calls whose reply carried another's.
    pub(crate) wrong: u64,
    /// Calls that got no connection.
    pub(crate) unserved: u64,
    /// Of those, the ones that were told what is wrong with the server.
    told: u64,
    /// Calls whose connection failed.
    pub(crate) cut: u64,
    /// Calls that their caller gave up.
    pub(crate) left: u64,
}

impl Tally {
    pub(crate) fn failed(&self) -> u64 {
        self.wrong + self.unserved + self.cut + self.left
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.wrong += other.wrong;
        self.unserved += other.unserved;
        self.told += other.told;
        self.cut += other.cut;
        self.left += other.left;
    }
}

/// Tasks that call, think and call again, until told to stop.
#[derive(Debug)]
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    tasks: JoinSet<Tally>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    next: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    unserved: AtomicU64,
    told: AtomicU64,
}

impl Crowd {
    pub(crate) fn start(pool: &Pool, manners: Manners) -> Self {
        let shared = Arc::<Shared>::default();
        let work = |_| call_again_and_again(pool.clone(), shared.clone(), manners);
        Self {
            tasks: (0..manners.tasks).map(work).collect(),
            shared,
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(SeqCst)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.shared.failed.load(SeqCst)
    }

    /// Calls that got no connection, and those of them that were told why.
    pub(crate) fn unserved(&self) -> (u64, u64) {
        (
            self.shared.unserved.load(SeqCst),
            self.shared.told.load(SeqCst),
        )
    }

    /// Waits for the next answer, and says how long that took.
    pub(crate) async fn next_answer(&self, limit: Duration) -> Option<Duration> {
        let before = self.answered();
        time::until(limit, || self.answered() > before).await
    }

    /// Lets each finish its call; what each has seen, and all together.
    pub(crate) async fn stop(self) -> (Vec<Tally>, Tally) {
        self.shared.stop.store(true, SeqCst);
        let each = self.tasks.join_all().await;
        let mut all = Tally::default();
        for one in &each {
            all.add(*one);
        }
        (each, all)
    }
}

async fn call_again_and_again(pool: Pool, shared: Arc<Shared>, manners: Manners) -> Tally {
    let mut sum = Tally::default();
    while !shared.stop.load(SeqCst) {
        let id = shared.next.fetch_add(1, SeqCst);
        let call = call(&pool, id, manners.work);
        let tally = match manners.patience {
            None => call.await,
            Some(patience) => timeout(patience, call).await.unwrap_or_else(|_| Tally {
                left: 1,
                ..Tally::default()
            }),
        };
        shared.answered.fetch_add(tally.answered, SeqCst);
        shared.failed.fetch_add(tally.failed(), SeqCst);
        shared.unserved.fetch_add(tally.unserved, SeqCst);
        shared.told.fetch_add(tally.told, SeqCst);
        sum.add(tally);
        // Not in step with the others.
        time::pause(manners.think.mul_f64(0.5 + (id % 64) as f64 / 64.0)).await;
    }
    sum
}

/// One call, by the one figure that it counts.
async fn call(pool: &Pool, id: u64, work: Duration) -> Tally {
    let mut tally = Tally::default();
    match pool.get().await {
        Ok(connection) => match answer(&connection, id, work).await {
            Ok(reply) if reply == id => tally.answered = 1,
            Ok(_) => tally.wrong = 1,
            Err(_) => tally.cut = 1,
        },
        Err(error) => {
            tally.unserved = 1;
            tally.told = u64::from(error.connect_error().is_some());
        }
    }
    tally
}

/// The server's answer to `id`, after it has worked.
pub(crate) async fn answer(
    connection: &PgConnection,
    id: u64,
    work: Duration,
) -> Result<u64, Error> {
    let id = i64::try_from(id).expect("numbers of calls count up from 0");
    let row = if work.is_zero() {
        let echo = connection.prepare_cached("SELECT $1::int8").await?;
        connection.query_one(&echo, &[&id]).await?
    } else {
        let sql = "SELECT $1::int8 FROM pg_sleep($2)";
        let echo = connection.prepare_cached(sql).await?;
        connection
            .query_one(&echo, &[&id, &work.as_secs_f64()])
            .await?
    };
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Whether the server answers at all, and in reasonable time.
pub(crate) async fn answers(connection: &PgConnection, id: u64) -> bool {
    let answer = timeout(
        Duration::from_secs(2),
        answer(connection, id, Duration::ZERO),
    );
    matches!(answer.await, Ok(Ok(reply)) if reply == id)
}

/// Whether a connection can be had, and answers.
pub(crate) async fn serves(pool: &Pool, id: u64) -> bool {
    match pool.get().await {
        Ok(connection) => answers(&connection, id).await,
        Err(_) => false,
    }
}
