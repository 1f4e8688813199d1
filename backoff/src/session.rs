//! One retry sequence as a pure machine: told of failures, it says whether and when to try again.
//!
//! The invariant: it never allows a delay that would end after the deadline, nor more attempts
//! than its policy has.

use core::{fmt, time::Duration};
use std::time::Instant;

use crate::{delays::Delays, policy::Policy, rng::Rng};

/// What the server said about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Nothing.
    #[default]
    Silent,
    /// Not before this span is over.
    After(Duration),
    /// Not at all.
    Never,
}

/// What a gate, such as a breaker, says about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// It may start.
    #[default]
    Now,
    /// It may start then at the earliest.
    NotBefore(Instant),
    /// It is not worth waiting for.
    Never,
}

/// Why there was no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The error is not worth a retry.
    Permanent,
    /// The server said not to try again.
    Hint,
    /// All attempts are used up.
    Attempts,
    /// The next delay would have ended after the deadline, or did.
    Deadline,
    /// The gate would not let a retry pass.
    Gate,
    /// The budget has no token left.
    Budget,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "the error is permanent",
            Self::Hint => "the server asked not to retry",
            Self::Attempts => "no attempt left",
            Self::Deadline => "no time left",
            Self::Gate => "the gate is shut",
            Self::Budget => "the retry budget is empty",
        })
    }
}

/// The decisions of one retry sequence, for a loop of your own; [`retry`](crate::retry) is the
/// loop that is ready to use.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use backoff::{Admission, Hint, Policy, Session, SplitMix64, Stop};
///
/// let start = Instant::now();
/// let mut session = Session::new(Policy::default(), SplitMix64::from_seed(1), start);
/// let now = start + Duration::from_millis(3);
/// let delay = session.on_failure(Hint::Silent, Admission::Now, now)?;
/// assert!(delay <= Duration::from_millis(50));
/// assert_eq!(session.on_failure(Hint::Never, Admission::Now, now), Err(Stop::Hint));
/// # Ok::<(), Stop>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session<R> {
    delays: Delays<R>,
    deadline: Option<Instant>,
}

impl<R: Rng> Session<R> {
    /// A sequence whose first attempt started at `started`.
    pub fn new(policy: Policy, rng: R, started: Instant) -> Self {
        Self {
            // A deadline past the end of time is none.
            deadline: policy
                .max_elapsed()
                .and_then(|span| started.checked_add(span)),
            delays: policy.delays_from(rng),
        }
    }

    /// Nothing waits beyond `deadline`, nor beyond the policy's own if that is earlier.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
        self
    }

    /// An attempt has failed: how long to wait before the next.
    ///
    /// The hint of a server is a lower end to which the policy's delay is *added*: a server that
    /// tells ten thousand clients "in 5 s" must not see them all in the same millisecond. The
    /// gate is waited for and no longer: it is one client's own and needs no spreading.
    ///
    /// # Errors
    /// There is to be no next attempt.
    pub fn on_failure(
        &mut self,
        hint: Hint,
        gate: Admission,
        now: Instant,
    ) -> Result<Duration, Stop> {
        let earliest = match hint {
            Hint::Silent => Duration::ZERO,
            Hint::After(span) => span,
            Hint::Never => return Err(Stop::Hint),
        };
        let drawn = Duration::from_nanos(self.delays.draw().ok_or(Stop::Attempts)?);
        let mut delay = earliest.saturating_add(drawn);
        match gate {
            Admission::Now => {}
            Admission::NotBefore(time) => delay = delay.max(time.saturating_duration_since(now)),
            Admission::Never => return Err(Stop::Gate),
        }
        let end = now.checked_add(delay);
        // A delay past the end of time is past any deadline, and without one not worth starting.
        if end.is_none_or(|end| self.deadline.is_some_and(|deadline| end > deadline)) {
            return Err(Stop::Deadline);
        }
        Ok(delay)
    }

    /// The delay is over: may the attempt start? The gate is asked a second time because it may
    /// have shut in the meantime; then there is no second wait.
    ///
    /// # Errors
    /// There is to be no next attempt.
    pub fn on_wake(&self, gate: Admission, now: Instant) -> Result<(), Stop> {
        if self.deadline.is_some_and(|deadline| now > deadline) {
            return Err(Stop::Deadline);
        }
        match gate {
            Admission::NotBefore(time) if time > now => Err(Stop::Gate),
            Admission::Never => Err(Stop::Gate),
            _ => Ok(()),
        }
    }
}
