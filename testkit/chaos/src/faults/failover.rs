//! A primary that dies, and a replica that takes its place.

use std::time::Duration;

use anyhow::Result;
use pool_postgres::{PgManager, Pool, TargetSessionAttrs};
use testkit::postgres::{Cluster, Shutdown};

use crate::finding::Finding;
use crate::rig::{config_of, fill, host};
use crate::server::Server;
use crate::time::{self, Instant, shown};

/// Writers follow the promotion of a replica; each fails at most once.
pub(crate) async fn promoted(primary: Server) -> Result<Vec<Finding>> {
    primary
        .sql("CREATE TABLE t (n bigint); GRANT ALL ON t TO app")
        .await?;
    let replica = primary.replica().await?;
    let mut config = config_of(&replica, "chaos-failover")?;
    config.hosts.push(host(primary.address()));
    let config = config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let pool = Pool::builder(PgManager::new(config)?).max_size(8).build()?;
    fill(&pool).await?;
    let before = replica.sessions("chaos-failover").await?;

    primary
        .ask(|cluster| cluster.stop(Shutdown::Immediate))
        .await?;
    let end = Instant::now() + Duration::from_secs(20);
    let writers: Vec<_> = (0..WRITERS)
        .map(|id| tokio::spawn(write(pool.clone(), id, end)))
        .collect();
    time::pause(Duration::from_millis(500)).await;
    replica.ask(Cluster::promote).await?;
    let promoted = Instant::now();
    let (mut most, mut served, mut last) = (0, 0, promoted);
    for writer in writers {
        let (failures, first) = writer.await?;
        most = most.max(failures);
        served += u64::from(first.is_some());
        last = last.max(first.unwrap_or(end));
    }
    let rows = replica.count("SELECT count(*) FROM t").await?;
    let sessions = replica.sessions("chaos-failover").await?;
    let late = last - promoted;
    pool.close(Duration::from_secs(2)).await;
    Ok(vec![
        Finding::new(
            "killed",
            "failover: at most one failure for each of 20 writers",
            format!("{most} at most, {served} served"),
            most <= 1 && served == WRITERS,
        ),
        Finding::new(
            "killed",
            "failover: writes flow within C + 1 s of the promotion, to the new primary",
            format!("{}, {rows} rows in it, {sessions} sessions", shown(late)),
            late <= Duration::from_secs(6) && rows == WRITERS && before == 0 && sessions > 0,
        ),
    ])
}

/// Writes until it has succeeded: how often it failed, and when it was done.
async fn write(pool: Pool, id: u64, end: Instant) -> (u64, Option<Instant>) {
    let mut failures = 0;
    while Instant::now() < end {
        let insert = format!("INSERT INTO t VALUES ({id})");
        let written = match pool.get().await {
            Ok(connection) => connection.batch_execute(&insert).await.is_ok(),
            Err(_) => false,
        };
        if written {
            return (failures, Some(Instant::now()));
        }
        failures += 1;
        time::pause(Duration::from_millis(1)).await;
    }
    (failures, None)
}

const WRITERS: u64 = 20;
