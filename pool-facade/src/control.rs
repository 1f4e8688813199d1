//! The control plane: one tick for the whole pool, and every change of its nodes.
//!
//! Each node's own maintenance calls in every 200 ms; the first of them in each period does the
//! work. So the tick goes on while any node lives, and stops with the last. The data plane needs
//! it for nothing: without it calls go by what was published last.
//!
//! Lock order: `state` is held alone, and neither user code nor a node's pool is called under it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use health::{Action, Change, Failure, Monitor, PoolHealth, PoolMonitor, Report};
use pool_core::runtime::Runtime;
use pool_core::{Latency, Manager};
use pool_metrics::{CheckFailure, Counts};

use crate::balance::{Balancer, NodeId, Role, Standing};
use crate::discover::Lookups;
use crate::node::Node;
use crate::shared::Shared;
use crate::{Config, metrics, state};

/// What only the control plane reads and writes.
pub(crate) struct Control {
    state: Mutex<State>,
    /// User code that runs with each tick; apart, since it runs without the lock of `state`.
    parts: Mutex<Vec<Part>>,
    ticking: AtomicBool,
    panics: AtomicU64,
}

pub(crate) struct State {
    pub(crate) balancer: Balancer,
    /// The nodes, those included that are just being added.
    pub(crate) members: Vec<Member>,
    pub(crate) config: Arc<Config>,
    pub(crate) monitor: PoolMonitor,
    /// When nodes are looked up, if they are.
    pub(crate) lookups: Option<Lookups>,
    pub(crate) health: Option<PoolHealth>,
    /// Nodes that are added lend nothing before the pool resumes.
    pub(crate) suspended: bool,
    /// No node is added any more.
    pub(crate) closed: bool,
    ticked_at: Option<Instant>,
    turned_at: Option<Instant>,
}

/// What the control plane knows of a node.
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) name: Arc<str>,
    /// How it is probed, unless it is not.
    pub(crate) monitor: Option<Monitor<Role>>,
    /// Probes that have ended, and those that failed.
    pub(crate) checks: u64,
    pub(crate) failures: Counts<CheckFailure>,
    /// How long acquires took, up to some ten and some twenty seconds ago.
    pub(crate) acquires: [Option<Latency>; 2],
}

/// Something that runs with each tick.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) run: RunPart,
}

pub(crate) type RunPart = Box<dyn FnMut(Instant, &state::State) + Send>;

impl Control {
    pub(crate) fn new(
        balancer: Balancer,
        config: Config,
        monitor: PoolMonitor,
        parts: Vec<Part>,
        lookups: Option<Lookups>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                balancer,
                members: Vec::new(),
                config: Arc::new(config),
                monitor,
                lookups,
                health: None,
                suspended: false,
                closed: false,
                ticked_at: None,
                turned_at: None,
            }),
            parts: Mutex::new(parts),
            ticking: AtomicBool::new(false),
            panics: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.lock().config.clone()
    }

    /// Panics of plugged parts.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Runs plugged code; a panic is counted, told, and gives `None`.
    pub(crate) fn guard<T>(&self, pool: &str, part: &str, run: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(run));
        result
            .map_err(|payload| self.on_panic(pool, part, payload))
            .ok()
    }

    /// Counts and tells that plugged code has panicked.
    pub(crate) fn on_panic(&self, pool: &str, part: &str, payload: Box<dyn Any + Send>) {
        // The payload is user code too: its drop may panic.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        self.panics.fetch_add(1, Relaxed);
        tracing::error!(target: "pool::maintain", pool, part, "a part of the control plane panicked");
    }
}

impl State {
    /// What the monitor of a node wants now: a probe, or that a belief be changed since one was
    /// not heard of. One that calls have cast doubt on is asked soon, and so is one that may have
    /// become what calls are in want of. Where there is but one node there is nothing to decide, and
    /// nothing is asked, unless it was thought ill of when it was one of several.
    pub(crate) fn poll_monitor(
        &mut self,
        id: NodeId,
        suspect: bool,
        now: Instant,
    ) -> (Option<health::Probe>, Option<Change<Role>>) {
        let is_alone = self.members.len() < 2;
        if is_alone && self.belief(id).state().serves() {
            return (None, None);
        }
        let suspect = suspect || self.balancer.may_take_over(id);
        let monitor = self.monitor_of(id);
        let poll = |monitor: &mut Monitor<Role>| {
            if suspect {
                monitor.on_suspicion(health::Suspicion::SUSPECT, now);
            }
            monitor.poll(now)
        };
        match monitor.map(poll) {
            Some(Action::Probe(probe)) => (Some(probe), None),
            Some(Action::Changed(change)) => (None, Some(change)),
            Some(Action::WaitUntil(_)) | None => (None, None),
        }
    }

    /// A probe of a node has ended.
    pub(crate) fn on_report(
        &mut self,
        id: NodeId,
        probe: health::Probe,
        report: Report<Role>,
        now: Instant,
    ) -> Option<Change<Role>> {
        let member = self.members.iter_mut().find(|member| member.id == id)?;
        member.checks += 1;
        if let Some(failure) = report.failure() {
            member.failures[metrics::check_failure(failure)] += 1;
        }
        member.monitor.as_mut()?.on_result(probe, report, now)
    }

