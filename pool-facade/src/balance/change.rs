//! What the balancer says: standings, changes and probes to be made.

use std::time::Duration;

use super::{NodeId, Role};

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// In the rotation.
    Good,
    /// In the rotation, at the price of its latency, which is more than three times the median.
    Slow,
    /// Out of it: too many calls have failed.
    Failing,
    /// Out of it: its health check says so, and no call has proved otherwise.
    Down,
}

impl Standing {
    /// Whether the node is in the rotation.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Good | Self::Slow)
    }
}

/// A node stands otherwise than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Which one.
    pub node: NodeId,
    /// How it stood.
    pub from: Standing,
    /// How it stands now.
    pub to: Standing,
}

/// What [`Balancer::tick`](super::Balancer::tick) has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Nodes to be probed now, in the background, on a connection that no caller waits for.
    pub probes: Vec<NodeId>,
    /// What has changed.
    pub changes: Vec<Change>,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// How it stands.
    pub standing: Standing,
    /// What it is to the others.
    pub role: Role,
    /// Calls in flight.
    pub in_flight: u32,
    /// The moving average of its failures, in [0, 1].
    pub error_rate: f64,
    /// The moving average of the time that its calls take, if any was measured.
    pub latency: Option<Duration>,
    /// Its weight, slow start included.
    pub weight: f32,
    /// Within this time of a change there is no other, unless calls prove it to be due.
    pub damping: Duration,
}
