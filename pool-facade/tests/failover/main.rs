//! A pool over a primary and a replica of real PostgreSQL, under a load of 200 tasks.
//!
//! Sessions are ended, the primary is killed, the replica promoted, and the old server taken back.
//! Asserted at each of these: at most 1.1 attempts per request, and the full rate again within 5 s
//! of the servers being back, counted as 25 ticks of the pool, which a busy machine makes longer.
//! Full is three fifths of what the same servers served before. At the end the books of the tasks,
//! the pool and the servers are compared. What a failover takes in seconds is for
//! `cargo xtask chaos` to measure, on a pool of one node.
#![expect(
    clippy::unwrap_used,
    reason = "a test, its helper functions included, fails by panicking"
)]

mod load;
mod servers;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use load::{Rates, Seen, Tally};
use pool_facade::balance::Role;
use pool_facade::pool_core::CloseReport;
use pool_facade::{NodeState, Pool};
use pool_postgres::PgManager;
use servers::{Server, role};
use testkit::postgres::Cluster;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_loses_nothing_while_servers_are_killed_and_promoted() {
    timeout(LONGEST, play()).await.expect("it ends in time");
}

async fn play() {
    let stage = Stage::set().await;
    let mut tasks = load::start(&stage.pool, &stage.seen, TASKS);
    let usual = stage.warm_up().await;
    stage.end_sessions(&usual).await;
    stage.end_sessions_again_and_again(&usual).await;
    stage.kill_and_promote(&usual).await;
    stage.take_back(&usual).await;

    stage.seen.end();
    let mut served = BTreeMap::new();
    while let Some(ended) = tasks.join_next().await {
        let (task, number) = ended.unwrap();
        served.insert(task, number);
    }
    stage.compare_books().await;
    stage.compare_data(&served).await;
    stage.close().await;
}

struct Stage {
    first: Server,
    second: Server,
    pool: Pool<PgManager>,
    seen: Arc<Seen>,
}

impl Stage {
    /// A primary, its replica, and a pool over both with the settings that it has by default.
    async fn set() -> Self {
        let clusters = spawn_blocking(|| {
            let primary = Cluster::launch()?;
            primary.sql(TABLE)?;
            let replica = primary.replica()?;
            std::io::Result::Ok((primary, replica))
        });
        let (primary, replica) = clusters.await.unwrap().unwrap();
        let (first, second) = (Server::new(primary), Server::new(replica));
        let seen = Arc::new(Seen::default());
        let ticks = seen.clone();
        let pool = Pool::builder()
            .endpoint(first.endpoint("first", Role::Primary))
            .endpoint(second.endpoint("second", Role::Replica))
            .max_size(SIZE)
            .probe(|connection| Box::pin(async { role(connection).await }))
            .on_tick("samples", move |now, _| ticks.on_tick(now))
            .build()
            .unwrap();
        Self {
            first,
            second,
            pool,
            seen,
        }
    }

    /// Waits until both nodes serve, and the rates do not grow any more.
    async fn warm_up(&self) -> Rates {
        let last = Cell::new(Rates::default());
        let steady = |rates: &Rates| {
            let before = last.replace(*rates);
            rates.reads > 0.0
                && rates.reads < before.reads * 1.05
                && rates.writes > 0.0
                && rates.writes < before.writes * 1.05
        };
        self.seen.until("a steady load", 25, steady).await;
        self.seen.rates()
    }

    /// Every session of both servers is ended once: whoever is in the middle may fail, and nobody
    /// else.
    async fn end_sessions(&self, usual: &Rates) {
        let before = self.seen.tally();
        for server in [&self.first, &self.second] {
            let ended = server.ask(Cluster::terminate_backends).await;
            assert!(ended >= SIZE, "{ended} sessions");
        }
        let full = |rates: &Rates| is_full(rates, usual);
        let tally = self.recover("sessions were ended", before, full).await;
        assert!(tally.failed() <= 2 * SIZE as u64, "{tally:?}");
    }

    /// The same forty times within a second: without a budget, every third call would be tried
    /// again.
    async fn end_sessions_again_and_again(&self, usual: &Rates) {
        let before = self.seen.tally();
        tokio::join!(self.first.sql(STORM), self.second.sql(STORM));
        let full = |rates: &Rates| is_full(rates, usual);
        self.recover("a storm of ended sessions", before, full)
            .await;
    }

    /// The primary dies, and some time later the replica takes its place: reads go on all the time,
    /// and the pool finds out by itself where to write.
    async fn kill_and_promote(&self, usual: &Rates) {
        let before = self.seen.tally();
        self.first.ask(Cluster::kill).await;
        let only_reads = |rates: &Rates| rates.writes == 0.0 && rates.reads > FULL * usual.reads;
        self.seen.until("nobody to write to", 25, only_reads).await;
        self.second.ask(Cluster::promote).await;
        // One server does now what two did, so its callers get half of the rate each.
        let full = |rates: &Rates| {
            rates.reads + rates.writes > FULL * (usual.reads + usual.writes) / 2.0
                && rates.writes > usual.writes / 4.0
        };
        self.recover("a promotion", before, full).await;
        assert_eq!(self.node("second").view.unwrap().role, Role::Primary);
    }

