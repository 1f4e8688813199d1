//! What a pool is doing and what it has done, node by node.

use std::fmt;
use std::sync::Arc;

use health::{BreakerReading, PoolReading};
use pool_core::Manager;
use pool_core::runtime::Runtime;

use crate::balance::NodeView;
use crate::node::Node;
use crate::shared::RetryStatistics;

/// What a pool is doing now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct State {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is closed.
    pub closed: bool,
    /// Its nodes.
    pub nodes: Vec<NodeState>,
}

/// What a node is doing now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeState {
    /// Its name.
    pub name: Arc<str>,
    /// Its connections.
    pub pool: pool_core::State,
    /// The state of its breaker.
    pub breaker: breaker::State,
    /// What its calls have come to lately, as its breaker has counted.
    pub calls: breaker::Counts,
    /// Attempts to connect that have failed in a row.
    pub connect_failures: u32,
    /// What the balancer thinks of it; `None` if it was just removed.
    pub view: Option<NodeView>,
}

impl State {
    /// The connections of all nodes, summed up.
    pub fn total(&self) -> pool_core::State {
        let mut total = pool_core::State::default();
        for node in &self.nodes {
            total.size += node.pool.size;
            total.target += node.pool.target;
            total.idle += node.pool.idle;
            total.leased += node.pool.leased;
            total.connecting += node.pool.connecting;
            total.checking += node.pool.checking;
            total.resetting += node.pool.resetting;
            total.closing += node.pool.closing;
            total.waiting += node.pool.waiting;
            total.suspended |= node.pool.suspended;
        }
        total.closed = self.closed;
        total
    }
}

impl NodeState {
    /// Whether calls get through: lending is on, the breaker is not open, and there is a
    /// connection, or no reason to doubt that one can be opened.
    pub fn is_ready(&self) -> bool {
        let connected = self.pool.idle + self.pool.leased > 0;
        !self.pool.suspended
            && !self.pool.closed
            && self.breaker != breaker::State::Open
            && (connected || self.connect_failures == 0)
    }
}

/// What a pool has done since it was built.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Statistics {
    /// Its name.
    pub name: Arc<str>,
    /// Its nodes; those that were removed are gone.
    pub nodes: Vec<NodeStatistics>,
    /// What became of calls that failed at first.
    pub retries: RetryStatistics,
    /// Panics of parts plugged into the tick.
    pub panics: u64,
}

/// What a node has done since it was added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeStatistics {
    /// Its name.
    pub name: Arc<str>,
    /// Its connections.
    pub pool: pool_core::Statistics,
    /// Its breaker, and with it its calls.
    pub breaker: breaker::Snapshot,
}

/// Whether a pool can serve; `Display` says why not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// The nodes through which calls get.
    pub nodes: Vec<Arc<str>>,
    /// In words, why not; empty if it is ready.
    pub reasons: Vec<String>,
}

impl Readiness {
    pub(crate) fn new(state: &State) -> Self {
        let nodes: Vec<_> = state
            .nodes
            .iter()
            .filter(|node| node.is_ready())
            .map(|node| node.name.clone())
            .collect();
        let ready = !nodes.is_empty() && !state.closed;
        let reasons = if ready {
            Vec::new()
        } else if state.closed {
            vec!["the pool is closed".into()]
        } else if state.nodes.is_empty() {
            vec!["the pool has no nodes".into()]
        } else {
            state.nodes.iter().map(reason).collect()
        };
        Self {
            ready,
            nodes,
            reasons,
        }
    }
}

fn reason(node: &NodeState) -> String {
    let name = &node.name;
    if node.pool.suspended {
        format!("node `{name}` is suspended")
    } else if node.breaker == breaker::State::Open {
        format!("the breaker of node `{name}` is open")
    } else {
        let failures = node.connect_failures;
        format!("node `{name}` cannot be connected to: {failures} attempts in a row have failed")
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ready {
            return f.write_str("ready");
        }
        f.write_str("not ready: ")?;
        f.write_str(&self.reasons.join("; "))
    }
}

impl<M: Manager, R: Runtime> Node<M, R> {
    pub(crate) fn state(&self, view: Option<NodeView>) -> NodeState {
        NodeState {
            name: self.vital.name.clone(),
            pool: self.pool.state(),
            breaker: self.vital.breaker.state(),
            calls: self.vital.breaker.snapshot().counts,
            connect_failures: self.gate.failures(),
            view,
        }
    }

    pub(crate) fn statistics(&self) -> NodeStatistics {
        NodeStatistics {
            name: self.vital.name.clone(),
            pool: self.pool.statistics(),
            breaker: self.vital.breaker.snapshot(),
        }
    }
}

/// What health is judged by. The breaker counts for as much as is left without the nodes that
/// another one stands in for: all of them must be open for the pool to be.
pub(crate) fn reading(state: &State) -> PoolReading {
    let total = state.total();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut reading = PoolReading::default();
    reading.in_use = count(total.leased);
    reading.limit = count(total.target);
    reading.waiting = count(total.waiting);
    reading.targets = count(state.nodes.len());
    reading.targets_failing = count(
        state
            .nodes
            .iter()
            .filter(|node| {
                !node.is_ready() || node.view.is_some_and(|view| !view.standing.serves())
            })
            .count(),
    );
    let best = state.nodes.iter().map(|node| match node.breaker {
        breaker::State::Closed => BreakerReading::Closed,
        breaker::State::Degraded => BreakerReading::Degraded,
        breaker::State::HalfOpen => BreakerReading::HalfOpen,
        breaker::State::Open => BreakerReading::Open,
    });
    reading.breaker = best
        .min_by_key(|breaker| *breaker as u8)
        .unwrap_or_default();
    let (failed, calls) = state
        .nodes
        .iter()
        .fold((0.0, 0.0), |(failed, calls), node| {
            let total = f64::from(u32::try_from(node.calls.total()).unwrap_or(u32::MAX));
            (failed + total * node.calls.failure_rate(), calls + total)
        });
    if calls > 0.0 {
        reading.error_rate = failed / calls;
    }
    reading
}
