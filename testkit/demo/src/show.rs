//! The demo itself: act by act, with an eye on the pool.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pool_facade::Pool;
use pool_facade::balance::Standing;
use testkit::proxy::Proxy;
use tokio::time::{Instant, timeout};

use crate::backend::{Backend, PoolOf, Sessions, WORK};
use crate::evidence::{Evidence, Finding, NodeEvidence, PROMISED, Sizes, is_whole, judge};
use crate::gates::{Closing, Gate, gates};
use crate::interval::{Interval, Snapshot};
use crate::load::{Diary, LOOK, Load, Times, pause};
use crate::screen::Screen;
use crate::script::{Act, Script};
use crate::stage;
use crate::text::with_causes;

/// How the demo went.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Report {
    /// What was seen.
    pub evidence: Evidence,
    /// What it means.
    pub findings: Vec<Finding>,
    /// What was seen of each act.
    pub acts: Vec<(Act, Interval)>,
    /// How well the pool behaved.
    pub gates: Vec<Gate>,
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
/// When a server cannot be reached or asked, or the screen not written to. A broken contract or a
/// missed gate is no error.
pub async fn show<B: Backend>(
    backend: B,
    script: Script,
    screen: &mut Screen,
) -> io::Result<Report> {
    let nodes = backend.nodes().into_iter().map(|(name, _)| name);
    screen.introduce(
        &backend.name(),
        &nodes.collect::<Vec<_>>(),
        &script,
        TASKS,
        SIZE,
    )?;
    let mut show = Show::set_up(Arc::new(backend), script, screen).await?;
    for act in Act::ALL {
        show.play(act).await?;
    }
    show.wind_up().await
}

/// A backend behind proxies, a pool on it, and a load on that.
struct Show<'a, B: Backend> {
    backend: Arc<B>,
    script: Script,
    proxies: Vec<Proxy>,
    pool: PoolOf<B>,
    diary: Arc<Diary>,
    load: Load,
    screen: &'a mut Screen,
    /// What the servers had seen before.
    before: Sessions,
    sizes: Sizes,
    recoveries: Vec<(Act, Option<Duration>)>,
    acts: Vec<(Act, Interval)>,
    rest: Option<(Vec<NodeEvidence>, Sessions)>,
    closing: Option<Closing>,
}

impl<'a, B: Backend> Show<'a, B> {
    async fn set_up(backend: Arc<B>, script: Script, screen: &'a mut Screen) -> io::Result<Self> {
        let before = backend.sessions().await?;
        backend.set_lanes(Act::Steady.lanes());
        let mut proxies = Vec::new();
        let mut builder = Pool::builder().name("demo").configure(|config| {
            config.pool.max_size = SIZE;
            config.pool.min_idle = SIZE;
        });
        for (node, (name, address)) in backend.nodes().into_iter().enumerate() {
            let proxy = Proxy::start(address, node as u64).await?;
            builder = builder.node(name, backend.manager(node, proxy.address())?);
            proxies.push(proxy);
        }
        let pool = builder.build().map_err(io::Error::other)?;
        let warmed = pool.warm().await;
        warmed.map_err(|error| io::Error::other(with_causes(&error)))?;
        let diary = Arc::<Diary>::default();
        Ok(Self {
            load: Load::start(&backend, &pool, &diary, TASKS, think(proxies.len())),
            backend,
            script,
            proxies,
            pool,
            diary,
            screen,
            before,
            sizes: Sizes::default(),
            recoveries: vec![],
            acts: vec![],
            rest: None,
            closing: None,
        })
    }

    /// One act, with a line for each second of it, and what comes after its fault.
    async fn play(&mut self, act: Act) -> io::Result<()> {
        if matches!(act, Act::Failing | Act::Gone) {
            // A connect that is cut after the server has counted it and before the pool has would
            // be counted by one alone, and rightly.
            self.recover(Instant::now()).await?;
        }
        if act == Act::Shutdown {
            self.rest().await?;
        }
        self.screen.act(act)?;
        stage::begin(act, &*self.backend, &self.proxies).await?;
        let begun = Instant::now();
        let mut watch = Watch::begin(begun, self.snapshot(), &self.diary);
        let notice = self.script.notice(act);
        self.watch(&mut watch, begun + notice, None).await?;
        if !notice.is_zero() {
            watch = Watch::begin(begun, self.snapshot(), &self.diary);
        }
        let mut recovered = None;
        let recovering = (act == Act::Back).then_some(&mut recovered);
        self.watch(&mut watch, begun + self.script.length_of(act), recovering)
            .await?;
        if act == Act::Shutdown {
            self.close().await?;
        }
        if watch.last.at.elapsed() > self.script.line_every / 2 {
            self.line(&mut watch)?;
        }
        watch.times.extend(&self.diary.take_times());
        let whole = self.snapshot().since(&watch.first, &watch.times);
        self.acts.push((act, whole));
        stage::end(act, &*self.backend, &self.proxies).await?;
        match act {
            Act::Slow | Act::Failing | Act::Late => {
                let recovery = self.recover(Instant::now()).await?;
                self.recoveries.push((act, recovery));
            }
            Act::Back => {
                if recovered.is_none() {
                    recovered = self.recover(begun).await?;
                }
                self.recoveries.push((act, recovered));
            }
            Act::Steady | Act::Overload | Act::Gone | Act::Shutdown => {}
        }
        Ok(())
    }

