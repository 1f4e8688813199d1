//! The demo itself: act by act, with an eye on the pool.

use std::io;
use std::time::Duration;

use pool_core::{State, Statistics};
use testkit::proxy::{Admission, Direction, Proxy};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::{Backend, PoolOf, Sessions};
use crate::evidence::{Evidence, Finding, PROMISED, Sizes, judge};
use crate::load::{Counts, LOOK, Load, pause};
use crate::roster::Roster;
use crate::screen::Screen;
use crate::script::{Act, Script};
use crate::text::with_causes;

/// How the demo went.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Report {
    /// What was seen.
    pub evidence: Evidence,
    /// What it means.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether every promise was kept.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.findings.iter().all(|finding| finding.kept)
    }
}

/// Plays the whole script and judges it.
///
/// # Errors
///
/// When the server cannot be reached or asked, or the screen not written to. A broken contract is
/// no error.
pub async fn show<B: Backend>(
    backend: &B,
    script: Script,
    screen: &mut Screen,
) -> io::Result<Report> {
    screen.introduce(&backend.name(), &script, TASKS, SIZE)?;
    let mut show = Show::set_up(backend, script, screen).await?;
    for act in Act::ALL {
        show.play(act).await?;
    }
    show.screen.table(&show.acts)?;
    show.screen.recoveries(&show.recoveries, &show.acts)?;
    let evidence = show.wind_up().await?;
    Ok(Report {
        findings: judge(&evidence),
        evidence,
    })
}

/// A backend behind a proxy, a pool on it, and a load on that.
struct Show<'a, B: Backend> {
    backend: &'a B,
    script: Script,
    proxy: Proxy,
    pool: PoolOf<B>,
    roster: Roster,
    load: Load,
    screen: &'a mut Screen,
    /// What the server had seen before.
    before: Sessions,
    /// Acquires of the pool's own, while it was built.
    warmed: u64,
    sizes: Sizes,
    recoveries: Vec<Option<Duration>>,
    acts: Vec<(Act, Interval)>,
}

impl<'a, B: Backend> Show<'a, B> {
    async fn set_up(backend: &'a B, script: Script, screen: &'a mut Screen) -> io::Result<Self> {
        let before = backend.sessions().await?;
        let proxy = Proxy::start(backend.address(), SEED).await?;
        let roster = Roster::default();
        let pool = pool_core::Pool::builder(backend.manager(proxy.address())?)
            .name("demo")
            .max_size(SIZE)
            .min_idle(SIZE)
            .acquire_timeout(script.acquire_timeout)
            .observer(roster.clone())
            .build_eager()
            .await
            .map_err(|error| io::Error::other(with_causes(&error)))?;
        Ok(Self {
            warmed: pool.statistics().acquired(),
            load: Load::start::<B>(&pool, TASKS),
            backend,
            script,
            proxy,
            pool,
            roster,
            screen,
            before,
            sizes: Sizes::default(),
            recoveries: vec![],
            acts: vec![],
        })
    }

    /// One act, with a line for each second of it.
    async fn play(&mut self, act: Act) -> io::Result<()> {
        self.screen.act(act)?;
        let stage = Stage::<B> {
            proxy: &self.proxy,
            pool: &self.pool,
            roster: &self.roster,
            load: &self.load,
            length: self.script.length_of(act),
        };
        let mut acting = std::pin::pin!(stage.play(act));
        let begun = Snapshot::take(&self.pool, &self.load);
        let mut last = begun.clone();
        let recoveries = loop {
            let line = last.at + self.script.line_every;
            let look = Instant::now() + 4 * LOOK;
            let ended = tokio::select! {
                recoveries = &mut acting => Some(recoveries?),
                () = sleep_until(look.min(line)) => None,
            };
            let state = self.pool.state();
            self.sizes.look(state.clone(), SIZE);
            let now = Instant::now();
            let due =
                now >= line || (ended.is_some() && now > last.at + self.script.line_every / 2);
            if due {
                let next = Snapshot::take(&self.pool, &self.load);
                self.screen
                    .line(next.at - begun.at, &next.since(&last), &state)?;
                last = next;
            }
            if let Some(recoveries) = ended {
                break recoveries;
            }
        };
        let whole = Snapshot::take(&self.pool, &self.load).since(&begun);
        self.recoveries.extend(recoveries);
        self.acts.push((act, whole));
        Ok(())
    }

    /// Ends the load, closes the pool, and asks all witnesses.
    async fn wind_up(self) -> io::Result<Evidence> {
        let users = self.load.stop().await;
        let server = || async {
            let now = self.backend.sessions().await?;
            io::Result::Ok(Sessions {
                begun: now
                    .begun
                    .zip(self.before.begun)
                    .map(|(now, then)| now - then),
                open: now.open.saturating_sub(self.before.open),
            })
        };
        // A server notices a cut connection when it next looks. If it never does, that is found.
        let rest = async {
            while !is_whole(&self.pool.state()) || server().await?.open != SIZE as u64 {
                pause(LOOK).await;
            }
            io::Result::Ok(())
        };
        let _ = timeout(PROMISED, rest).await;
        let evidence = Evidence {
            max_size: SIZE,
            pool: self.pool.statistics(),
            rest: self.pool.state(),
            warmed: self.warmed,
            sizes: self.sizes,
            recoveries: self.recoveries,
            users,
            server: server().await?,
            after: Sessions::default(),
        };
        self.pool.close(GRACE).await;
        let empty = async {
            while server().await?.open > 0 {
                pause(LOOK).await;
            }
            io::Result::Ok(())
        };
        let _ = timeout(GRACE, empty).await;
        Ok(Evidence {
            after: server().await?,
            ..evidence
        })
    }
}

