//! A server that ends idle sessions.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use pool_core::Check;
use pool_postgres::{PgManager, Pool};

use crate::crowd::answer;
use crate::finding::Finding;
use crate::rig::config_of;
use crate::server::Server;

/// Thirty times all twelve sessions end while nobody looks; then twelve callers come. No proxy
/// stands between: what it has not passed on yet is not known here.
pub(crate) async fn idle_sessions(server: Server) -> Result<Vec<Finding>> {
    let config = config_of(&server, NAME)?.options("-c idle_session_timeout=500ms");
    let pool = Pool::builder(PgManager::new(config)?)
        .max_size(SIZE)
        .check(Check::Never)
        .build()?;
    let mut errors = 0;
    for _ in 0..ROUNDS {
        let calls = (0..SIZE as u64).map(|id| call(&pool, id));
        errors += join_all(calls).await.into_iter().filter(|ok| !ok).count() as u64;
        server.until_sessions(NAME, 0).await?;
    }
    let log = server.ask(testkit::postgres::Cluster::log).await?;
    let expired = log.matches("due to idle-session timeout").count() as u64;
    pool.close(Duration::from_secs(1)).await;
    let measured = format!("{errors} errors, {expired} expiries by the server's log");
    Ok(vec![
        Finding::new(
            "idle-timeout",
            "no caller error in 100 expiries",
            &measured,
            errors == 0 && expired >= 100,
        ),
        Finding::new(
            "bar-idle",
            "no error in 360 expiries, without any check",
            &measured,
            errors == 0 && expired >= ROUNDS * SIZE as u64,
        ),
    ])
}

/// Together with eleven others, each on a connection of its own.
async fn call(pool: &Pool, id: u64) -> bool {
    match pool.get().await {
        Ok(connection) => answer(&connection, id, Duration::from_millis(30))
            .await
            .is_ok(),
        Err(_) => false,
    }
}

const NAME: &str = "chaos-expiry";
const SIZE: usize = 12;
const ROUNDS: u64 = 30;
