//! Packets that a firewall swallows; in a network namespace of its own.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use pool_core::{Check, GetOptions};
use pool_postgres::{Config, PgManager, Pool};
use tokio::task::spawn_blocking;

use crate::crowd::{answer, answers};
use crate::faults::connecting::hangs;
use crate::finding::Finding;
use crate::rig::{config_of, fill};
use crate::server::Server;
use crate::time::{Instant, shown};

/// A host that is gone for those who hold connections, for those who want some, and in DNS.
pub(crate) async fn vanished(server: Server) -> Result<Vec<Finding>> {
    nft("add table inet chaos").await?;
    for (chain, hook) in [("out", "output"), ("in", "input")] {
        nft(format!(
            "add chain inet chaos {chain} {{ type filter hook {hook} priority 0; }}"
        ))
        .await?;
    }
    Ok(vec![
        lent(&server).await?,
        idle(&server).await?,
        connect(&server).await?,
        dns().await?,
    ])
}

/// All connections are lent and asked something when the host is gone.
async fn lent(server: &Server) -> Result<Finding> {
    let name = "chaos-lent";
    let config = config_of(server, name)?.tcp_user_timeout(USER_TIMEOUT);
    let pool = Pool::builder(PgManager::new(config)?).max_size(4).build()?;
    fill(&pool).await?;
    let held = try_join_all((0..4).map(|_| pool.get())).await?;
    swallow(server, name).await?;
    let begun = Instant::now();
    let asked = held
        .iter()
        .map(|connection| answer(connection, 1, Duration::ZERO));
    let failed = join_all(asked)
        .await
        .into_iter()
        .filter(Result::is_err)
        .count();
    let told = begun.elapsed();
    drop(held);
    // New connections have other ports, and pass.
    let lent = try_join_all((0..4).map(|_| pool.get())).await?;
    let alive = join_all(lent.iter().map(|connection| answers(connection, 2))).await;
    let back = begun.elapsed();
    drop(lent);
    pool.close(Duration::from_secs(1)).await;
    heal().await?;
    Ok(Finding::new(
        "black-hole",
        "firewall: lent ones fail by TCP_USER_TIMEOUT (1 s) + 1 s, all capacity back 1 s later",
        format!(
            "{failed} of 4 after {}, back after {}",
            shown(told),
            shown(back)
        ),
        failed == 4
            && told <= 2 * USER_TIMEOUT
            && back <= 3 * USER_TIMEOUT
            && !alive.contains(&false),
    ))
}

/// All connections are idle when the host is gone.
async fn idle(server: &Server) -> Result<Finding> {
    let name = "chaos-idle";
    let pool = Pool::builder(PgManager::new(config_of(server, name)?)?)
        .max_size(8)
        .build()?;
    fill(&pool).await?;
    swallow(server, name).await?;
    let validate = Duration::from_millis(200);
    let options = GetOptions::new()
        .check(Check::Always)
        .validate_timeout(validate);
    let begun = Instant::now();
    let connection = pool.get_with(options).await?;
    let took = begun.elapsed();
    let alive = answers(&connection, 1).await;
    drop(connection);
    let dead = pool.statistics().validation_failures;
    pool.close(Duration::from_secs(1)).await;
    heal().await?;
    Ok(Finding::new(
        "black-hole",
        "firewall: a checked acquire on 8 dead ones takes at most 3 x V (200 ms) + 1 s",
        format!("{}, {dead} checks failed", shown(took)),
        alive && dead > 0 && took <= 3 * validate + Duration::from_secs(1),
    ))
}

/// The first packet of each connection is lost.
async fn connect(server: &Server) -> Result<Finding> {
    nft(format!(
        "add rule inet chaos out tcp dport {} drop",
        server.address().port()
    ))
    .await?;
    let finding = hangs(config_of(server, "chaos-lost")?, "firewall: TCP").await;
    heal().await?;
    finding
}

/// The resolver asks, and nobody answers.
async fn dns() -> Result<Finding> {
    nft("add rule inet chaos out udp dport 53 drop").await?;
    // This file is ours alone: whoever started us has put it over the system's.
    let finding = hangs(Config::new("db.chaos.test", "app"), "DNS").await;
    heal().await?;
    finding
}

/// Loses every packet of the sessions that call themselves `name`; the server knows their ports.
async fn swallow(server: &Server, name: &str) -> Result<()> {
    let ports = format!(
        "SELECT string_agg(client_port::text, ', ') FROM pg_stat_activity \
         WHERE application_name = '{name}'"
    );
    let ports = server.sql(ports).await?;
    ensure!(!ports.is_empty(), "{name} has no sessions");
    nft(format!(
        "add rule inet chaos out tcp sport {{ {ports} }} drop"
    ))
    .await?;
    nft(format!(
        "add rule inet chaos out tcp dport {{ {ports} }} drop"
    ))
    .await
}

async fn heal() -> Result<()> {
    nft("flush table inet chaos").await
}

async fn nft(words: impl Into<String>) -> Result<()> {
    let words = words.into();
    spawn_blocking(move || {
        let status = Command::new("nft")
            .arg(&words)
            .status()
            .context("nft is there")?;
        ensure!(status.success(), "nft refuses: {words}");
        Ok(())
    })
    .await?
}

const USER_TIMEOUT: Duration = Duration::from_secs(1);