/// What an act may touch.
struct Stage<'a, B: Backend> {
    proxy: &'a Proxy,
    pool: &'a PoolOf<B>,
    roster: &'a Roster,
    load: &'a Load,
    length: Duration,
}

impl<B: Backend> Stage<'_, B> {
    /// Plays one act to its end, and says how long the pool took to be whole after each fault.
    async fn play(&self, act: Act) -> io::Result<Vec<Option<Duration>>> {
        let begun = Instant::now();
        let end = begun + self.length;
        let mut recoveries = vec![];
        self.proxy.set(Direction::Down, act.fault());
        match act {
            Act::Steady => {}
            Act::Slow => {
                self.load.hurry(true).await;
                sleep_until(end).await;
                self.load.hurry(false).await;
            }
            Act::Killed => {
                for cut in 0..CUTS {
                    sleep_until(begun + self.length * cut / CUTS).await;
                    let cut = self.cut().await;
                    recoveries.push(self.whole(cut).await);
                }
            }
            Act::Refused => {
                self.whole(None).await;
                self.proxy.admit(Admission::Refuse).await?;
                self.proxy.reset_all().await;
            }
            Act::Back => {
                let dead = self.roster.newest();
                self.proxy.heal().await?;
                recoveries.push(self.whole(dead).await);
            }
        }
        sleep_until(end).await;
        Ok(recoveries)
    }

    /// Cuts every connection, and names the newest.
    ///
    /// Waits until no attempt to connect is under way: one that is cut after the server has counted
    /// it and before the pool has would be counted by one alone, and rightly.
    async fn cut(&self) -> Option<u64> {
        self.whole(None).await;
        let newest = self.roster.newest();
        self.proxy.reset_all().await;
        newest
    }

    /// Waits until the pool has all its connections, each newer than `dead`, and none is coming or
    /// going. Says how long that took, unless it takes too long.
    async fn whole(&self, dead: Option<u64>) -> Option<Duration> {
        let begun = Instant::now();
        let whole = async {
            while !is_whole(&self.pool.state())
                || self.roster.len() != SIZE
                || self.roster.oldest() <= dead
            {
                pause(LOOK).await;
            }
        };
        timeout(PROMISED, whole).await.ok()?;
        Some(begun.elapsed())
    }
}

/// The counts of one moment.
#[derive(Debug, Clone)]
struct Snapshot {
    at: Instant,
    pool: Statistics,
    users: Counts,
}

impl Snapshot {
    fn take<M: pool_core::Manager>(pool: &pool_core::Pool<M>, load: &Load) -> Self {
        Self {
            at: Instant::now(),
            pool: pool.statistics(),
            users: load.counts(),
        }
    }

    fn since(&self, earlier: &Self) -> Interval {
        let (now, then) = (&self.pool, &earlier.pool);
        let acquire = now.acquire.since(&then.acquire);
        let quantile = |q| (acquire.count() > 0).then(|| acquire.quantile(q));
        Interval {
            length: self.at - earlier.at,
            lent: now.acquired() - then.acquired(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            connects: now.connects - then.connects,
            refused: now.connect_errors - then.connect_errors,
            answered: self.users.answered - earlier.users.answered,
            unserved: now.timed_out + now.failed - then.timed_out - then.failed,
            cut: self.users.cut - earlier.users.cut,
            left: self.users.left() - earlier.users.left(),
            wrong: self.users.wrong - earlier.users.wrong,
        }
    }
}

/// What happened between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub(crate) length: Duration,
    pub(crate) lent: u64,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    pub(crate) connects: u64,
    pub(crate) refused: u64,
    pub(crate) answered: u64,
    pub(crate) unserved: u64,
    pub(crate) cut: u64,
    pub(crate) left: u64,
    pub(crate) wrong: u64,
}

impl Interval {
    /// Connections lent in a second.
    pub(crate) fn rate(&self) -> u64 {
        (u128::from(self.lent) * 1_000 / self.length.as_millis().max(1)) as u64
    }

    /// Requests that failed other than by their caller's leaving.
    pub(crate) fn errors(&self) -> u64 {
        self.unserved + self.cut + self.wrong
    }
}

fn is_whole(state: &State) -> bool {
    state.size == SIZE && state.connecting + state.closing + state.resetting == 0
}

/// Tasks that want a connection.
const TASKS: usize = 200;
/// Connections there may be.
const SIZE: usize = 16;
/// How often every connection is cut.
const CUTS: u32 = 3;
const GRACE: Duration = Duration::from_secs(1);
const SEED: u64 = 2;
