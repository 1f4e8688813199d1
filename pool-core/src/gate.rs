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
/// attempt at a time, the next after a delay that doubles from 10 ms to 80 ms, and after seven
/// failures, when it is no mere restart, on to 320 ms (500 ms when the server is full, 1 s when the
/// failure is permanent). Of the delay the upper half is random ("equal jitter"), so that many
/// pools do not come back in step. For 30 s after the server said that it
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
            _ => {
                let doublings = match pace.failures - 1 {
                    few @ ..RESTART => few.min(3),
                    many => many - RESTART + 4,
                };
                (SHORTEST * 2u32.saturating_pow(doublings)).min(LONG)
            }
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
/// How many attempts go by before a server is taken to be away for longer than a restart takes;
/// with their delays, a third of a second.
const RESTART: u32 = 7;
const LONG: Duration = Duration::from_millis(320);
const LONGEST: Duration = Duration::from_secs(1);
/// The least time between two attempts while the server is taken to be full.
const CROWDED: Duration = Duration::from_millis(200);
/// For how long after a refusal a full server is taken to be full.
const CROWDED_FOR: Duration = Duration::from_secs(30);

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;
    use crate::runtime::{Timer, Tokio};

    fn now() -> Instant {
        Tokio::default().now()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// When the next attempt may start, which is in that many milliseconds after a failure.
    fn after(pacing: &Pacing, now: Instant, wait: RangeInclusive<u64>) -> Instant {
        let Admission::NotBefore(next) = pacing.admit(now) else {
            panic!("an attempt may start right after a failure");
        };
        let span = ms(*wait.start())..=ms(*wait.end());
        assert!(span.contains(&(next - now)), "{:?}", next - now);
        next
    }

    #[test]
    fn while_attempts_succeed_only_the_rate_holds_them_back() {
        let now = now();
        for (rate, interval) in [(None, ms(0)), (Some(10), ms(100)), (Some(1), ms(1000))] {
            let pacing = Pacing::new(rate);
            for attempt in 0..3 {
                let due = now + interval * attempt;
                if rate.is_some() && attempt > 0 {
                    let early = due - Duration::from_nanos(1);
                    assert_eq!(pacing.admit(early), Admission::NotBefore(due));
                }
                assert_eq!(pacing.admit(due), Admission::Go, "{rate:?}");
            }
        }
    }

    #[test]
    fn after_a_failure_there_is_one_attempt_at_a_time_until_one_succeeds() {
        let (now, pacing) = (now(), Pacing::new(None));
        pacing.on_result(now, Err(ErrorClass::Transient));
        let next = after(&pacing, now, 5..=10);
        assert_eq!(pacing.admit(next), Admission::Go);
        assert_eq!(pacing.admit(next), Admission::NotBefore(next + ms(1000)));
        pacing.on_result(next, Ok(()));
        assert_eq!(pacing.admit(next), Admission::Go);
        assert_eq!(pacing.admit(next), Admission::Go);
    }

    #[test]
    fn the_delay_doubles_with_each_failure_up_to_what_its_class_allows() {
        let short = [10, 20, 40, 80, 80, 80, 80, 160, 320, 320];
        let table = [
            (ErrorClass::Transient, short),
            (ErrorClass::Broken, short),
            (ErrorClass::Overload, [500; 10]),
            (ErrorClass::Permanent, [1000; 10]),
        ];
        for (class, ceilings) in table {
            let (mut now, pacing) = (now(), Pacing::new(None));
            for ceiling in ceilings {
                pacing.on_result(now, Err(class));
                now = after(&pacing, now, ceiling / 2..=ceiling);
                assert_eq!(pacing.admit(now), Admission::Go, "{class:?}");
            }
            for _ in 0..100 {
                pacing.on_result(now, Err(class));
                now = after(&pacing, now, ceilings[9] / 2..=ceilings[9]);
            }
        }
    }

    #[test]
    fn attempts_that_fail_together_count_as_one() {
        let (now, pacing) = (now(), Pacing::new(None));
        pacing.on_result(now, Err(ErrorClass::Transient));
        let next = after(&pacing, now, 5..=10);
        pacing.on_result(now, Err(ErrorClass::Transient));
        pacing.on_result(next - Duration::from_nanos(1), Err(ErrorClass::Permanent));
        assert_eq!(pacing.admit(now), Admission::NotBefore(next));
        pacing.on_result(next, Err(ErrorClass::Transient));
        after(&pacing, next, 10..=20);
    }

    #[test]
    fn for_half_a_minute_after_it_was_full_a_server_is_asked_by_one_at_a_time_and_seldom() {
        for (rate, interval) in [(None, ms(200)), (Some(1), ms(1000))] {
            let (full, pacing) = (now(), Pacing::new(rate));
            pacing.on_result(full, Err(ErrorClass::Overload));
            pacing.on_result(full, Ok(()));
            assert_eq!(pacing.admit(full), Admission::Go);
            let next = full + interval;
            assert_eq!(pacing.admit(full), Admission::NotBefore(next));
            assert_eq!(pacing.admit(next), Admission::NotBefore(next + ms(1000)));
            pacing.on_result(next, Ok(()));
            assert_eq!(pacing.admit(next), Admission::Go);
        }
        let (full, pacing) = (now(), Pacing::new(None));
        pacing.on_result(full, Err(ErrorClass::Overload));
        pacing.on_result(full, Ok(()));
        let over = full + Duration::from_secs(30);
        assert_eq!(pacing.admit(over), Admission::Go);
        assert_eq!(pacing.admit(over), Admission::Go);
    }

    #[test]
    fn the_failures_so_far_show() {
        let (now, pacing) = (now(), Pacing::new(None));
        pacing.on_result(now, Err(ErrorClass::Transient));
        assert_eq!(format!("{pacing:?}"), "Pacing { failures: 1 }");
    }

    #[test]
    fn a_shared_gate_learns_what_its_pools_learn() {
        let (now, pacing) = (now(), Arc::new(Pacing::new(None)));
        ConnectGate::on_result(&pacing, now, Err(ErrorClass::Transient));
        let next = after(&pacing, now, 5..=10);
        assert_eq!(ConnectGate::admit(&pacing, now), Admission::NotBefore(next));
    }
}
