//! Tasks that call and call again, and what they have seen.
//!
//! Time is counted in ticks of the pool, some 200 ms apart where the machine is quiet; where it is
//! not, everybody has the more of it. No clock is read here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pool_facade::{CallOptions, Pool};
use pool_postgres::{Error, PgConnection, PgManager};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What all tasks have seen together.
#[derive(Default)]
pub(crate) struct Seen {
    reads: AtomicU64,
    writes: AtomicU64,
    /// Calls that came as far as a server, and how often they did.
    requests: AtomicU64,
    attempts: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    ended: AtomicBool,
    samples: Mutex<Vec<Sample>>,
    ticks: watch::Sender<usize>,
}

/// What was served until a tick.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    reads: u64,
    writes: u64,
}

/// Served calls in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) reads: f64,
    pub(crate) writes: f64,
}

/// Calls up to now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) attempts: u64,
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Seen {
    /// The pool has ticked.
    pub(crate) fn on_tick(&self, at: Instant) {
        let sample = Sample {
            at,
            reads: self.reads.load(Relaxed),
            writes: self.writes.load(Relaxed),
        };
        self.samples.lock().unwrap().push(sample);
        self.ticks.send_modify(|ticks| *ticks += 1);
    }

    /// The next tick has passed.
    pub(crate) async fn tick(&self) {
        let mut ticks = self.ticks.subscribe();
        ticks.changed().await.expect("we hold the sender");
    }

    /// Waits until the rates of [`WINDOW`] ticks, all of them after this call, are as they should.
    /// Tells how many ticks that took.
    pub(crate) async fn until(
        &self,
        what: &str,
        within: usize,
        good: impl Fn(&Rates) -> bool,
    ) -> usize {
        let start = *self.ticks.borrow();
        let mut seen = Vec::new();
        loop {
            self.tick().await;
            let (passed, rates) = {
                let samples = self.samples.lock().unwrap();
                let window = samples[start..].len().min(WINDOW + 1);
                let rates = Rates::of(&samples[samples.len() - window..]);
                (samples.len() - start, rates)
            };
            if passed <= WINDOW {
                continue;
            }
            if good(&rates) {
                return passed;
            }
            seen.push(rates);
            assert!(passed < within, "{what}: not in {passed} ticks: {seen:.0?}");
        }
    }

    pub(crate) fn rates(&self) -> Rates {
        let samples = self.samples.lock().unwrap();
        Rates::of(&samples[samples.len() - WINDOW - 1..])
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            requests: self.requests.load(Relaxed),
            attempts: self.attempts.load(Relaxed),
            failures: self.failures.lock().unwrap().clone(),
        }
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    async fn call(&self, pool: &Pool<PgManager>, task: i64, number: i64) -> bool {
        let options = CallOptions::new().timeout(PATIENCE);
        let (options, statement, served) = if task % 2 == 0 {
            (options.read_only(), READ, &self.reads)
        } else {
            (options.idempotent(), WRITE, &self.writes)
        };
        let begun = AtomicU32::new(0);
        let result = pool.run_with(options, async |connection| {
            self.attempts.fetch_add(1, Relaxed);
            if begun.fetch_add(1, Relaxed) == 0 {
                self.requests.fetch_add(1, Relaxed);
            }
            execute(connection, statement, task, number).await
        });
        let Err(error) = result.await else {
            served.fetch_add(1, Relaxed);
            return true;
        };
        assert_eq!(error.attempts(), begun.load(Relaxed), "{error:?}");
        let reason = match error.class() {
            Some(class) => format!("{:?}, {class}", error.kind()),
            None => format!("{:?}", error.kind()),
        };
        *self.failures.lock().unwrap().entry(reason).or_default() += 1;
        false
    }
}

impl Rates {
    fn of(samples: &[Sample]) -> Self {
        let [first, .., last] = samples else {
            return Self::default();
        };
        let passed = last.at.saturating_duration_since(first.at).as_secs_f64();
        Self {
            reads: (last.reads - first.reads) as f64 / passed,
            writes: (last.writes - first.writes) as f64 / passed,
        }
    }
}

impl Tally {
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut failures = self.failures.clone();
        for (reason, count) in &before.failures {
            *failures.entry(reason.clone()).or_default() -= count;
        }
        failures.retain(|_, count| *count > 0);
        Self {
            requests: self.requests - before.requests,
            attempts: self.attempts - before.attempts,
            failures,
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// Starts so many tasks, every second of which writes. Each ends with its number and that of the
/// last call that was served.
pub(crate) fn start(pool: &Pool<PgManager>, seen: &Arc<Seen>, tasks: i64) -> JoinSet<(i64, i64)> {
    let work = |task| {
        let (pool, seen) = (pool.clone(), seen.clone());
        async move {
            let (mut number, mut served) = (0, 0);
            while !seen.ended.load(Relaxed) {
                number += 1;
                if seen.call(&pool, task, number).await {
                    served = number;
                } else {
                    // Who was refused comes back later, as everybody should.
                    seen.tick().await;
                }
            }
            (task, served)
        }
    };
    (0..tasks).map(work).collect()
}

async fn execute(
    connection: &PgConnection,
    statement: &str,
    task: i64,
    number: i64,
) -> Result<(), Error> {
    let statement = connection.prepare_cached(statement).await?;
    connection.execute(&statement, &[&task, &number]).await?;
    Ok(())
}

/// Each call keeps its connection for some 20 ms, so that the sizes of the pools decide how many
/// are served, and not the machine.
const READ: &str = "SELECT $1::int8, $2::int8 FROM pg_sleep(0.02)";
const WRITE: &str = "INSERT INTO written SELECT $1::int8, $2::int8 FROM pg_sleep(0.02) \
    ON CONFLICT (task) DO UPDATE SET number = excluded.number";
/// For each call.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many ticks make a rate.
pub(crate) const WINDOW: usize = 3;
