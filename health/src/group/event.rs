//! What a group says: whom to probe, how long to wait, what has changed.

use std::time::Instant;

use crate::{Change, Ejection, Probe, TargetId};

/// What a group asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the contract of `poll`: a driver handles all of it"
)]
pub enum GroupAction<R = ()> {
    /// Probe this target now and report the result.
    Probe(TargetProbe),
    /// Something changed with time.
    Event(Event<R>),
    /// Nothing to do before this instant, or ever, unless something is told or inserted.
    WaitUntil(Option<Instant>),
}

/// What a group asks of a caller that probes in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the contract of `poll_batch`, as for `GroupAction`"
)]
pub enum BatchAction<R = ()> {
    /// Do the probes in the buffer together and report each result.
    Probe,
    /// Something changed with time.
    Event(Event<R>),
    /// Nothing to do before this instant, or ever, unless something is told or inserted.
    WaitUntil(Option<Instant>),
}

/// A probe in flight and whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TargetProbe {
    /// The target to ask.
    pub target: TargetId,
    /// The right to report one result.
    pub probe: Probe,
}

/// What happened in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<R = ()> {
    /// Probes changed the belief about a target.
    Changed(TargetId, Change<R>),
    /// Real operations failed, and the target is out for a while.
    Ejected(Ejection),
    /// The ejection of a target is over.
    Returned(TargetId),
    /// Too few targets are available and all are eligible, or enough are again.
    Panic(bool),
}
