//! Guards that never come back, and tasks that wait for themselves.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use pool_core::Event;

use crate::finding::Finding;
use crate::rig::{Diary, Rig, fill};
use crate::server::Server;
use crate::time::{self, Instant, shown};

/// All guards of one pool are forgotten; another pool has nothing to do with it.
pub(crate) async fn forgotten(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "leaks").await?;
    let diary = Diary::default();
    let pool = rig
        .builder()?
        .max_size(4)
        .acquire_timeout(ACQUIRE)
        .leak_report(Duration::from_millis(300))
        .observer(diary.clone())
        .build()?;
    fill(&pool).await?;
    let other = rig.pool(2).await?;
    let lent = try_join_all((0..4).map(|_| pool.get())).await?;
    let line = line!() - 1;
    lent.into_iter().for_each(std::mem::forget);
    let reported = || {
        let events = diary.events();
        let own = events.iter().filter(|event| match event {
            Event::HeldTooLong { site, .. } => site.file() == file!() && site.line() == line,
            _ => false,
        });
        own.count()
    };
    time::until(Duration::from_secs(5), || reported() == 4).await;
    let begun = Instant::now();
    let refused = pool.get().await.is_err();
    let waited = begun.elapsed();
    other
        .get()
        .await
        .context("the other pool is unharmed")?
        .batch_execute("SELECT 1")
        .await?;
    other.close(Duration::from_secs(1)).await;
    pool.close(Duration::from_millis(100)).await;
    Ok(vec![
        Finding::new(
            "leak",
            "4 forgotten guards are reported with the line that took them",
            reported().to_string(),
            reported() == 4,
        ),
        Finding::new(
            "leak",
            "the next acquire ends at A = 500 ms; another pool is unharmed",
            format!(
                "{}, {}",
                shown(waited),
                if refused { "refused" } else { "served" }
            ),
            refused && waited >= ACQUIRE && waited <= ACQUIRE + Duration::from_millis(250),
        ),
    ])
}

/// A task asks for a second connection of a pool that has one.
pub(crate) async fn nested(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "nested").await?;
    let diary = Diary::default();
    let pool = rig
        .builder()?
        .max_size(1)
        .leak_report(Duration::from_secs(60))
        .observer(diary.clone())
        .build()?;
    let task = tokio::spawn({
        let pool = pool.clone();
        async move {
            let held = pool.get().await;
            let second = pool.get_timeout(ACQUIRE).await.is_err();
            drop(held);
            second
        }
    });
    let ended = task.await?;
    let events = diary.events();
    let told = events.iter().find_map(|event| match event {
        Event::NestedAcquire { site, holds, .. } => Some((site.line(), holds.line())),
        _ => None,
    });
    pool.close(Duration::from_secs(1)).await;
    Ok(vec![Finding::new(
        "leak",
        "a task that waits for itself is reported with both places, and not for ever",
        format!("{told:?}"),
        ended && told.is_some_and(|(waits, holds)| waits == holds + 1),
    )])
}

const ACQUIRE: Duration = Duration::from_millis(500);
