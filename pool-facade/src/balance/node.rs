//! What a node is, what it is called, and what it may be asked for.

use std::fmt;

/// A node as the balancer is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a node does nothing until it is inserted"]
pub struct Node {
    pub(super) weight: u16,
    pub(super) priority: u8,
    pub(super) near: bool,
    pub(super) role: Role,
    pub(super) limit: u32,
}

impl Node {
    /// A node of weight 1, in the first priority, in the caller's own zone, that takes everything.
    pub const fn new() -> Self {
        Self {
            weight: 1,
            priority: 0,
            near: true,
            role: Role::Any,
            limit: u32::MAX,
        }
    }

    /// Its share of the work, in relation to the others': 1 to 1000. A node that shall get no work
    /// is one that is removed.
    pub const fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// Its priority: 0, the first, to 3. The next one gets what the nodes of this one are too few
    /// for.
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Whether it is in the caller's own zone. Others are used when those of the own zone cost
    /// twice as much, or as much and are at their limit.
    pub const fn near(mut self, near: bool) -> Self {
        self.near = near;
        self
    }

    /// What it is to the others.
    pub const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// How many calls it can have in flight before a call would have to wait there: the size of
    /// its pool.
    pub const fn limit(mut self, calls: u32) -> Self {
        self.limit = calls;
        self
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

/// What a node is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// There are no roles: reads and writes alike.
    Any,
    /// Takes writes, and reads when no replica serves.
    Primary,
    /// Takes reads alone.
    Replica,
    /// Takes reads, and hands on writes to the active member of a cluster: these when no other
    /// serves.
    ForwardingReplica,
    /// Hands on to the active member of a cluster, if it can: used when no other serves.
    #[non_exhaustive]
    Standby {
        /// Whether it can.
        forwards: bool,
    },
    /// Takes nothing: sealed, removed from its cluster, or not asked yet.
    None,
}

impl Role {
    /// A standby that hands on what it gets, or does not.
    #[must_use]
    pub const fn standby(forwards: bool) -> Self {
        Self::Standby { forwards }
    }

    /// How readily it takes `access`: 0 first, `None` never.
    pub(super) const fn tier(self, access: Access) -> Option<u8> {
        match (self, access) {
            (Self::Any, _)
            | (Self::Primary, Access::Write)
            | (Self::Replica | Self::ForwardingReplica, Access::Read) => Some(0),
            (Self::Primary, Access::Read) => Some(1),
            (Self::ForwardingReplica, Access::Write) | (Self::Standby { forwards: true }, _) => {
                Some(2)
            }
            (Self::Replica, Access::Write) | (Self::Standby { .. } | Self::None, _) => None,
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a call that writes or one that does not"
)]
pub enum Access {
    /// Reads: a replica will do.
    Read,
    /// Writes: it takes the primary.
    Write,
}

/// The name of a node. A removed node's name is not used again for 65 536 insertions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    pub(super) index: u8,
    pub(super) generation: u16,
}

impl NodeId {
    /// Its place on the board, less than 64; that of a removed node may be taken again.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// A set of nodes, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct NodeSet(pub(super) u64);

impl NodeSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds a node.
    pub const fn insert(&mut self, id: NodeId) {
        self.0 |= 1 << id.index;
    }

    /// Whether the node is in it.
    #[must_use]
    pub const fn contains(self, id: NodeId) -> bool {
        self.0 & (1 << id.index) != 0
    }

    /// Whether no node is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The number of tiers that roles make.
pub(super) const TIERS: u8 = 3;
pub(super) const PRIORITIES: u8 = 4;
pub(super) const NODES: usize = 64;
