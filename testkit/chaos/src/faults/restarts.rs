//! Servers that go away and come back.

use std::time::Duration;

use anyhow::{Context as _, Result};
use pool_postgres::{PgManager, Pool};
use testkit::postgres::{Cluster, Shutdown};
use tokio::task::JoinHandle;

use crate::crowd::{Crowd, Manners, Tally};
use crate::finding::{Finding, median};
use crate::rig::{config_of, fill};
use crate::server::Server;
use crate::time::{self, Instant, or_never};

/// Stopped in each of two ways and started again, under 100 tasks. A promise holds each time, a bar
/// is met by the median.
pub(crate) async fn restarted(server: Server) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for how in [Shutdown::Fast, Shutdown::Immediate] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(outage(&server, move |cluster| cluster.restart(how)).await?);
        }
        let what = format!("{how:?}").to_lowercase();
        findings.extend(promises(&rounds, &format!("{what} restart")));
        findings.extend(bars(&rounds, &what));
    }
    Ok(findings)
}

/// One backend is killed by the kernel, so the server ends all others and recovers.
pub(crate) async fn crashed(server: Server) -> Result<Vec<Finding>> {
    let seen = outage(&server, |cluster| {
        let pid = cluster.sql(&format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name = '{NAME}' LIMIT 1"
        ))?;
        kill(&pid)
    })
    .await?;
    Ok(promises(&[seen], "backend killed by SIGKILL"))
}

fn kill(pid: &str) -> std::io::Result<()> {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("no backend to kill"))?;
    Ok(rustix::process::kill_process(
        pid,
        rustix::process::Signal::KILL,
    )?)
}

/// What callers saw of an outage.
struct Seen {
    each: Vec<Tally>,
    connects: u64,
    first: Option<Duration>,
    whole: Option<Duration>,
    sessions: u64,
}

async fn outage(
    server: &Server,
    fault: impl FnOnce(&Cluster) -> std::io::Result<()> + Send + 'static,
) -> Result<Seen> {
    let pool = Pool::builder(PgManager::new(config_of(server, NAME)?)?)
        .max_size(SIZE)
        .min_idle(SIZE)
        .build()?;
    fill(&pool).await?;
    let manners = Manners {
        think: Duration::from_millis(100),
        ..Manners::new(100)
    };
    let crowd = Crowd::start(&pool, manners);
    time::pause(Duration::from_millis(500)).await;
    let before = pool.statistics();
    let down = Down::watch(server)?;
    let fault = tokio::spawn({
        let server = server.clone();
        async move { server.ask(fault).await }
    });
    let back = down.back().await?;
    let first = crowd.next_answer(PROMPT).await.map(|_| back.elapsed());
    let whole = time::until(PROMPT, || {
        pool.state().size == SIZE && pool.state().connecting == 0
    });
    let whole = whole.await.map(|_| back.elapsed());
    fault.await??;
    time::pause(Duration::from_millis(500)).await;
    let connects = pool.statistics().connects - before.connects;
    let sessions = server.sessions(NAME).await?;
    let (each, _) = crowd.stop().await;
    pool.close(Duration::from_secs(2)).await;
    server.until_sessions(NAME, 0).await?;
    Ok(Seen {
        each,
        connects,
        first,
        whole,
        sessions,
    })
}

impl Seen {
    fn failed(&self) -> u64 {
        self.each.iter().map(Tally::failed).sum()
    }

    /// How many callers saw a failure.
    fn hit(&self) -> u64 {
        self.each.iter().filter(|it| it.failed() > 0).count() as u64
    }
}

fn promises(rounds: &[Seen], what: &str) -> Vec<Finding> {
    let each = rounds.iter().flat_map(|it| &it.each);
    let most = each.map(Tally::failed).max().unwrap_or(0);
    let failed: u64 = rounds.iter().map(Seen::failed).sum();
    // Never is later than anything.
    let whole = rounds
        .iter()
        .max_by_key(|it| (it.whole.is_none(), it.whole));
    let whole = whole.and_then(|it| it.whole);
    let sessions: Vec<_> = rounds.iter().map(|it| it.sessions).collect();
    vec![
        Finding::new(
            "killed",
            format!("{what}: at most one failure for each of 100 callers"),
            format!(
                "{most} at most, {failed} in all, in {} rounds",
                rounds.len()
            ),
            most <= 1,
        ),
        Finding::new(
            "killed",
            format!("{what}: full size within 5 s of the server being back"),
            format!("{}, server has {sessions:?}", or_never(whole)),
            whole.is_some() && sessions.iter().all(|it| *it == SIZE as u64),
        ),
    ]
}

fn bars(rounds: &[Seen], what: &str) -> Vec<Finding> {
    let first = median(rounds, |it| (it.first.is_none(), it.first)).1;
    vec![
        Finding::at_most(
            "bar-restart",
            &format!("callers with an error ({what})"),
            median(rounds, Seen::hit),
            5,
        ),
        Finding::at_most(
            "bar-restart",
            &format!("connects ({what})"),
            median(rounds, |it| it.connects),
            50,
        ),
        Finding::new(
            "bar-restart",
            format!("first success within 100 ms ({what})"),
            or_never(first),
            first.is_some_and(|first| first <= Duration::from_millis(100)),
        ),
    ]
}

/// A witness that logs in again and again.
struct Down(JoinHandle<Option<Instant>>);

impl Down {
    fn watch(server: &Server) -> Result<Self> {
        let manager = PgManager::new(config_of(server, "chaos-witness")?)?;
        let pool = Pool::builder(manager).connect_timeout(PROMPT).build()?;
        Ok(Self(tokio::spawn(async move {
            let begun = Instant::now();
            while pool.dedicated().await.is_ok() {
                if begun.elapsed() > 2 * PROMPT {
                    return None;
                }
                time::pause(Duration::from_millis(5)).await;
            }
            while pool.dedicated().await.is_err() {
                time::pause(Duration::from_millis(5)).await;
            }
            Some(Instant::now())
        })))
    }

    /// When the server let somebody in again.
    async fn back(self) -> Result<Instant> {
        self.0
            .await?
            .context("the server was never seen to be down")
    }
}

const NAME: &str = "chaos-restart";
/// As many as the rules of the bars ask for.
const ROUNDS: usize = 5;
const SIZE: usize = 16;
const PROMPT: Duration = Duration::from_secs(5);
