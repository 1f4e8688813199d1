//! The pool on PostgreSQL: the one at `DATABASE_URL`, else one that is started for this.
//!
//! `cargo run -p pool-facade --example postgres`
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;
use std::time::Duration;

use pool_facade::config::Sources;
use pool_facade::{CallOptions, Config, Pool};
use pool_postgres::PgManager;
use testkit::postgres::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = tokio::task::spawn_blocking(Server::find).await??;
    // The URL's parameters that begin with `pool_`, then variables such as POOL__MAX_SIZE=50.
    let loaded = Sources::new()
        .base(Config::guide())
        .url(server.url())
        .environment("POOL")
        .load()?;
    let manager = PgManager::from_url(loaded.url().unwrap_or_default())?;
    let pool = Pool::builder()
        .node("primary", manager)
        .config(loaded.config)
        .build()?;
    // Says now, and not at the first call, if the server cannot be reached.
    pool.warm().await?;

    let calls = (1..=100_i32).map(|number| {
        let pool = pool.clone();
        tokio::spawn(async move { square(&pool, number).await })
    });
    let mut sum = 0;
    for call in calls.collect::<Vec<_>>() {
        sum += call.await??;
    }
    let connections = pool.state().total().size;
    println!("the sum of 100 squares is {sum}, by {connections} connections");

    let report = pool.close(pool.config().close_grace).await;
    assert_eq!(report.outstanding, 0, "every connection came back");
    Ok(())
}

/// Reads only, so it may be tried again, and would go to a replica if there were one.
async fn square(
    pool: &Pool<PgManager>,
    number: i32,
) -> Result<i32, pool_facade::Error<pool_postgres::Error>> {
    let options = CallOptions::new()
        .read_only()
        .timeout(Duration::from_secs(10));
    pool.run_with(options, async |connection| {
        let square = connection.prepare_cached("SELECT $1::int4 * $1").await?;
        Ok(connection.query_one(&square, &[&number]).await?.get(0))
    })
    .await
}
