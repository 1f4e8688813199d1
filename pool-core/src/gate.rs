//! When an attempt to connect may start: the seam for a breaker, and the pace kept without one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::runtime::Runtime;
use crate::sync::Mutex;
use crate::{Error, ErrorClass, ErrorKind, Manager, Pool};

/// Decides when an attempt to connect may start.
///
/// Fed by connects alone, never by what callers do with their connections. While it says no, idle
/// and returned connections are lent as ever. Called without any lock held.
pub trait ConnectGate: Send + Sync + 'static {
    /// Whether an attempt may start at `now`.
    ///
    /// Each [`Admission::Go`] is answered by one call of [`on_result`](Self::on_result).
    fn admit(&self, now: Instant) -> Admission;

    /// How an admitted attempt ended. One that was abandoned ends as
    /// [`ErrorClass::Transient`].
    fn on_result(&self, now: Instant, result: Result<(), ErrorClass>);
}

impl<G: ConnectGate + ?Sized> ConnectGate for Arc<G> {
    fn admit(&self, now: Instant) -> Admission {
        (**self).admit(now)
    }

    fn on_result(&self, now: Instant, result: Result<(), ErrorClass>) {
        (**self).on_result(now, result);
    }
}

/// What a [`ConnectGate`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Start one attempt.
    Go,
    /// Ask again at this time, or when an attempt has ended; those who wait go on waiting.
    NotBefore(Instant),
    /// Ask again at this time; those who wait are told the last error now.
    Refuse(Instant),
}

impl<M: Manager, R: Runtime> Pool<M, R> {
    /// Refuses an acquire in the name of a [`ConnectGate`] that is shut, for a caller who knows
    /// that without waiting in line: counts it among the failed ones, and gives the error with the
    /// latest failure to connect.
    pub fn refuse_connect(&self) -> Error<M::Error> {
        let core = self.core();
        let kind = ErrorKind::Connect;
        {
            let tally = &mut core.ledger.lock().tally;
            tally.begun += 1;
            tally.fail(kind);
        }
        let cause = core.last_error.lock().clone();
        core.error(kind, Duration::ZERO, cause)
    }
}

/// The pace of connecting without a breaker: one schedule for the whole pool, however many callers
/// wait.
///
/// While attempts succeed it does nothing but hold to the rate. After a failure there is one
/// attempt at a time, the next after a delay that doubles from 10 ms to 300 ms (500 ms when the
/// server is full, 1 s when the failure is permanent), of which the upper half is random ("equal
/// jitter"), so that many pools do not come back in step. For 30 s after the server said that it
/// is full, attempts stay single and 200 ms apart even when they succeed.
pub struct Pacing(Mutex<Pace>);

struct Pace {
    /// The least time between two attempts.
    interval: Duration,
    /// The earliest next attempt by the rate, and by the failures.
    by_rate: Option<Instant>,
    by_failure: Option<Instant>,
    failures: u32,
    /// Until then the server is taken to be full: successes do not quicken the pace.
    crowded_until: Option<Instant>,
    /// An attempt is under way while the last one failed.
    probing: bool,
    random: Random,
}

impl Pacing {
    /// At most `rate` attempts in a second, if given.
    pub fn new(rate: Option<u32>) -> Self {
        Self(Mutex::new(Pace {
            interval: interval(rate),
            by_rate: None,
            by_failure: None,
            failures: 0,
            crowded_until: None,
            probing: false,
            random: Random::new(),
        }))
    }
}

impl ConnectGate for Pacing {
    fn admit(&self, now: Instant) -> Admission {
        let mut pace = self.0.lock();
        let next = pace.by_rate.max(pace.by_failure);
        if let Some(next) = next.filter(|next| now < *next) {
            return Admission::NotBefore(next);
        }
        let crowded = pace.crowded_until.is_some_and(|until| now < until);
        if pace.failures > 0 || crowded {
            if pace.probing {
                // The attempt under way ends by its own timeout; that end is what is waited for.
                return Admission::NotBefore(now + LONGEST);
            }
            pace.probing = true;
        }
        let interval = if crowded {
            pace.interval.max(CROWDED)
        } else {
            pace.interval
        };
        pace.by_rate = Some(now + interval);
        Admission::Go
    }

    fn on_result(&self, now: Instant, result: Result<(), ErrorClass>) {
        let mut pace = self.0.lock();
        pace.probing = false;
        let Err(class) = result else {
            pace.failures = 0;
            pace.by_failure = None;
            return;
        };
        if class == ErrorClass::Overload {
            pace.crowded_until = Some(now + CROWDED_FOR);
        }
        // Attempts that fail together count as one: the first decides when the next may start.
        if pace.by_failure.is_some_and(|next| now < next) {
            return;
        }
        pace.failures = pace.failures.saturating_add(1);
        let ceiling = match class {
            ErrorClass::Permanent => LONGEST,
            ErrorClass::Overload => LONGEST / 2,
            _ => (SHORTEST * 2u32.saturating_pow(pace.failures - 1).min(1 << 10)).min(LONG),
        };
        let delay = ceiling / 2 + pace.random.up_to(ceiling / 2);
        pace.by_failure = Some(now + delay);
    }
}

impl fmt::Debug for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacing")
            .field("failures", &self.0.lock().failures)
            .finish()
    }
}

fn interval(rate: Option<u32>) -> Duration {
    rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1))
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(1);
/// The least time between two attempts while the server is taken to be full.
const CROWDED: Duration = Duration::from_millis(200);
/// For how long after a refusal a full server is taken to be full.
const CROWDED_FOR: Duration = Duration::from_secs(30);
