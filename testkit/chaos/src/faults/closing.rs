//! Shutdown under load.

use std::time::Duration;

use anyhow::Result;

use crate::crowd::{Crowd, Manners};
use crate::finding::Finding;
use crate::rig::Rig;
use crate::server::Server;
use crate::time::{self, Instant, shown};

/// Closed while 64 callers want 8 connections, whose statements outlast the grace.
pub(crate) async fn under_load(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "closing").await?;
    let pool = rig.pool(8).await?;
    let manners = Manners {
        work: Duration::from_secs(3),
        ..Manners::new(64)
    };
    let crowd = Crowd::start(&pool, manners);
    while server.busy(&rig.name).await? < 8 {}
    let begun = Instant::now();
    let report = pool.close(GRACE).await;
    let took = begun.elapsed();
    let refused = crowd.failed();
    let (_, all) = crowd.stop().await;
    let gone = server.until_sessions(&rig.name, 0).await.is_ok();
    Ok(vec![
        Finding::new(
            "shutdown",
            format!("ends by its grace of {} + 100 ms", shown(GRACE)),
            format!("{}: {report}", shown(took)),
            took <= GRACE + Duration::from_millis(100) + SLACK && report.aborted == 8,
        ),
        Finding::new(
            "shutdown",
            "nothing is left, by the server's count once it knows",
            format!(
                "{} held, {} sessions",
                report.outstanding,
                if gone { "0" } else { "some" }
            ),
            report.is_clean() && gone,
        ),
        Finding::new(
            "shutdown",
            "all 64 callers have heard of it",
            format!("{refused} at once, {} in all", all.failed()),
            all.failed() >= 64 && all.answered == 0,
        ),
    ])
}

/// Closed while 8 callers are in the middle of statements that end in time.
pub(crate) async fn in_good_order(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "closing-well").await?;
    let pool = rig.pool(8).await?;
    let manners = Manners {
        work: Duration::from_millis(200),
        ..Manners::new(8)
    };
    let crowd = Crowd::start(&pool, manners);
    while server.busy(&rig.name).await? < 4 {}
    let report = pool.close(Duration::from_secs(3)).await;
    time::pause(Duration::from_millis(50)).await;
    let (_, all) = crowd.stop().await;
    let sessions = rig.sessions().await?;
    Ok(vec![Finding::new(
        "shutdown",
        "what ends within the grace is not cut",
        format!("{} cut, {} answered, {report}", all.cut, all.answered),
        all.cut == 0 && report.is_clean() && report.aborted == 0 && sessions == 0,
    )])
}

const GRACE: Duration = Duration::from_millis(500);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(100);
