//! Plays a story: safety while everything goes wrong, then progress once all is well.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Once};
use std::time::Duration;

use breaker::Mode;
use pool_core::ErrorClass;
use pool_core::testing::ScriptedError;
use pool_facade::balance::Role;
use pool_facade::{CallOptions, Endpoint, ErrorKind, Guard, Pool, testing};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::history::{Calls, Fault, Place, Step, Story};
use super::server::{Link, Server, Sim, Violations, pause};

/// Plays it in a runtime of its own, in paused time, and says how it went: the same each time.
///
/// # Errors
///
/// The first promise that was broken, and at which step.
pub(crate) fn play(story: &Story) -> Result<String, String> {
    PANIC.take();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(Stage::play(story))));
    // A panic that somebody caught is a defect as well.
    match (PANIC.take(), played) {
        (Some(panic), _) => Err(format!("panicked: {panic}")),
        (None, Ok(result)) => result,
        (None, Err(_)) => Err("panicked by script, and nobody caught it".into()),
    }
}

/// Remembers panics that no script asked for, and keeps those that one did quiet.
pub(crate) fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let owned = payload.downcast_ref::<String>().map(String::as_str);
            let text = payload
                .downcast_ref()
                .copied()
                .or(owned)
                .unwrap_or("no text");
            if text.contains("scripted panic") {
                return;
            }
            PANIC.with(|panic| {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                panic
                    .borrow_mut()
                    .get_or_insert(format!("{text} at {place}"));
            });
            before(info);
        }));
    });
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

struct Stage {
    pool: Pool<Sim>,
    nodes: Vec<Actor>,
    /// The time that an acquire has.
    limit: Duration,
    violations: Violations,
    tasks: JoinSet<()>,
    /// Callers who would wait for ever for a server that says nothing.
    patient: Vec<AbortHandle>,
    /// The most connections that there may ever have been to a node.
    most: usize,
    max_connecting: usize,
    story: Story,
    calls: u64,
    force: Force,
    /// Exchanges begun when the breakers were forced open, if they are.
    begun: Option<u64>,
}

/// Counts the changes of the breakers' mode; odd while calls must not be rejected.
#[derive(Debug, Clone, Default)]
struct Force(Arc<AtomicU64>);

struct Actor {
    server: Arc<Server>,
    removed: bool,
}

impl Stage {
    async fn play(story: &Story) -> Result<String, String> {
        testing::seed(story.seed);
        let mut stage = Self::new(story);
        for (index, step) in story.steps.iter().enumerate() {
            stage.act(*step);
            pause(if let Step::Pass(time) = step {
                *time
            } else {
                ms(3)
            })
            .await;
            let check = stage.check();
            check.map_err(|wrong| format!("after step {index}, {step:?}: {wrong}"))?;
        }
        if story.cut_short {
            return stage.cut().await;
        }
        stage.heal().await?;
        stage.recover().await?;
        stage.end().await
    }

