//! Connections that hear nothing for ever.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use pool_core::{Check, GetOptions};

use crate::crowd::{Crowd, Manners, answer, answers, serves};
use crate::finding::Finding;
use crate::rig::{Rig, fill, quiet};
use crate::server::Server;
use crate::time::{self, Instant, or_never, shown};

/// Every connection falls silent under four callers, each of whom gives a call 200 ms.
pub(crate) async fn by_default(server: Server) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for size in [4, 16] {
        let rig = Rig::new(&server, "silence").await?;
        let pool = rig.pool(size).await?;
        let manners = Manners {
            patience: Some(Duration::from_millis(200)),
            ..Manners::new(4)
        };
        let crowd = Crowd::start(&pool, manners);
        time::pause(Duration::from_millis(500)).await;
        rig.proxy.strand();
        let begun = Instant::now();
        // What was answered just now may still be on its way to the caller.
        time::pause(Duration::from_millis(50)).await;
        let back = crowd.next_answer(Duration::from_secs(20)).await;
        let back = back.map(|_| begun.elapsed());
        time::pause(Duration::from_secs(2)).await;
        let (_, all) = crowd.stop().await;
        pool.close(Duration::from_secs(1)).await;
        rig.proxy.reset_all().await;
        anyhow::ensure!(all.wrong == 0, "{all:?}");
        let back_shown = or_never(back);
        if size == manners.tasks {
            let bar = "bar-black-hole";
            findings.push(Finding::at_most(
                bar,
                "failed calls, all 4 in use",
                all.failed(),
                4,
            ));
            findings.push(Finding::new(
                bar,
                "back within 500 ms by default",
                back_shown,
                back.is_some_and(|back| back <= Duration::from_millis(500)),
            ));
        } else {
            findings.push(Finding::new(
                "black-hole",
                "16 fall silent under 4 callers, unchecked: each costs one call at most",
                format!("{} failed, back after {back_shown}", all.failed()),
                back.is_some() && all.failed() <= size as u64,
            ));
        }
    }
    Ok(findings)
}

/// What nobody uses is found by keepalive, and by the check before use.
pub(crate) async fn idle(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "idle-silence").await?;
    let pool = rig
        .builder()?
        .max_size(4)
        .min_idle(4)
        .keepalive(Duration::from_millis(500))
        .validate_timeout(VALIDATE)
        .build()?;
    fill(&pool).await?;
    let created = pool.statistics().created;
    rig.proxy.strand();
    let found = || pool.statistics().created >= created + 4 && pool.state().idle == 4;
    let kept = time::until(Duration::from_secs(10), found).await;
    quiet(&pool).await?;
    // One that nobody has used is not asked within a second of its last sign of life.
    pool.reconfigure(|config| config.keepalive = None)?;
    time::pause(Duration::from_millis(1500)).await;

    rig.proxy.strand();
    let options = GetOptions::new().check(Check::Always);
    let begun = Instant::now();
    let connection = pool.get_with(options).await?;
    let checked = begun.elapsed();
    let alive = answers(&connection, 1).await;
    drop(connection);
    pool.close(Duration::from_secs(1)).await;
    rig.proxy.reset_all().await;
    Ok(vec![
        Finding::new(
            "black-hole",
            "keepalive of 500 ms replaces 4 idle ones without a caller",
            or_never(kept),
            kept.is_some(),
        ),
        Finding::new(
            "black-hole",
            "a check before use costs at most 3 x V (200 ms) + 1 s",
            format!(
                "{}, {}",
                shown(checked),
                if alive { "alive" } else { "DEAD" }
            ),
            alive && checked <= 3 * VALIDATE + Duration::from_secs(1),
        ),
    ])
}

/// All that is lent is dead, and comes back at once.
pub(crate) async fn returned(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "dead-guards").await?;
    let pool = rig.pool(8).await?;
    let lent = try_join_all((0..8).map(|_| pool.get())).await?;
    let begun = lent
        .iter()
        .map(|connection| answer(connection, 1, Duration::from_secs(60)));
    // Each is in the middle of a statement.
    let asked = tokio::time::timeout(Duration::from_millis(100), try_join_all(begun));
    anyhow::ensure!(asked.await.is_err(), "a statement of a minute has ended");
    rig.proxy.strand();
    drop(lent);
    let begun = Instant::now();
    let served = serves(&pool, 2).await;
    let took = begun.elapsed();
    pool.close(Duration::from_secs(1)).await;
    rig.proxy.reset_all().await;
    let config = pool.config();
    let limit = config.reset_timeout + config.connect_timeout;
    Ok(vec![Finding::new(
        "black-hole",
        "8 dead guards delay the next acquire by at most R + C = 6 s",
        format!(
            "{}, {}",
            shown(took),
            if served { "served" } else { "failed" }
        ),
        served && took <= limit,
    )])
}

const VALIDATE: Duration = Duration::from_millis(200);
