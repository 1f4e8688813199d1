//! Incidents that feed themselves: callers who try again are a load of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Result;
use pool_facade::{CallOptions, ErrorKind, Pool};
use pool_postgres::{PgManager, Pool as Plain};
use testkit::proxy::{Admission, Direction, Fault};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::crowd::answer;
use crate::finding::Finding;
use crate::rig::{Rig, fill};
use crate::server::Server;
use crate::time::{self, Instant, or_never};

/// Replies ten times as late, and then nobody there, at 60 % of the capacity; with the defences of
/// the complete pool, and without any.
pub(crate) async fn incidents(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "storm").await?;
    let pool = Pool::builder()
        .node("one", PgManager::new(rig.config()?)?)
        .max_size(SIZE)
        .build()?;
    let tally = Arc::<Tally>::default();
    let calls = Stream::start({
        let (pool, tally) = (pool.clone(), tally.clone());
        move |id| defended(pool.clone(), id, tally.clone())
    });
    let mut findings = Vec::new();
    for incident in [Incident::Late, Incident::Gone] {
        let seen = incident.happen(&rig, &tally).await?;
        findings.extend(seen.findings(incident));
    }
    calls.stop().await;
    pool.close(Duration::from_secs(2)).await;

    let control = naive_stays_down(&server).await?;
    findings.push(control);
    Ok(findings)
}

/// The same incident for callers who try again at once, behind a queue that forgets nobody.
async fn naive_stays_down(server: &Server) -> Result<Finding> {
    let rig = Rig::new(server, "naive").await?;
    let pool = rig
        .builder()?
        .max_size(SIZE)
        .acquire_timeout(None)
        .max_waiters(1_000_000)
        .build()?;
    fill(&pool).await?;
    let tally = Arc::<Tally>::default();
    let calls = Stream::start({
        let (pool, tally) = (pool.clone(), tally.clone());
        move |id| naive(pool.clone(), id, tally.clone())
    });
    let seen = Incident::Late.happen(&rig, &tally).await?;
    calls.stop().await;
    pool.close(Duration::from_millis(100)).await;
    Ok(Finding::new(
        "storm",
        "negative control: without defences it stays collapsed",
        format!(
            "{:.0} % of its goodput from 3 s on",
            100.0 * seen.share_from(IN_TIME)
        ),
        seen.share_from(IN_TIME) < 0.5,
    ))
}

#[derive(Debug, Clone, Copy)]
enum Incident {
    /// Replies come 200 ms late.
    Late,
    /// Connections are cut and refused.
    Gone,
}

impl Incident {
    async fn happen(self, rig: &Rig, tally: &Tally) -> Result<Seen> {
        time::pause(SETTLE).await;
        let before = tally.rate(WINDOW).await;
        let (requests, attempts) = tally.sent();
        match self {
            Self::Late => rig.proxy.set(
                Direction::Down,
                Fault::Delay {
                    latency: Duration::from_millis(200),
                    jitter: Duration::ZERO,
                },
            ),
            Self::Gone => {
                rig.proxy.admit(Admission::Refuse).await?;
                rig.proxy.reset_all().await;
            }
        }
        time::pause(TROUBLE).await;
        let (requests, attempts) = {
            let now = tally.sent();
            (now.0 - requests, now.1 - attempts)
        };
        rig.proxy.heal().await?;
        let lost = || [&tally.rejected, &tally.failed].map(|count| count.load(SeqCst));
        let [rejected, failed] = lost();
        let mut after = Vec::new();
        for _ in 0..LOOKS {
            after.push(tally.rate(LOOK).await);
        }
        Ok(Seen {
            before,
            after,
            lost: [lost()[0] - rejected, lost()[1] - failed],
            requests,
            attempts,
        })
    }
}

/// What an incident has done.
struct Seen {
    /// Answers in a second, before it.
    before: f64,
    /// The same in each quarter of a second after it.
    after: Vec<f64>,
    /// Calls rejected and failed after it.
    lost: [u64; 2],
    requests: u64,
    attempts: u64,
}

impl Seen {
    /// The share of the former goodput from so many looks after the end on.
    fn share_from(&self, looks: usize) -> f64 {
        let rest = &self.after[looks..];
        rest.iter().sum::<f64>() / rest.len() as f64 / self.before.max(1.0)
    }

    /// When the goodput was back for good.
    fn back(&self) -> Option<Duration> {
        let looks = (0..LOOKS - 4).find(|looks| self.share_from(*looks) >= 0.95)?;
        Some(LOOK * u32::try_from(looks).expect("there are few"))
    }