    fn new(story: &Story) -> Self {
        let violations = Violations::default();
        let mut builder = Pool::builder().config(story.config.clone()).zone("here");
        if story.roles {
            builder = builder.probe(|link: &mut Link| Box::pin(link.report()));
        }
        let mut nodes = Vec::new();
        for (index, place) in story.nodes.iter().enumerate() {
            let (endpoint, actor) = node(index, *place, story, &violations);
            builder = builder.endpoint(endpoint);
            nodes.push(actor);
        }
        Self {
            pool: builder.build().expect("a valid configuration"),
            nodes,
            limit: story.config.pool.acquire_timeout.expect("there is one"),
            violations,
            tasks: JoinSet::new(),
            patient: Vec::new(),
            most: story.config.pool.max_size,
            max_connecting: story.config.pool.max_connecting,
            story: story.clone(),
            calls: 0,
            force: Force::default(),
            begun: None,
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Calls(calls) => self.call(calls),
            Step::Hold {
                count,
                time,
                broken,
            } => {
                for _ in 0..count {
                    self.tasks.spawn(hold(
                        self.pool.clone(),
                        time,
                        broken,
                        self.limit,
                        self.violations.clone(),
                    ));
                }
            }
            Step::Fault(node, fault) => self.strike(node, fault),
            Step::Heal(node) => self.nodes[node].server.heal(),
            Step::Kill { node, noticed } => self.nodes[node].server.kill(noticed),
            Step::Resize(size) => {
                self.most = self.most.max(size);
                // An idle minimum above the size is refused, and nothing changes.
                let _ = self.pool.resize(size);
            }
            Step::Attempts(attempts) => {
                let changed = self
                    .pool
                    .reconfigure(|config| config.retry.max_attempts = attempts);
                changed.expect("a valid number");
            }
            Step::Suspend => self.pool.suspend(),
            Step::Resume => self.pool.resume(),
            Step::Clear => self.pool.clear(),
            Step::Spread(interval) => self.pool.clear_spread(interval),
            Step::Add => self.add(),
            Step::Remove { node, grace } => {
                self.nodes[node].removed = true;
                let (pool, name) = (self.pool.clone(), self.nodes[node].server.name.clone());
                self.tasks.spawn(async move {
                    pool.remove(&name, grace).await;
                });
            }
            Step::Promote(node) => {
                let others = self.nodes.iter().map(|it| &it.server);
                let leads = others.clone().filter(|it| it.role() == Role::Primary);
                leads.for_each(|it| it.become_a(Role::Replica));
                self.nodes[node].server.become_a(Role::Primary);
            }
            Step::Demote(node) => self.nodes[node].server.become_a(Role::Replica),
            Step::Mode(mode) => self.force(mode),
            // The time of its own is in the play.
            Step::Pass(_) => {}
        }
    }

    fn add(&mut self) {
        let place = Place {
            role: Role::Any,
            weight: 1,
            priority: 0,
            near: true,
        };
        let (endpoint, actor) = node(self.nodes.len(), place, &self.story, &self.violations);
        self.pool.add(endpoint).expect("there is room");
        self.nodes.push(actor);
    }

    fn force(&mut self, mode: Mode) {
        let changed = self.pool.reconfigure(|config| config.breaker.mode = mode);
        changed.expect("a valid mode");
        let admits = matches!(mode, Mode::ForcedClosed | Mode::MetricsOnly);
        let changes = self.force.0.load(Relaxed) / 2 + 1;
        self.force.0.store(changes * 2 + u64::from(admits), Relaxed);
        self.begun = (mode == Mode::ForcedOpen).then(|| self.begun());
    }

    fn begun(&self) -> u64 {
        self.nodes.iter().map(|node| node.server.begun()).sum()
    }

    fn strike(&self, node: usize, fault: Fault) {
        let server = &self.nodes[node].server;
        let script = &server.script;
        let (steps, step) = match fault {
            Fault::Exchanges(exchanges) => {
                server.exchanges(exchanges);
                return;
            }
            Fault::Connect(step) => (&script.connect, step),
            Fault::Check(step) => (&script.is_valid, step),
            Fault::Reset(step) => (&script.reset, step),
            Fault::Close(step) => (&script.close, step),
            Fault::Peek(step) => (&script.has_broken, step),
        };
        steps.otherwise(step);
    }

    fn call(&mut self, calls: Calls) {
        for index in 0..calls.count {
            let (pool, violations) = (self.pool.clone(), self.violations.clone());
            let force = self.force.clone();
            let delay = calls.gap * u32::from(index);
            self.calls += 1;
            let task = self.tasks.spawn(async move {
                pause(delay).await;
                let started = Instant::now();
                let call = one(&pool, calls);
                let Some(patience) = calls.cancelled else {
                    let before = force.0.load(Relaxed);
                    let error = call.await.err().map(|error| error.kind());
                    let admits = before % 2 == 1 && before == force.0.load(Relaxed);
                    if admits && error == Some(ErrorKind::Rejected) {
                        violations
                            .add("a breaker that was forced closed has rejected a call".into());
                    }
                    let took = started.elapsed();
                    if calls.timeout.is_some_and(|timeout| took > timeout + SLACK) {
                        violations.add(format!("a call within {:?} took {took:?}", calls.timeout));
                    }
                    return;
                };
                let _ = tokio::time::timeout(patience, call).await;
            });
            if calls.timeout.is_none() && calls.cancelled.is_none() {
                self.patient.push(task);
            }
        }
    }

