//! A breaker.

use crate::{BreakerEdge, BreakerMode, BreakerState, CallOutcome, Counts, Rejection, TripCause};

/// A breaker at one moment.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// The name by which an operator knows the breaker; unique in a report.
    pub name: String,
    /// Its state.
    pub state: BreakerState,
    /// Who decides.
    pub mode: BreakerMode,
    /// The most calls in flight that it allows now, if it limits them.
    pub limit: Option<u64>,
    /// Calls in flight, where the breaker counts them.
    pub in_flight: Option<u64>,
    /// The share of failures in its window, 0 to 1.
    pub failure_ratio: f64,
    /// How often it opened.
    pub trips: Counts<TripCause>,
    /// How often it took each edge.
    pub transitions: Counts<BreakerEdge>,
    /// What its calls told it.
    pub calls: Counts<CallOutcome>,
    /// The calls that it refused.
    pub rejected: Counts<Rejection>,
}

impl BreakerSnapshot {
    /// A closed breaker in which every number is 0.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: BreakerState::Closed,
            mode: BreakerMode::Auto,
            limit: None,
            in_flight: None,
            failure_ratio: 0.0,
            trips: Counts::default(),
            transitions: Counts::default(),
            calls: Counts::default(),
            rejected: Counts::default(),
        }
    }

    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            trips: self.trips.since(&earlier.trips),
            transitions: self.transitions.since(&earlier.transitions),
            calls: self.calls.since(&earlier.calls),
            rejected: self.rejected.since(&earlier.rejected),
            ..self.clone()
        }
    }
}
