//! A node as the pool is told of it.

use std::fmt;

use crate::balance::Role;

/// One server, or one address of several: who connects to it, and what it is to the others.
///
/// ```
/// use pool_facade::Endpoint;
/// use pool_facade::balance::Role;
/// # use pool_core::testing::Script;
/// # let manager = Script::new().manager();
///
/// let replica = Endpoint::new("replica-2", manager)
///     .role(Role::Replica)
///     .zone("eu-west-1b")
///     .weight(2);
/// # let _ = replica;
/// ```
#[must_use = "an endpoint does nothing until it is given to a pool"]
pub struct Endpoint<M> {
    pub(crate) name: String,
    pub(crate) manager: M,
    pub(crate) weight: u16,
    pub(crate) priority: u8,
    pub(crate) zone: Option<String>,
    pub(crate) role: Role,
}

impl<M> Endpoint<M> {
    /// A node of weight 1, in the first priority, that takes everything. The name stands in
    /// errors, events and metrics, and must be the only one of its kind in the pool; it is no
    /// place for a secret.
    pub fn new(name: impl Into<String>, manager: M) -> Self {
        Self {
            name: name.into(),
            manager,
            weight: 1,
            priority: 0,
            zone: None,
            role: Role::Any,
        }
    }

    /// Its share of the work, in relation to the others'. Default: 1.
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// Its priority: 0, the first, to 3. The next one gets what the nodes of this one are too few
    /// for. Default: 0.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Where it stands. Nodes of the [caller's own zone](crate::Builder::zone) come first, as long
    /// as they are not much dearer. Default: the caller's own.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// What it is to the others, until a probe says otherwise. Default: [`Role::Any`].
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }
}

impl<M> fmt::Debug for Endpoint<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("weight", &self.weight)
            .field("priority", &self.priority)
            .field("zone", &self.zone)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
