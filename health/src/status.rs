//! What is believed of a target, as opposed to what the last probe said.

use crate::{Failure, Weight};

/// The belief about a target, ordered from best to worst apart from [`State::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum State {
    /// Not judged yet.
    Unknown,
    /// Serves.
    Up,
    /// Serves, less well than it should.
    Degraded,
    /// Wants no new work.
    Draining,
    /// Does not serve.
    Down,
}

impl State {
    /// Whether work may be sent there.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Up | Self::Degraded)
    }

    pub(crate) const fn weight(self) -> Weight {
        match self {
            Self::Up => Weight::FULL,
            Self::Degraded => Weight::HALF,
            Self::Unknown | Self::Draining | Self::Down => Weight::NONE,
        }
    }
}

/// All that is believed of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Status<R = ()> {
    /// The state.
    pub state: State,
    /// The share of work; [`Weight::NONE`] unless the state serves.
    pub weight: Weight,
    /// The part that the target plays, if any probe ever told.
    pub role: Option<R>,
}

impl<R> Status<R> {
    pub(crate) const UNKNOWN: Self = Self {
        state: State::Unknown,
        weight: Weight::NONE,
        role: None,
    };
}

/// A change of belief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change<R = ()> {
    /// What was believed.
    pub from: Status<R>,
    /// What is believed now.
    pub to: Status<R>,
    /// Why the probe that tipped the balance failed, if it did.
    pub failure: Option<Failure>,
}