    /// What must hold at any time.
    fn check(&self) -> Result<(), String> {
        if let Some(violation) = self.violations.first() {
            return Err(violation);
        }
        self.pool.audit()?;
        for Actor { server, .. } in &self.nodes {
            let (name, script) = (&server.name, &server.script);
            let (live, most) = (script.most_live(), self.most);
            if live > most {
                return Err(format!("{live} connections to {name}, more than {most}"));
            }
            let (connecting, most) = (script.most_connecting(), self.max_connecting);
            if connecting > most {
                return Err(format!(
                    "{connecting} connecting to {name}, more than {most}"
                ));
            }
        }
        let retries = self.pool.statistics().retries.attempts;
        let good: u64 = self.nodes.iter().map(|node| node.server.good()).sum();
        if retries > 10 + good / 10 {
            return Err(format!("{retries} retries after {good} good calls"));
        }
        let begun = self.begun();
        if self.begun.is_some_and(|before| before != begun) {
            return Err("a breaker that was forced open has admitted a call".into());
        }
        if begun > self.calls + retries {
            return Err(format!(
                "{begun} attempts of {} calls, {retries} retries",
                self.calls
            ));
        }
        Ok(())
    }

    /// All faults end; those who wait for ever leave; everything under way ends.
    async fn heal(&mut self) -> Result<(), String> {
        for node in &self.nodes {
            node.server.heal();
        }
        self.pool.resume();
        self.force(self.story.config.breaker.mode);
        self.await_all().await?;
        self.check()
    }

