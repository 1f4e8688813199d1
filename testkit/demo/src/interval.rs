//! What happened between two moments.

use std::time::Duration;

use pool_facade::{NodeStatistics, Statistics};
use tokio::time::Instant;

use crate::load::{Counts, Times, quantile};

/// What happened between two moments.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Interval {
    /// From one to the other.
    pub length: Duration,
    /// What the users saw.
    pub users: Counts,
    /// What each node did.
    pub nodes: Vec<NodeInterval>,
    /// Operations tried again.
    pub repeated: u64,
    /// How long answered calls took: all but nine in ten.
    pub p10: Option<Duration>,
    /// The same in the middle.
    pub p50: Option<Duration>,
    /// The same for all but one in a hundred.
    pub p99: Option<Duration>,
    /// How long it took to be told why a call cannot be made, all but one in a hundred.
    pub told: Option<Duration>,
    /// The time to the first answer.
    pub first: Option<Duration>,
}

/// What a node did between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct NodeInterval {
    /// Operations that ended there.
    pub calls: u64,
    /// Attempts to connect to it.
    pub connects: u64,
}

impl Interval {
    /// Calls answered in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.users.answered as f64 / self.length.as_secs_f64().max(0.001)
    }

    /// The share of calls that were answered, of those that ended.
    pub(crate) fn success(&self) -> f64 {
        let ended = self.users.answered + self.users.failed();
        self.users.answered as f64 / ended.max(1) as f64
    }

    /// The share of operations that ended at this node.
    pub(crate) fn share(&self, node: usize) -> f64 {
        let all: u64 = self.nodes.iter().map(|it| it.calls).sum();
        self.nodes[node].calls as f64 / all.max(1) as f64
    }

    /// Operations begun for each call.
    pub(crate) fn attempts(&self) -> f64 {
        self.users.attempts as f64 / self.users.asked.max(1) as f64
    }
}

/// The counts of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) at: Instant,
    pool: Statistics,
    users: Counts,
}

impl Snapshot {
    pub(crate) fn new(pool: Statistics, users: Counts) -> Self {
        Self {
            at: Instant::now(),
            pool,
            users,
        }
    }

    /// What happened since `earlier`, with the times that calls took meanwhile.
    pub(crate) fn since(&self, earlier: &Self, times: &Times) -> Interval {
        let nodes = self.pool.nodes.iter().zip(&earlier.pool.nodes);
        Interval {
            length: self.at - earlier.at,
            users: self.users.since(&earlier.users),
            nodes: nodes
                .map(|(now, then)| NodeInterval {
                    calls: ended(now) - ended(then),
                    connects: now.pool.connects - then.pool.connects,
                })
                .collect(),
            repeated: self.pool.retries.attempts - earlier.pool.retries.attempts,
            p10: quantile(&times.answered, 0.1),
            p50: quantile(&times.answered, 0.5),
            p99: quantile(&times.answered, 0.99),
            told: quantile(&times.refused, 0.99),
            first: times
                .first
                .map(|first| first.saturating_duration_since(earlier.at)),
        }
    }
}

/// Operations that came to an end.
fn ended(node: &NodeStatistics) -> u64 {
    let totals = node.breaker.totals;
    totals.successes + totals.failures + totals.overloads + totals.stale
}