    /// Looks at the pool until `end`, with a line now and then. Notes when all is well.
    async fn watch(
        &mut self,
        watch: &mut Watch,
        end: Instant,
        mut recovered: Option<&mut Option<Duration>>,
    ) -> io::Result<()> {
        while Instant::now() < end {
            pause(4 * LOOK).await;
            let state = self.pool.state();
            self.sizes.look(&state, SIZE);
            if watch.last.at.elapsed() >= self.script.line_every {
                self.line(watch)?;
            }
            if let Some(recovered) = &mut recovered
                && recovered.is_none()
                && self.is_well().await?
            {
                **recovered = Some(watch.begun.elapsed());
            }
        }
        Ok(())
    }

    fn line(&mut self, watch: &mut Watch) -> io::Result<()> {
        let next = self.snapshot();
        let times = self.diary.take_times();
        let interval = next.since(&watch.last, &times);
        let time = next.at - watch.begun;
        self.screen.line(time, &interval, &self.pool.state())?;
        watch.times.extend(&times);
        watch.last = next;
        Ok(())
    }

    /// Waits until all is well, and says how long after `since`; unless it takes too long.
    async fn recover(&mut self, since: Instant) -> io::Result<Option<Duration>> {
        while since.elapsed() <= PROMISED {
            if self.is_well().await? {
                return Ok(Some(since.elapsed()));
            }
            pause(4 * LOOK).await;
            let state = self.pool.state();
            self.sizes.look(&state, SIZE);
        }
        Ok(None)
    }

    /// Whether every node has all its connections, by the server's count too, and is used.
    async fn is_well(&self) -> io::Result<bool> {
        let state = self.pool.state();
        let well = state.nodes.iter().all(|node| {
            is_whole(&node.pool, SIZE)
                && node.is_ready()
                && node.breaker != breaker::State::HalfOpen
                && node
                    .view
                    .is_some_and(|view| view.standing == Standing::Good)
        });
        Ok(well && self.open().await?.open == (SIZE * state.nodes.len()) as u64)
    }

    /// Ends the load, and asks all witnesses while nothing moves; then the load goes on.
    async fn rest(&mut self) -> io::Result<()> {
        let load = self.load_of(0);
        std::mem::replace(&mut self.load, load).stop().await;
        // A server notices a cut connection when it next looks. If it never does, that is found.
        self.recover(Instant::now()).await?;
        let statistics = self.pool.statistics().nodes;
        let states = self.pool.state().nodes;
        let nodes = statistics.into_iter().zip(states);
        let nodes = nodes.map(|(statistics, state)| NodeEvidence {
            statistics,
            rest: state.pool,
        });
        self.rest = Some((nodes.collect(), self.open().await?));
        self.load = self.load_of(TASKS);
        Ok(())
    }

    async fn close(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        let report = self.pool.close(GRACE).await;
        self.closing = Some(Closing {
            grace: GRACE,
            took: begun.elapsed(),
            outstanding: report.outstanding,
        });
        Ok(())
    }

    /// What the servers have seen of this demo.
    async fn open(&self) -> io::Result<Sessions> {
        let now = self.backend.sessions().await?;
        let begun = now.begun.zip(self.before.begun);
        Ok(Sessions {
            begun: begun.map(|(now, then)| now - then),
            open: now.open.saturating_sub(self.before.open),
        })
    }

    fn load_of(&self, tasks: usize) -> Load {
        let think = think(self.proxies.len());
        Load::start(&self.backend, &self.pool, &self.diary, tasks, think)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.pool.statistics(), self.diary.counts())
    }

    /// Ends the load on the closed pool, and asks all witnesses for the last time.
    async fn wind_up(mut self) -> io::Result<Report> {
        let load = self.load_of(0);
        std::mem::replace(&mut self.load, load).stop().await;
        let empty = async {
            while self.open().await?.open > 0 {
                pause(LOOK).await;
            }
            io::Result::Ok(())
        };
        let _ = timeout(GRACE, empty).await;
        let (nodes, server) = self.rest.take().expect("there was a rest");
        let closing = self.closing.expect("the pool was closed");
        let last = self.pool.statistics().nodes;
        let evidence = Evidence {
            max_size: SIZE,
            nodes,
            last,
            sizes: self.sizes.clone(),
            users: self.diary.counts(),
            server,
            after: self.open().await?,
        };
        self.screen.table(&self.acts, &evidence)?;
        Ok(Report {
            findings: judge(&evidence),
            gates: gates(&self.acts, &self.recoveries, closing),
            acts: self.acts,
            evidence,
        })
    }
}

/// What has been seen of an act so far.
struct Watch {
    begun: Instant,
    /// The first snapshot that counts.
    first: Snapshot,
    last: Snapshot,
    times: Times,
}

impl Watch {
    fn begin(begun: Instant, now: Snapshot, diary: &Diary) -> Self {
        diary.take_times();
        Self {
            begun,
            last: now.clone(),
            first: now,
            times: Times::default(),
        }
    }
}

/// How long each task thinks before a call: together they ask for six tenths of what can be done
/// without one of the nodes.
fn think(nodes: usize) -> Duration {
    let lanes = Act::Steady.lanes() * nodes.saturating_sub(1).max(1);
    WORK.mul_f64(TASKS as f64 / (0.6 * lanes as f64))
}

/// Tasks that want a connection.
const TASKS: usize = 200;
/// Connections that there may be to each node.
const SIZE: usize = 16;
const GRACE: Duration = Duration::from_secs(1);
