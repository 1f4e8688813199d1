//! Sessions that the server ends.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use pool_core::CloseReason;
use pool_postgres::Pool;

use crate::crowd::{answer, answers, serves};
use crate::finding::Finding;
use crate::rig::{Rig, quiet};
use crate::server::Server;
use crate::time;

/// Every session is ended, five of them in the middle of a statement, again and again.
pub(crate) async fn all(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "killed").await?;
    let pool = rig.pool(16).await?;
    let (mut active_errors, mut other_errors, mut killed) = (0, 0, 0);
    for _ in 0..KILLS {
        let active: Vec<_> = (0..ACTIVE)
            .map(|id| tokio::spawn(hour(pool.clone(), id)))
            .collect();
        while server.busy(&rig.name).await? < ACTIVE {}
        killed += server.terminate(&rig.name).await?;
        for active in active {
            active_errors += u64::from(!active.await?);
        }
        let calls = (0..32).map(|id| serves(&pool, id));
        other_errors += join_all(calls).await.into_iter().filter(|ok| !ok).count() as u64;
        time::until(Duration::from_secs(5), || pool.state().size == 16).await;
        quiet(&pool).await?;
    }
    let statistics = pool.statistics();
    let (logins, checks) = (rig.logins().await?, statistics.validation_failures);
    let (size, sessions) = (pool.state().size as u64, rig.sessions().await?);
    rig.close(&pool).await?;
    let errors = active_errors + other_errors;
    Ok(vec![
        Finding::new(
            "killed",
            "who is in the middle fails once, and nobody is lent a dead connection",
            format!(
                "{active_errors} of {} active, {other_errors} others",
                KILLS * ACTIVE
            ),
            other_errors == 0 && active_errors <= KILLS * ACTIVE,
        ),
        Finding::new(
            "killed",
            "the pool's books are the server's",
            format!(
                "opened {} and {logins}, open {size} and {sessions}, {killed} killed",
                statistics.created
            ),
            statistics.created == logins && size == sessions,
        ),
        Finding::new(
            "bar-killed",
            format!("at most {ACTIVE} errors a kill, without a check each time"),
            format!(
                "{:.1}, {checks} checks failed",
                errors as f64 / KILLS as f64
            ),
            errors <= KILLS * ACTIVE,
        ),
    ])
}

/// One idle session after another dies unseen; those left of its generation go with the third.
pub(crate) async fn in_a_row(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "row").await?;
    let pool = rig.pool(8).await?;
    // Silent, so that only a question finds out.
    rig.proxy.strand();
    let failures = pool.statistics().validation_failures;
    let options = pool_core::GetOptions::new()
        .check(pool_core::Check::Always)
        .validate_timeout(Duration::from_millis(100));
    let connection = pool
        .get_with(options)
        .await
        .context("a new connection passes")?;
    let alive = answers(&connection, 1).await;
    drop(connection);
    quiet(&pool).await?;
    let statistics = pool.statistics();
    let probed = statistics.validation_failures - failures;
    let swept = statistics.closed_for(CloseReason::Swept);
    pool.close(Duration::from_secs(2)).await;
    rig.proxy.reset_all().await;
    Ok(vec![Finding::new(
        "killed",
        "of 8 silent ones at most 3 are asked; after the third the generation goes unasked",
        format!("{probed} probed, {swept} swept, of 8"),
        alive && (probed < 3 || probed == 3 && swept == 5),
    )])
}

async fn hour(pool: Pool, id: u64) -> bool {
    match pool.get().await {
        Ok(connection) => answer(&connection, id, Duration::from_secs(3600))
            .await
            .is_ok(),
        Err(_) => false,
    }
}

const KILLS: u64 = 10;
const ACTIVE: u64 = 5;
