//! A hundred thousand who wait.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pool_postgres::{PgManager, Pool};
use tokio::task::JoinSet;

use crate::finding::Finding;
use crate::rig::{config_of, fill};
use crate::server::Server;
use crate::time::{self, Instant, shown};

/// All wait for 16 real connections, which then come back. In a process of its own: what is counted
/// is the memory of all of it.
pub(crate) async fn hundred_thousand(server: Server) -> Result<Vec<Finding>> {
    let manager = PgManager::new(config_of(&server, "chaos-waiters")?)?;
    let pool = Pool::builder(manager)
        .max_size(16)
        .max_waiters(COUNT)
        .build()?;
    fill(&pool).await?;
    let tenth = drain(&pool, COUNT / 10).await?;
    let all = drain(&pool, COUNT).await?;
    pool.close(Duration::from_secs(1)).await;
    let growth = all.took.as_secs_f64() / tenth.took.as_secs_f64().max(0.001);
    Ok(vec![
        Finding::new(
            "waiters",
            "at most 1024 bytes each, their tasks included",
            format!("{} bytes", all.bytes / COUNT as u64),
            all.bytes / COUNT as u64 <= 1024 && all.served == COUNT,
        ),
        Finding::new(
            "waiters",
            "drained in 2 s",
            shown(all.took),
            all.took <= Duration::from_secs(2),
        ),
        Finding::new(
            "waiters",
            "ten times as many take at most thirty times as long",
            format!("{growth:.1} times"),
            growth <= 30.0,
        ),
    ])
}

struct Drained {
    bytes: u64,
    served: usize,
    took: Duration,
}

async fn drain(pool: &Pool, count: usize) -> Result<Drained> {
    let mut held = Vec::new();
    while let Some(connection) = pool.try_get() {
        held.push(connection);
    }
    let before = resident()?;
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let pool = pool.clone();
        tasks.spawn(async move { pool.get().await.is_ok() });
    }
    let parked = time::until(Duration::from_secs(30), || pool.state().waiting == count).await;
    parked.context("not all of them wait")?;
    let bytes = resident()?.saturating_sub(before);
    let begun = Instant::now();
    drop(held);
    let served = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|served| *served)
        .count();
    Ok(Drained {
        bytes,
        served,
        took: begun.elapsed(),
    })
}

/// The memory of this process, in bytes.
pub(crate) fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kibibytes.context("the kernel tells of memory")? * 1024)
}

const COUNT: usize = 100_000;
