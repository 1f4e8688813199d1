//! Why a call was not admitted, and when to come back.

use std::error;
use std::fmt;
use std::time::Duration;

/// A call was refused; it has not been made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The breaker is open.
    Open {
        /// What is left of the open time; then probing starts.
        retry_after: Duration,
    },
    /// All probes are under way.
    ProbesBusy {
        /// Their verdict is known by then at the latest.
        retry_after: Duration,
    },
    /// As many calls are in flight as the backend is trusted with.
    Limited {
        /// The interval at which the limit reacts.
        retry_after: Duration,
    },
    /// An operator forced the breaker open.
    Forced,
}

impl Rejected {
    /// When to come back; `None` when nobody can know.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match *self {
            Self::Open { retry_after }
            | Self::ProbesBusy { retry_after }
            | Self::Limited { retry_after } => Some(retry_after),
            Self::Forced => None,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { retry_after } => write!(f, "breaker is open for {retry_after:?}"),
            Self::ProbesBusy { .. } => f.write_str("breaker is half-open and its probes are busy"),
            Self::Limited { .. } => f.write_str("breaker is degraded and its limit is reached"),
            Self::Forced => f.write_str("breaker is forced open"),
        }
    }
}

impl error::Error for Rejected {}

/// Why a guarded call has no value.
#[expect(
    clippy::exhaustive_enums,
    reason = "refused before or failed within: there is no third"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The call was not made.
    Rejected(Rejected),
    /// The call was made and failed with this.
    Failed(E),
}

impl<E> From<Rejected> for Error<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(_) => f.write_str("call refused"),
            Self::Failed(_) => f.write_str("call failed"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Failed(error) => Some(error),
        }
    }
}
