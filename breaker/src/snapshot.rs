//! Every number of a breaker at one moment.

use std::time::Duration;

use crate::state::{Mode, State};
use crate::window::Counts;

/// What [`snapshot`](crate::Breaker::snapshot) returns.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The state.
    pub state: State,
    /// The mode beside it.
    pub mode: Mode,
    /// Number of the last [`Event`](crate::Event).
    pub sequence: u64,
    /// Generation of the evidence.
    pub epoch: u64,
    /// The evidence.
    pub counts: Counts,
    /// Admitted calls that have not ended; `None` when the degraded state is off, which alone needs
    /// to know.
    pub in_flight: Option<u64>,
    /// Those of them that an earlier epoch admitted. They are not held against the limit.
    pub stale_in_flight: u64,
    /// The most calls that may be in flight; `None`: any number.
    pub limit: Option<u64>,
    /// Calls that have not ended and are slow already; 0 without a slow-call rule.
    pub overdue: u64,
    /// Probes admitted in this half-open epoch.
    pub probes: u32,
    /// What is left of the open time, or of the time for probing.
    pub remaining: Option<Duration>,
    /// Openings remembered, which lengthen the next open time.
    pub openings_remembered: u32,
    /// Since the breaker was built.
    pub totals: Totals,
}

/// Counts since the breaker was built.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that met overload.
    pub overloads: u64,
    /// Calls that said nothing about the backend.
    pub ignored: u64,
    /// Permits dropped without an outcome.
    pub cancelled: u64,
    /// Permits that ended after their epoch, whatever their outcome.
    pub stale: u64,
    /// Calls refused because the breaker was open.
    pub rejected_open: u64,
    /// Calls refused because all probes were busy.
    pub rejected_probes_busy: u64,
    /// Calls refused by the limit.
    pub rejected_limited: u64,
    /// Calls refused because the breaker was forced open.
    pub rejected_forced: u64,
    /// Times the breaker opened.
    pub openings: u64,
    /// Events that nobody fetched in time.
    pub events_lost: u64,
}
