//! Servers that refuse connections, or take them and say nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pool_core::{ErrorKind, Event, Stage};
use pool_postgres::{Config, PgManager, Pool, SslMode};
use testkit::postgres::Cluster;
use testkit::proxy::{Admission, Direction, Fault};

use crate::crowd::{Crowd, Manners};
use crate::finding::{Finding, median};
use crate::rig::{Diary, Rig, config_of, fill, quiet};
use crate::server::Server;
use crate::time::{self, Instant, or_never, shown};

/// Nobody listens for five seconds, and 64 callers go on asking. A promise holds each time, a bar is
/// met by the median.
pub(crate) async fn refused(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "refused").await?;
    let pool = rig
        .builder()?
        .max_size(16)
        .acquire_timeout(ACQUIRE)
        .build()?;
    fill(&pool).await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(refusal(&rig, &pool).await?);
    }
    pool.close(Duration::from_secs(2)).await;

    let (unserved, told) = rounds.iter().fold((0, 0), |sum, it| {
        (sum.0 + it.unserved.0, sum.1 + it.unserved.1)
    });
    let attempts = rounds.iter().map(|it| it.attempts).max().unwrap_or(0);
    // Never is later than anything.
    let whole = rounds.iter().map(|it| (it.whole.is_none(), it.whole)).max();
    let whole = whole.and_then(|it| it.1);
    let sessions: Vec<_> = rounds.iter().map(|it| it.sessions).collect();
    let first = median(&rounds, |it| (it.first.is_none(), it.first)).1;
    Ok(vec![
        Finding::new(
            "connect",
            "who is not served is told why",
            format!("{told} of {unserved}"),
            told == unserved && rounds.iter().all(|it| it.unserved.0 > 0),
        ),
        Finding::at_most("connect", "attempts in 5 s of 64 callers", attempts, 64),
        Finding::new(
            "connect",
            "all 16 back within 5 s, by the server's count",
            format!("{sessions:?} after {} at the latest", or_never(whole)),
            whole.is_some() && sessions.iter().all(|it| *it == 16),
        ),
        Finding::at_most(
            "bar-refused",
            "connects",
            median(&rounds, |it| it.attempts),
            64,
        ),
        Finding::new(
            "bar-refused",
            "first success within 300 ms",
            or_never(first),
            first.is_some_and(|first| first <= Duration::from_millis(300)),
        ),
    ])
}

/// What was seen of one such outage.
struct Refusal {
    attempts: u64,
    /// Calls that got no connection, and those of them that were told why.
    unserved: (u64, u64),
    first: Option<Duration>,
    whole: Option<Duration>,
    sessions: u64,
}

async fn refusal(rig: &Rig, pool: &Pool) -> Result<Refusal> {
    let crowd = Crowd::start(pool, Manners::new(64));
    time::pause(Duration::from_millis(500)).await;
    let before = pool.statistics();
    rig.proxy.admit(Admission::Refuse).await?;
    rig.proxy.reset_all().await;
    time::pause(OUTAGE).await;
    let attempts = pool.statistics().connects - before.connects;
    let unserved = crowd.unserved();
    rig.proxy.admit(Admission::Pass).await?;
    let first = crowd.next_answer(PROMPT).await;
    let whole = || pool.state().idle + pool.state().leased == 16;
    let whole = time::until(PROMPT, whole).await;
    let sessions = rig.sessions().await?;
    let (_, all) = crowd.stop().await;
    ensure!(all.wrong == 0, "{all:?}");
    Ok(Refusal {
        attempts,
        unserved,
        first,
        whole,
        sessions,
    })
}

/// Connections are taken and hear nothing for five seconds.
pub(crate) async fn hanging(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "hanging").await?;
    let pool = rig.builder()?.max_size(16).build()?;
    let opened = futures_util::future::try_join_all((0..4).map(|_| pool.get())).await?;
    drop(opened);
    rig.proxy.admit(Admission::Hang).await?;
    let manners = Manners {
        work: Duration::from_millis(20),
        ..Manners::new(32)
    };
    let crowd = Crowd::start(&pool, manners);
    time::pause(OUTAGE).await;
    let meanwhile = crowd.answered();
    rig.proxy.admit(Admission::Pass).await?;
    time::until(PROMPT, || pool.state().size == 16).await;
    let (_, all) = crowd.stop().await;
    let lendable = lendable(&pool, 16).await;
    let left = rig.close(&pool).await?;
    Ok(vec![
        Finding::new(
            "connect",
            "the others are served meanwhile",
            format!("{meanwhile} calls by 4 connections"),
            meanwhile > 100,
        ),
        Finding::at_most("bar-hang", "failed calls", all.failed(), 0),
        Finding::new(
            "bar-hang",
            "16 of 16 lendable",
            lendable.to_string(),
            lendable == 16,
        ),
        Finding::at_most("bar-hang", "sessions left after close", left, 0),
    ])
}