    fn findings(&self, incident: Incident) -> [Finding; 2] {
        let what = match incident {
            Incident::Late => "replies 10 x as late",
            Incident::Gone => "nobody there",
        };
        let each = self.attempts as f64 / self.requests.max(1) as f64;
        [
            Finding::new(
                "storm",
                format!("{what} for 4 s: at most 1.1 attempts a request"),
                format!("{each:.2} of {} requests", self.requests),
                each <= 1.1 && self.requests > 0,
            ),
            Finding::new(
                "storm",
                format!("{what}: 95 % of the goodput within 3 s, at the same load"),
                format!(
                    "after {}, {:.0} % of {:.0}/s from 3 s on, {} rejected, {} failed",
                    or_never(self.back()),
                    100.0 * self.share_from(IN_TIME),
                    self.before,
                    self.lost[0],
                    self.lost[1]
                ),
                self.back().is_some_and(|back| back <= RECOVERY),
            ),
        ]
    }
}

/// What callers have sent and got.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    attempts: AtomicU64,
    answered: AtomicU64,
    /// Refused by the breaker.
    rejected: AtomicU64,
    /// Without an answer for any other reason.
    failed: AtomicU64,
}

impl Tally {
    fn sent(&self) -> (u64, u64) {
        (self.requests.load(SeqCst), self.attempts.load(SeqCst))
    }

    /// Answers in a second.
    async fn rate(&self, span: Duration) -> f64 {
        let (before, begun) = (self.answered.load(SeqCst), Instant::now());
        time::pause(span).await;
        (self.answered.load(SeqCst) - before) as f64 / begun.elapsed().as_secs_f64()
    }
}

/// One request by the complete pool: it may be repeated, and nobody wants it after half a second.
async fn defended(pool: Pool<PgManager>, id: u64, tally: Arc<Tally>) {
    tally.requests.fetch_add(1, SeqCst);
    let options = CallOptions::new().read_only().timeout(PATIENCE);
    let attempts = &tally.attempts;
    let call = pool.run_with(options, async |connection| {
        attempts.fetch_add(1, SeqCst);
        Ok(answer(connection, id, WORK).await?)
    });
    match call.await {
        Ok(reply) if reply == id => tally.answered.fetch_add(1, SeqCst),
        Err(error) if error.kind() == ErrorKind::Rejected => tally.rejected.fetch_add(1, SeqCst),
        Ok(_) | Err(_) => tally.failed.fetch_add(1, SeqCst),
    };
}

/// One request as it is often made: three further attempts at once, and what was given up goes on.
async fn naive(pool: Plain, id: u64, tally: Arc<Tally>) {
    tally.requests.fetch_add(1, SeqCst);
    for _ in 0..4 {
        tally.attempts.fetch_add(1, SeqCst);
        let (reply, replied) = oneshot::channel();
        let pool = pool.clone();
        tokio::spawn(async move {
            if let Ok(connection) = pool.get().await {
                let answered = answer(&connection, id, WORK).await.is_ok();
                // Whoever has given up does not listen.
                let _ = reply.send(answered);
            }
        });
        if let Ok(Ok(true)) = timeout(PATIENCE, replied).await {
            tally.answered.fetch_add(1, SeqCst);
            return;
        }
    }
}

/// Requests at a rate that does not care what becomes of them.
struct Stream {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Stream {
    fn start<F>(mut request: impl FnMut(u64) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (begun, mut sent) = (Instant::now(), 0);
            while !stopped.load(SeqCst) {
                let due = (begun.elapsed().as_secs_f64() * RATE) as u64;
                for id in sent..due {
                    tokio::spawn(request(id));
                }
                sent = due;
                time::pause(Duration::from_millis(4)).await;
            }
        });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.store(true, SeqCst);
        // It neither panics nor is aborted.
        let _ = self.task.await;
    }
}

const SIZE: usize = 8;
/// What a call keeps a connection busy for: eight serve some 370 in a second.
const WORK: Duration = Duration::from_millis(20);
const RATE: f64 = 220.0;
const PATIENCE: Duration = Duration::from_millis(500);
const SETTLE: Duration = Duration::from_millis(500);
const TROUBLE: Duration = Duration::from_secs(4);
const RECOVERY: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(250);
const IN_TIME: usize = 12;
const LOOKS: usize = 24;
const WINDOW: Duration = Duration::from_secs(2);
