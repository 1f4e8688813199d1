//! A node whose health check says that all is well, while no operation on it succeeds.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use pool_facade::health::Report;
use pool_facade::{CallOptions, Pool};
use pool_postgres::PgManager;

use crate::finding::Finding;
use crate::rig::config_of;
use crate::server::Server;
use crate::time::{self, Instant};

/// Two nodes, one of which ends every session in the middle of its first real statement.
pub(crate) async fn told(server: Server) -> Result<Vec<Finding>> {
    let honest = PgManager::new(config_of(&server, "chaos-honest")?)?;
    let lying = config_of(&server, "chaos-lying")?.options("-c chaos.dead=on");
    let pool = Pool::builder()
        .node("honest", honest)
        .node("lying", PgManager::new(lying)?)
        .max_size(8)
        .probe(|_| Box::pin(async { Report::up() }))
        .build()?;
    let (answered, failed, hits, late_hits) = Default::default();
    let counts: [&AtomicU64; 4] = [&answered, &failed, &hits, &late_hits];
    let begun = Instant::now();
    let callers = join_all((0..8).map(|_| call(&pool, begun, counts)));
    let (changes, _) = tokio::join!(watch(&pool, begun), callers);
    pool.close(Duration::from_secs(2)).await;

    let [answered, failed, hits, late_hits] = counts.map(|count| count.load(SeqCst));
    let calls = answered + failed;
    let closest = changes.windows(2).map(|pair| pair[1] - pair[0]).min();
    Ok(vec![
        Finding::new(
            "health",
            "the failed operations outrank the check: 99.9 % of the calls succeed",
            format!("{failed} of {calls} failed, {hits} met the liar"),
            failed * 1000 <= calls && answered > 1000,
        ),
        Finding::new(
            "health",
            "after a second the liar has at most 1 % of the calls",
            format!("{late_hits} of {calls}"),
            late_hits * 100 <= calls && hits > 0,
        ),
        Finding::new(
            "health",
            "its standing changes at most once in each damping window of 1 s",
            format!("{} changes, the closest {closest:?} apart", changes.len()),
            !changes.is_empty() && closest.is_none_or(|gap| gap >= DAMPING),
        ),
    ])
}

async fn call(pool: &Pool<PgManager>, begun: Instant, counts: [&AtomicU64; 4]) {
    let [answered, failed, hits, late_hits] = counts;
    while begun.elapsed() < SPAN {
        let options = CallOptions::new()
            .read_only()
            .timeout(Duration::from_secs(2));
        let result = pool.run_with(options, async |connection| {
            let result = connection.query_one(STATEMENT, &[]).await;
            if result.is_err() {
                hits.fetch_add(1, SeqCst);
                let late = begun.elapsed() > Duration::from_secs(1);
                late_hits.fetch_add(u64::from(late), SeqCst);
            }
            result?;
            Ok(())
        });
        let count = if result.await.is_ok() {
            answered
        } else {
            failed
        };
        count.fetch_add(1, SeqCst);
        time::pause(Duration::from_millis(5)).await;
    }
}

/// When the standing of the liar changed.
async fn watch(pool: &Pool<PgManager>, begun: Instant) -> Vec<Instant> {
    let mut changes = Vec::new();
    let mut last = None;
    while begun.elapsed() < SPAN {
        let state = pool.state();
        let liar = state.nodes.iter().find(|node| &*node.name == "lying");
        let standing = liar
            .and_then(|node| node.view.as_ref())
            .map(|view| view.standing);
        if last.is_some() && standing != last {
            changes.push(Instant::now());
        }
        last = standing;
        time::pause(Duration::from_millis(5)).await;
    }
    changes
}

/// Who is marked at login does not live to answer this.
const STATEMENT: &str = "SELECT CASE WHEN current_setting('chaos.dead', true) = 'on' \
    THEN pg_terminate_backend(pg_backend_pid()) ELSE false END";
const SPAN: Duration = Duration::from_secs(6);
/// The window, less what looking adds.
const DAMPING: Duration = Duration::from_millis(950);
