//! A hundred thousand who wait.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use anyhow::{Context as _, Result};
use pool_postgres::{PgManager, Pool};

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
    let quarter = drain(&pool, COUNT / 4).await?;
    let all = drain(&pool, COUNT).await?;
    pool.close(Duration::from_secs(1)).await;
    let growth = all.took.as_secs_f64() / quarter.took.as_secs_f64().max(0.001);
    Ok(vec![
        Finding::new(
            "waiters",
            "at most 1024 bytes each, their tasks included",
            format!("{} bytes", all.bytes / COUNT as u64),
            all.bytes / COUNT as u64 <= 1024,
        ),
        Finding::new(
            "waiters",
            "drained in 2 s",
            shown(all.took),
            all.took <= Duration::from_secs(2),
        ),
        Finding::new(
            "waiters",
            "four times as many take at most eight times as long",
            format!("{growth:.1} times"),
            growth <= 8.0,
        ),
    ])
}

struct Drained {
    bytes: u64,
    took: Duration,
}

async fn drain(pool: &Pool, count: usize) -> Result<Drained> {
    let mut held = Vec::new();
    while let Some(connection) = pool.try_get() {
        held.push(connection);
    }
    let before = resident()?;
    let served = Arc::new(AtomicUsize::new(0));
    for _ in 0..count {
        let (pool, served) = (pool.clone(), served.clone());
        tokio::spawn(async move {
            if pool.get().await.is_ok() {
                served.fetch_add(1, SeqCst);
            }
        });
    }
    let parked = time::until(Duration::from_secs(30), || pool.state().waiting == count).await;
    parked.context("not all of them wait")?;
    let bytes = resident()?.saturating_sub(before);
    let begun = Instant::now();
    drop(held);
    let all = || served.load(SeqCst) == count;
    let took = time::until(Duration::from_secs(30), all).await;
    took.context("not all of them are served")?;
    Ok(Drained {
        bytes,
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
