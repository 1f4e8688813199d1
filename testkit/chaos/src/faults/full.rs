//! A server that is smaller than the pool.

use std::time::Duration;

use anyhow::Result;
use pool_postgres::{PgManager, Pool};

use crate::crowd::{Crowd, Manners};
use crate::finding::Finding;
use crate::rig::config_of;
use crate::server::Server;
use crate::time;

/// A pool of 40 on a server that has room for 30.
pub(crate) async fn too_many(server: Server) -> Result<Vec<Finding>> {
    let name = "chaos-full";
    let room = server.ask(|cluster| cluster.client_slots()).await?;
    let pool = Pool::builder(PgManager::new(config_of(&server, name)?)?)
        .max_size(40)
        .build()?;
    let manners = Manners {
        work: Duration::from_millis(20),
        ..Manners::new(60)
    };
    let crowd = Crowd::start(&pool, manners);
    time::pause(Duration::from_secs(2)).await;
    let before = pool.statistics();
    time::pause(WATCH).await;
    let after = pool.statistics();
    let sessions = server.sessions(name).await?;
    let (_, all) = crowd.stop().await;
    pool.close(Duration::from_secs(2)).await;
    let rate = (after.connects - before.connects).div_ceil(WATCH.as_secs());
    let refused = after.connect_errors;
    Ok(vec![
        Finding::new(
            "full",
            format!(
                "no caller error in {} calls, though the server refuses",
                all.answered
            ),
            format!("{} errors, {refused} refused", all.failed()),
            all.failed() == 0 && refused > 0 && all.answered > 0,
        ),
        Finding::new(
            "full",
            "the pool keeps to what the server has room for",
            format!("{sessions} of {room}, {} closed", after.closed()),
            sessions == room as u64 && after.closed() == 0,
        ),
        Finding::at_most("bar-full", "caller errors", all.failed(), 0),
        Finding::at_most("bar-full", "connects a second", rate, 5),
    ])
}

const WATCH: Duration = Duration::from_secs(5);