    /// The old primary comes back as the replica of the new one.
    async fn take_back(&self, usual: &Rates) {
        let before = self.seen.tally();
        let primary = self.second.clone();
        let follow = move |cluster: &Cluster| cluster.follow(primary.cluster());
        self.first.ask(follow).await;
        let full = |rates: &Rates| is_full(rates, usual);
        self.recover("the return of the old primary", before, full)
            .await;
        // It may yet count as slow: the first answers of a cold server are.
        let view = self.node("first").view.unwrap();
        assert!(
            view.role == Role::Replica && view.standing.serves(),
            "{view:?}"
        );
    }

    /// Waits for the full rate, and looks at what it has cost since `before`.
    async fn recover(&self, from: &str, before: Tally, full: impl Fn(&Rates) -> bool) -> Tally {
        let ticks = self.seen.until(from, RECOVERY, full).await;
        let tally = self.seen.tally().since(&before);
        show(&format!("{from}: {ticks} ticks, {tally:?}"));
        assert!(
            tally.attempts * 10 <= tally.requests * 11,
            "{from}: {tally:?}"
        );
        tally
    }

    /// No call, no connection and no session is unaccounted for.
    async fn compare_books(&self) {
        for tick in 0.. {
            let sessions = [
                self.first.ask(Cluster::backends).await,
                self.second.ask(Cluster::backends).await,
            ];
            let nodes = self.pool.state().nodes;
            let idle = nodes.iter().map(|node| node.pool.idle);
            let sizes = nodes.iter().map(|node| node.pool.size);
            let audit = self.pool.audit_quiescent();
            // A probe may be under way, or a connection on its way back.
            if audit.is_ok() && idle.eq(sessions) && sizes.eq(sessions) {
                break;
            }
            assert!(tick < 25, "{audit:?}, {sessions:?} sessions, {nodes:?}");
            self.seen.tick().await;
        }
        let (statistics, tally) = (self.pool.statistics(), self.seen.tally());
        let totals = statistics.nodes.iter().map(|node| node.breaker.totals);
        let settled: u64 = totals
            .map(|it| it.successes + it.failures + it.overloads + it.ignored + it.stale)
            .sum();
        assert_eq!(settled, tally.attempts, "{statistics:?}");
        let retries = statistics.retries.attempts;
        show(&format!("all: {retries} retries, {tally:?}"));
        assert!(retries * 10 <= tally.requests, "{retries}, {tally:?}");
        assert!(
            tally.attempts - tally.requests <= retries,
            "{retries}, {tally:?}"
        );
        assert_eq!(statistics.panics, 0);
    }

    /// What a writer was told is written is there.
    async fn compare_data(&self, served: &BTreeMap<i64, i64>) {
        let rows = self.second.sql("SELECT task, number FROM written").await;
        let rows = rows.lines().map(|row| row.split_once('|').unwrap());
        let rows: BTreeMap<i64, i64> = rows
            .map(|(task, number)| (task.parse().unwrap(), number.parse().unwrap()))
            .collect();
        for (task, number) in served.iter().filter(|(task, _)| *task % 2 == 1) {
            assert!(
                rows[task] >= *number,
                "task {task}: {} of {number}",
                rows[task]
            );
        }
    }

    async fn close(&self) {
        let report = self.pool.close(Duration::from_secs(2)).await;
        assert_eq!(report, CloseReport::default());
        for server in [&self.first, &self.second] {
            // Each has been told that its client leaves, and some are still about it.
            let mut left = 0;
            for _ in 0..100 {
                left = server.ask(Cluster::backends).await;
                if left == 0 {
                    break;
                }
            }
            assert_eq!(left, 0, "sessions are left");
        }
    }

    fn node(&self, name: &str) -> NodeState {
        let nodes = self.pool.state().nodes;
        nodes.into_iter().find(|node| &*node.name == name).unwrap()
    }
}

fn is_full(rates: &Rates, usual: &Rates) -> bool {
    rates.reads > FULL * usual.reads && rates.writes > FULL * usual.writes
}

#[expect(
    clippy::print_stdout,
    reason = "shown by --nocapture, or when the test fails"
)]
fn show(line: &str) {
    println!("{line}");
}

const TASKS: i64 = 200;
/// Of the pool of each node.
const SIZE: usize = 8;
/// Ticks until the full rate is there again: 5 s.
const RECOVERY: usize = 25;
/// More than the half that one server of two can do; the mood of the machine is not to decide.
const FULL: f64 = 0.6;
/// For the whole test, which takes a tenth of it.
const LONGEST: Duration = Duration::from_secs(180);
const TABLE: &str =
    "CREATE TABLE written (task int8 PRIMARY KEY, number int8); GRANT ALL ON written TO app";
const STORM: &str = "DO $$ BEGIN FOR i IN 1..40 LOOP \
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'; \
    PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep(0.02); END LOOP; END $$";