    /// Whether it is time for the windows of [`recent`](Self::recent) to move on.
    fn windows_turn(&mut self, now: Instant) -> bool {
        let turned_at = *self.turned_at.get_or_insert(now);
        let turn = now.saturating_duration_since(turned_at) >= WINDOW;
        if turn {
            self.turned_at = Some(now);
        }
        turn
    }

    /// What of the times that a node's acquires took is of the last ten to twenty seconds.
    fn recent(&mut self, id: NodeId, acquire: Latency, turn: bool) -> Option<Latency> {
        let member = self.members.iter_mut().find(|member| member.id == id)?;
        let before = member.acquires[1].as_ref();
        let recent = before.map_or_else(|| acquire.clone(), |before| acquire.since(before));
        if turn {
            member.acquires.swap(0, 1);
            member.acquires[0] = Some(acquire);
        }
        Some(recent)
    }

    pub(crate) fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// What is believed of a node, as a report.
    pub(crate) fn belief(&mut self, id: NodeId) -> Report<Role> {
        let state = self.monitor_of(id).map(|monitor| monitor.status().state);
        match state {
            Some(health::State::Down) => Report::down(Failure::Other),
            Some(health::State::Draining) => Report::draining(),
            Some(health::State::Degraded) => Report::degraded(),
            _ => Report::up(),
        }
    }

    fn monitor_of(&mut self, id: NodeId) -> Option<&mut Monitor<Role>> {
        let mut members = self.members.iter_mut();
        members.find(|member| member.id == id)?.monitor.as_mut()
    }
}

/// Only one tick at a time.
struct Ticking<'a>(&'a AtomicBool);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// A node's maintenance has come by.
    pub(crate) fn on_tick(self: &Arc<Self>, now: Instant) {
        if self.is_closed() || self.control.ticking.swap(true, Acquire) {
            return;
        }
        let _ticking = Ticking(&self.control.ticking);
        {
            let mut state = self.control.lock();
            let early = |at: Instant| now.saturating_duration_since(at) < PERIOD;
            if state.ticked_at.is_some_and(early) {
                return;
            }
            state.ticked_at = Some(now);
        }
        let name = self.name.clone();
        self.control
            .guard(&name, "breakers", || self.tick_breakers(now));
        self.control.guard(&name, "balance", || self.balance(now));
        self.control.guard(&name, "health", || self.assess());
        self.control.guard(&name, "discover", || self.look_up(now));
        self.run_parts(now);
    }

    /// Ends half-open epochs whose time is over. Everything else needs no tick.
    fn tick_breakers(&self, now: Instant) {
        for node in self.plan.load().nodes() {
            if node.vital.breaker.state() != breaker::State::Closed {
                node.vital.breaker.tick_at(now);
            }
        }
    }

    fn balance(self: &Arc<Self>, now: Instant) {
        let verdict = self.control.lock().balancer.tick(now);
        self.probe(&verdict.probes, now);
        for change in verdict.changes {
            let plan = self.plan.load();
            let node = plan.node(change.node).map(|node| &*node.vital.name);
            if change.to == Standing::Good {
                tracing::info!(target: "health", pool = &*self.name, node, from = ?change.from, "node is back");
            } else {
                tracing::warn!(target: "health", pool = &*self.name, node, from = ?change.from, to = ?change.to, "node is demoted");
            }
        }
    }

    fn assess(&self) {
        let plan = self.plan.load_full();
        let acquires: Vec<_> = plan
            .nodes()
            .map(|node| (node.vital.id, node.pool.statistics().acquire))
            .collect();
        let now = self.runtime.now();
        let mut reading = state::reading(&self.state());
        let mut state = self.control.lock();
        let turn = state.windows_turn(now);
        let recent = acquires
            .into_iter()
            .filter_map(|(id, acquire)| state.recent(id, acquire, turn));
        reading.acquire_p99 = recent.map(|acquire| acquire.quantile(0.99)).max();
        state.health = Some(state.monitor.assess(&reading));
    }

    fn run_parts(&self, now: Instant) {
        let lock = || {
            self.control
                .parts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if lock().is_empty() {
            return;
        }
        let state = self.state();
        let mut parts = std::mem::take(&mut *lock());
        for part in &mut parts {
            let run = || (part.run)(now, &state);
            self.control.guard(&self.name, &part.name, run);
        }
        *lock() = parts;
    }

    /// What the last tick made of the pool's health; before the first, what there is to see now.
    pub(crate) fn health(&self) -> PoolHealth {
        let health = self.control.lock().health.clone();
        health.unwrap_or_else(|| {
            let reading = state::reading(&self.state());
            self.control.lock().monitor.assess(&reading)
        })
    }

    /// What the nodes are doing now.
    pub(crate) fn state(&self) -> state::State {
        let plan = self.plan.load_full();
        let now = self.runtime.now();
        let views: Vec<_> = {
            let state = self.control.lock();
            plan.nodes()
                .map(|node| state.balancer.view(node.vital.id, now))
                .collect()
        };
        let nodes = plan.nodes().zip(views);
        state::State {
            name: self.name.clone(),
            closed: self.is_closed(),
            nodes: nodes.map(|(node, view)| Node::state(node, view)).collect(),
        }
    }
}

/// How often the work is done, a little less than a tick of a node takes.
const PERIOD: Duration = Duration::from_millis(150);
/// How long a window of acquires is.
const WINDOW: Duration = Duration::from_secs(10);
