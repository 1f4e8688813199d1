//! What happened, in order.

use std::time::{Duration, Instant};

use crate::state::{Cause, Mode, State};
use crate::window::Counts;

/// One change of the breaker.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Orders the events of one breaker; each has the next number.
    pub sequence: u64,
    /// The evidence's generation after the change. Permits of another one are stale.
    pub epoch: u64,
    /// When, by the clock or the `now` of the call that made the change.
    pub at: Instant,
    /// What changed.
    pub change: Change,
    /// The evidence that led to it, before any of it was cleared.
    pub counts: Counts,
}

/// What an [`Event`] tells.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The state changed.
    Transition {
        /// The state before.
        from: State,
        /// The state after.
        to: State,
        /// Why.
        cause: Cause,
        /// How long the breaker will stay open, if that is where it went.
        open_for: Option<Duration>,
    },
    /// An operator set another mode.
    Mode {
        /// The mode before.
        from: Mode,
        /// The mode after.
        to: Mode,
    },
    /// Another configuration was set.
    Configured {
        /// Whether the evidence still means something and was kept.
        evidence_kept: bool,
    },
}