/// How many of `count` connections can be had at once.
async fn lendable(pool: &Pool, count: usize) -> usize {
    let gets = (0..count).map(|_| pool.get_timeout(PROMPT));
    let lent = futures_util::future::join_all(gets).await;
    lent.iter().filter(|lent| lent.is_ok()).count()
}

/// The same at each step of connecting, with a short limit: it fails at the limit.
pub(crate) async fn steps(server: Server) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for step in ["TCP", "TLS", "login"] {
        let rig = Rig::new(&server, "steps").await?;
        let mut config = rig.config()?;
        match step {
            "TCP" => rig.proxy.admit(Admission::Hang).await?,
            "TLS" => {
                config = config.ssl_mode(SslMode::Require);
                rig.proxy.set(Direction::Down, Fault::BlackHole);
            }
            _ => rig.proxy.set(Direction::Down, Fault::BlackHole),
        }
        findings.push(hangs(config, step).await?);
        rig.proxy.reset_all().await;
    }
    Ok(findings)
}

/// What a pool makes of a server that hangs at this step.
pub(super) async fn hangs(config: Config, step: &str) -> Result<Finding> {
    let diary = Diary::default();
    let pool = Pool::builder(PgManager::new(config)?)
        .max_size(2)
        .connect_timeout(CONNECT)
        .observer(diary.clone())
        .build()?;
    let begun = Instant::now();
    let error = pool
        .get_timeout(4 * CONNECT)
        .await
        .err()
        .context("it hangs")?;
    let waited = begun.elapsed();
    let longest = || {
        let events = diary.events();
        let failed = events.iter().filter_map(|event| match event {
            Event::ConnectFailed { took, .. } => Some(*took),
            _ => None,
        });
        failed.max()
    };
    time::until(PROMPT, || longest().is_some()).await;
    let longest = longest().context("no attempt has failed")?;
    pool.close(Duration::from_secs(1)).await;
    let named = error.kind() == ErrorKind::Timeout(Stage::Connect);
    Ok(Finding::new(
        "connect",
        format!(
            "{step} hangs: attempts end at C = 300 ms, callers at A = 1200 ms, with the reason"
        ),
        format!("{}, {}, {:?}", shown(longest), shown(waited), error.kind()),
        named && longest <= CONNECT + SLACK && waited <= 4 * CONNECT + SLACK,
    ))
}

/// The postmaster is stopped by a signal: sessions live on, new ones hang.
pub(crate) async fn stopped(server: Server) -> Result<Vec<Finding>> {
    let name = "chaos-stopped";
    let manager = PgManager::new(config_of(&server, name)?)?;
    let pool = Pool::builder(manager)
        .max_size(8)
        .connect_timeout(CONNECT)
        .build()?;
    drop(futures_util::future::try_join_all((0..2).map(|_| pool.get())).await?);
    server.ask(Cluster::sigstop).await?;
    let manners = Manners {
        work: Duration::from_millis(10),
        ..Manners::new(8)
    };
    let crowd = Crowd::start(&pool, manners);
    time::pause(Duration::from_secs(2)).await;
    let (timeouts, meanwhile) = (pool.statistics().connect_timeouts, crowd.answered());
    server.ask(Cluster::sigcont).await?;
    time::until(PROMPT, || pool.state().size == 8).await;
    let (_, all) = crowd.stop().await;
    quiet(&pool).await?;
    let size = pool.state().size as u64;
    // Those that hung are gone, if not at once.
    let agreed = server.until_sessions(name, size).await.is_ok();
    let sessions = server.sessions(name).await?;
    pool.close(Duration::from_secs(2)).await;
    Ok(vec![
        Finding::new(
            "connect",
            "postmaster stopped: attempts end at C, callers are served by the living",
            format!(
                "{timeouts} ended, {meanwhile} calls served, {} failed",
                all.failed()
            ),
            timeouts > 0 && meanwhile > 50 && all.failed() == 0,
        ),
        Finding::new(
            "connect",
            "postmaster goes on: size as the server counts it",
            format!("pool {size}, server {sessions}"),
            agreed && size > 2,
        ),
    ])
}

const ACQUIRE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;
const OUTAGE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_millis(300);
/// A whole pool comes back within this time.
const PROMPT: Duration = Duration::from_secs(5);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(500);