    async fn await_all(&mut self) -> Result<(), String> {
        for task in self.patient.drain(..) {
            task.abort();
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        match tokio::time::timeout(LONGEST, all).await {
            Ok(()) => Ok(()),
            Err(_) => Err(format!("{} calls have not ended", self.tasks.len())),
        }
    }

    /// From now on nothing is wrong, and so nothing may go wrong for long.
    async fn recover(&mut self) -> Result<(), String> {
        if self.nodes.iter().all(|node| node.removed) {
            self.add();
        }
        let start = Instant::now();
        let writable = self
            .nodes
            .iter()
            .any(|node| !node.removed && node.server.role() != Role::Replica);
        let mut read_only = false;
        let mut first = None;
        while start.elapsed() < STEADY {
            read_only = !writable || !read_only;
            let calls = Calls {
                count: 1,
                gap: Duration::ZERO,
                takes: ms(1),
                timeout: Some(ms(1000)),
                cancelled: None,
                read_only,
                idempotent: true,
                panics: false,
            };
            self.calls += 1;
            let result = one(&self.pool, calls).await;
            self.check()?;
            let since = start.elapsed();
            match result {
                Ok(()) => {
                    first.get_or_insert(since);
                }
                Err(error) if since > CALM => {
                    return Err(format!("{since:?} after all was well: {error}"));
                }
                Err(error) if first.is_none() && since > FIRST => {
                    return Err(format!("nothing has succeeded after {since:?}: {error}"));
                }
                Err(_) => {}
            }
            pause(ms(if since > CALM { 500 } else { 100 })).await;
        }
        let state = self.pool.state();
        let idle = state
            .nodes
            .iter()
            .filter(|node| node.view.is_some_and(|view| !view.standing.serves()));
        match idle.map(|node| &node.name).next() {
            Some(name) => Err(format!(
                "{name} is out of the rotation after {STEADY:?}: {state:?}"
            )),
            None => Ok(()),
        }
    }

    /// All accounts balance, as soon as no probe is under way.
    async fn rest(&self) -> Result<(), String> {
        let mut audit = Ok(());
        for _ in 0..20 {
            audit = self.pool.audit_quiescent();
            if audit.is_ok() {
                break;
            }
            pause(ms(7)).await;
        }
        audit
    }

    /// Nothing is left when the pool is closed.
    async fn end(self) -> Result<String, String> {
        pause(ms(3000)).await;
        self.rest().await?;
        let told = self.close(true).await?;
        self.leave(told).await
    }

    /// The pool is closed while everything goes on; then all callers end.
    async fn cut(mut self) -> Result<String, String> {
        let told = self.close(false).await?;
        self.await_all().await?;
        // What came back last is still being closed.
        pause(ms(2000)).await;
        self.leave(told).await
    }

    async fn close(&self, at_rest: bool) -> Result<String, String> {
        let told = format!("{:?}", self.pool.statistics());
        let start = Instant::now();
        let report = self.pool.close(GRACE).await;
        let took = start.elapsed();
        if took > GRACE + ms(100) + SLACK {
            return Err(format!("closing took {took:?}"));
        }
        if at_rest && report.outstanding + report.aborted > 0 {
            return Err(format!("closed with {report:?}"));
        }
        let error = self
            .pool
            .get()
            .await
            .map(drop)
            .expect_err("the pool is closed");
        if error.kind() != ErrorKind::Closed {
            return Err(format!("a closed pool says {error}"));
        }
        Ok(told)
    }

    async fn leave(self, told: String) -> Result<String, String> {
        for Actor { server, .. } in &self.nodes {
            let (name, live) = (&server.name, server.script.live());
            if live > 0 {
                return Err(format!("{live} connections to {name} are left"));
            }
        }
        drop((self.pool, self.tasks));
        pause(ms(1000)).await;
        match tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
        {
            0 => Ok(told),
            tasks => Err(format!("{tasks} tasks are left")),
        }
    }
}

fn node(
    index: usize,
    place: Place,
    story: &Story,
    violations: &Violations,
) -> (Endpoint<Sim>, Actor) {
    let seed = story.seed ^ (index as u64 + 1) << 32;
    let name = format!("node-{index}");
    let server = Server::new(name, place.role, seed, violations.clone());
    *server
        .script
        .reset_at
        .lock()
        .expect("nobody panics with it") = story.reset_at;
    *server
        .script
        .abandoned
        .lock()
        .expect("nobody panics with it") = story.abandoned;
    let endpoint = Endpoint::new(server.name.clone(), server.manager())
        .role(place.role)
        .weight(place.weight)
        .priority(place.priority)
        .zone(if place.near { "here" } else { "there" });
    let actor = Actor {
        server,
        removed: false,
    };
    (endpoint, actor)
}

async fn one(pool: &Pool<Sim>, calls: Calls) -> Result<(), pool_facade::Error<ScriptedError>> {
    let mut options = CallOptions::new();
    if calls.read_only {
        options = options.read_only();
    }
    if calls.idempotent {
        options = options.idempotent();
    }
    if let Some(timeout) = calls.timeout {
        options = options.timeout(timeout);
    }
    pool.run_with(options, async |link: &mut Link| {
        let mut held = link.hold();
        if calls.panics {
            panic!("scripted panic");
        }
        held.exchange(calls.takes, calls.read_only).await
    })
    .await
}

/// Gets a connection and keeps it.
async fn hold(
    pool: Pool<Sim>,
    time: Duration,
    broken: bool,
    limit: Duration,
    violations: Violations,
) {
    struct Held(Guard<Sim>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.give_back();
        }
    }
    let started = Instant::now();
    let result = pool.get().await;
    let took = started.elapsed();
    if took > limit + SLACK {
        violations.add(format!("a get within {limit:?} took {took:?}"));
    }
    let Ok(guard) = result else {
        return;
    };
    let mut held = Held(guard);
    held.0.take();
    pause(time).await;
    if broken {
        held.0.condemn();
        held.0.report(ErrorClass::Broken);
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The granularity of tokio's timers, twice.
const SLACK: Duration = ms(2);
/// Every call of a story has ended by then: holds of 4 s after waits of 3 s.
const LONGEST: Duration = ms(10_000);
/// Until the first success: an open breaker, a half-open one whose probes were lost.
const FIRST: Duration = ms(8000);
/// From then on no call fails.
const CALM: Duration = ms(12_000);
/// By then every node is in the rotation, however often it has deceived its probes.
const STEADY: Duration = ms(45_000);
const GRACE: Duration = ms(1000);
