//! What a probe found out: a state, with a weight and a role.

use crate::State;

/// The result of one probe.
///
/// ```
/// use health::{DatabaseRole, Failure, Report, State, Weight};
///
/// let replica = Report::up().with_role(DatabaseRole::Replica);
/// let tired = Report::<DatabaseRole>::degraded().with_weight(Weight::percent(25));
/// let dead = Report::<DatabaseRole>::down(Failure::Connect);
/// assert_eq!(replica.weight(), Weight::FULL);
/// assert_eq!(tired.state(), State::Degraded);
/// assert_eq!(dead.failure(), Some(Failure::Connect));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<R = ()> {
    state: State,
    weight: Weight,
    role: Option<R>,
    failure: Option<Failure>,
}

impl<R> Report<R> {
    /// The target serves.
    #[must_use]
    pub const fn up() -> Self {
        Self::new(State::Up)
    }

    /// The target serves, but less well than it should; half the weight unless told otherwise.
    #[must_use]
    pub const fn degraded() -> Self {
        Self::new(State::Degraded)
    }

    /// The target asks for no new work.
    #[must_use]
    pub const fn draining() -> Self {
        Self::new(State::Draining)
    }

    /// The target does not serve.
    #[must_use]
    pub const fn down(failure: Failure) -> Self {
        Self {
            state: State::Down,
            weight: Weight::NONE,
            role: None,
            failure: Some(failure),
        }
    }

    /// Says how much work the target wants. Ignored for a target that takes none.
    #[must_use]
    pub const fn with_weight(mut self, weight: Weight) -> Self {
        if self.state.serves() {
            self.weight = weight;
        }
        self
    }

    /// Says what part the target plays. A target that is down may have a role too: sealed, say.
    #[must_use]
    pub fn with_role(self, role: R) -> Self {
        Self {
            role: Some(role),
            ..self
        }
    }

    /// The same in other words for the part that the target plays.
    ///
    /// ```
    /// use health::VaultRole;
    ///
    /// let report = VaultRole::Standby.report().map_role(|role| role == VaultRole::Active);
    /// assert_eq!(report.role(), Some(&false));
    /// ```
    #[must_use]
    pub fn map_role<S>(self, name: impl FnOnce(R) -> S) -> Report<S> {
        Report {
            state: self.state,
            weight: self.weight,
            role: self.role.map(name),
            failure: self.failure,
        }
    }

    /// The state found; never [`State::Unknown`].
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How much work the target wants.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// The part that the target plays, if the probe could tell.
    #[must_use]
    pub const fn role(&self) -> Option<&R> {
        self.role.as_ref()
    }

    /// Why the target is down, if it is.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    const fn new(state: State) -> Self {
        Self {
            state,
            weight: state.weight(),
            role: None,
            failure: None,
        }
    }
}

/// A share of the work that a target would get at full health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Weight(u8);

impl Weight {
    /// As much as any healthy target.
    pub const FULL: Self = Self(100);
    /// Half of that.
    pub const HALF: Self = Self(50);
    /// No work.
    pub const NONE: Self = Self(0);

    /// A share in percent; more than 100 counts as 100.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        if percent > 100 {
            return Self::FULL;
        }
        Self(percent)
    }

    /// The share in percent.
    #[must_use]
    pub const fn as_percent(self) -> u8 {
        self.0
    }
}

/// Why a probe failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// An answer that says no.
    Status,
    /// A well-formed answer from a target that cannot serve in its present role.
    Role,
    /// The probe itself panicked.
    Panic,
    /// Anything else.
    Other,
}
