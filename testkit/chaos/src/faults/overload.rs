//! More callers than the server can serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Result;
use pool_core::ErrorKind;
use pool_postgres::Pool;
use tokio::task::JoinSet;

use crate::crowd::answer;
use crate::finding::Finding;
use crate::rig::Rig;
use crate::server::Server;
use crate::time::{self, Instant, shown};

/// Calls come at ten times the rate that eight connections can serve.
pub(crate) async fn tenfold(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "overload").await?;
    let pool = rig.builder()?.max_size(8).max_waiters(16).build()?;
    crate::rig::fill(&pool).await?;
    let capacity = busy(&pool).await?;
    let flood = Flood::run(&pool, 10 * capacity).await?;
    rig.close(&pool).await?;
    let goodput = flood.served * 1000 / SPAN.as_millis() as u64;
    Ok(vec![
        Finding::new(
            "slow",
            "beyond W = 16 callers are refused within 20 ms",
            format!(
                "{} refused, the slowest after {}",
                flood.refused,
                shown(flood.slowest)
            ),
            flood.refused > 0 && flood.slowest <= Duration::from_millis(20) && flood.other == 0,
        ),
        Finding::new(
            "slow",
            "goodput at 10 x the load is 95 % of capacity",
            format!("{goodput}/s of {capacity}/s"),
            goodput * 100 >= capacity * 95,
        ),
        Finding::unknown("slow", "refusals carry `retry_after`", NOT_BUILT),
        Finding::unknown("bar-slow", "goodput of 300 of 320/s", NOT_BUILT),
    ])
}

/// What the pool serves when exactly as many call as there are connections.
async fn busy(pool: &Pool) -> Result<u64> {
    let end = Instant::now() + SPAN;
    let mut tasks = JoinSet::new();
    for id in 0..8 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut served = 0_u64;
            while Instant::now() < end {
                answer(&*pool.get().await?, id, WORK).await?;
                served += 1;
            }
            anyhow::Ok(served)
        });
    }
    let mut served = 0;
    while let Some(one) = tasks.join_next().await {
        served += one??;
    }
    Ok(served * 1000 / SPAN.as_millis() as u64)
}

/// Calls that come whatever becomes of those before them.
struct Flood {
    served: u64,
    refused: u64,
    other: u64,
    slowest: Duration,
}

impl Flood {
    async fn run(pool: &Pool, rate: u64) -> Result<Self> {
        let served = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        let mut sent = 0;
        while begun.elapsed() < SPAN {
            let due = u64::try_from(begun.elapsed().as_micros())? * rate / 1_000_000;
            for id in sent..due {
                tasks.spawn(one(pool.clone(), id, served.clone()));
            }
            sent = due;
            time::pause(Duration::from_millis(2)).await;
        }
        let in_time = served.load(SeqCst);
        let mut flood = Self {
            served: in_time,
            refused: 0,
            other: 0,
            slowest: Duration::ZERO,
        };
        for end in tasks.join_all().await {
            match end {
                End::Served => {}
                End::Refused(after) => {
                    flood.refused += 1;
                    flood.slowest = flood.slowest.max(after);
                }
                End::Failed => flood.other += 1,
            }
        }
        Ok(flood)
    }
}

enum End {
    Served,
    Refused(Duration),
    Failed,
}

async fn one(pool: Pool, id: u64, served: Arc<AtomicU64>) -> End {
    let begun = Instant::now();
    match pool.get().await {
        Ok(connection) if answer(&connection, id, WORK).await.is_ok() => {
            served.fetch_add(1, SeqCst);
            End::Served
        }
        Err(error) if error.kind() == ErrorKind::QueueFull => End::Refused(begun.elapsed()),
        Ok(_) | Err(_) => End::Failed,
    }
}

const WORK: Duration = Duration::from_millis(20);
const SPAN: Duration = Duration::from_secs(3);
const NOT_BUILT: &str = "needs the overload queue, which is not built yet";
