//! When a node may be connected to: one schedule for all who wait.
//!
//! The invariant: while the last attempt has failed, at most one attempt is under way, whatever the
//! number of callers. From the second failure on, or when an attempt takes longer than
//! [`PATIENCE`], those who wait are told the reason instead of waiting on. Nobody queues at a gate that is shut.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backoff::{Budget, Cost, Policy, Rng, SplitMix64};
use pool_core::{Admission, ConnectGate, ErrorClass};

use crate::random::generator;

/// The connect gate of one node.
pub(crate) struct Gate {
    pace: Mutex<Pace>,
    /// What quick attempts after a failure are charged to; a success deposits.
    budget: Budget,
    /// The last attempt failed. A copy, so that callers who find no connection idle in good times
    /// need no lock.
    failing: AtomicBool,
}

/// The machine behind the gate.
struct Pace {
    policy: Policy,
    random: SplitMix64,
    /// The least time between two attempts.
    interval: Duration,
    by_rate: Option<Instant>,
    by_failure: Option<Instant>,
    failures: u32,
    last: Option<ErrorClass>,
    /// Since when an attempt is under way while the last one failed.
    probing: Option<Instant>,
    /// Until then the server is taken to be full: successes do not quicken the pace.
    crowded_until: Option<Instant>,
}

impl Gate {
    /// At most `rate` attempts in a second, if given.
    pub(crate) fn new(policy: Policy, rate: Option<u32>) -> Self {
        Self {
            pace: Mutex::new(Pace {
                policy,
                random: generator(),
                interval: rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1)),
                by_rate: None,
                by_failure: None,
                failures: 0,
                last: None,
                probing: None,
                crowded_until: None,
            }),
            budget: Budget::builder().build().expect("the defaults are valid"),
            failing: AtomicBool::new(false),
        }
    }

    /// Whether callers are to be told the reason now: no attempt may start, and none that was
    /// begun lately is under way.
    pub(crate) fn is_shut(&self, now: impl FnOnce() -> Instant) -> bool {
        if !self.failing.load(Relaxed) {
            return false;
        }
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(pace.holds(now()), Some(Admission::Refuse(_)))
    }

    /// How many attempts in a row have failed.
    pub(crate) fn failures(&self) -> u32 {
        self.pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .failures
    }
}

impl ConnectGate for Gate {
    fn admit(&self, now: Instant) -> Admission {
        self.pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(now)
    }

    fn on_result(&self, now: Instant, result: Result<(), ErrorClass>) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        self.failing.store(result.is_err(), Relaxed);
        match result {
            Ok(()) => {
                pace.succeed();
                self.budget.on_success();
            }
            Err(class) => pace.fail(class, now, || self.budget.try_spend(Cost::Failure)),
        }
    }
}

impl Pace {
    fn admit(&mut self, now: Instant) -> Admission {
        if let Some(at) = self.by_rate.filter(|at| now < *at) {
            return Admission::NotBefore(at);
        }
        if let Some(not_now) = self.holds(now) {
            return not_now;
        }
        let crowded = self.is_crowded(now);
        if self.failures > 0 || crowded {
            self.probing = Some(now);
        }
        let interval = if crowded {
            self.interval.max(CROWDED)
        } else {
            self.interval
        };
        self.by_rate = Some(now + interval).filter(|_| !interval.is_zero());
        Admission::Go
    }

    /// What is answered on account of failures, unless an attempt may start.
    fn holds(&self, now: Instant) -> Option<Admission> {
        if self.failures == 0 && !self.is_crowded(now) {
            return None;
        }
        if let Some(at) = self.by_failure.filter(|at| now < *at) {
            let soon = at.saturating_duration_since(now) <= PATIENCE;
            return Some(self.hold(at, self.failures > 1 || !soon));
        }
        let patience = self.probing? + PATIENCE;
        Some(if now < patience {
            self.hold(patience, false)
        } else {
            // Its end will ask again; this is only for the case that nobody waits then.
            self.hold(now + LONGEST, true)
        })
    }

    fn is_crowded(&self, now: Instant) -> bool {
        self.crowded_until.is_some_and(|until| now < until)
    }

    /// Not now. A server that is merely full serves by the connections that it has: those who wait
    /// may go on waiting for them.
    fn hold(&self, at: Instant, tell: bool) -> Admission {
        if tell && self.last != Some(ErrorClass::Overload) {
            Admission::Refuse(at)
        } else {
            Admission::NotBefore(at)
        }
    }

    fn succeed(&mut self) {
        self.probing = None;
        self.failures = 0;
        self.by_failure = None;
        self.last = None;
    }

    fn fail(&mut self, class: ErrorClass, now: Instant, may_hurry: impl FnOnce() -> bool) {
        self.probing = None;
        self.last = Some(class);
        if class == ErrorClass::Overload {
            self.crowded_until = Some(now + CROWDED_FOR);
        }
        // Attempts that fail together count as one: the first decides when the next may start.
        if self.by_failure.is_some_and(|next| now < next) {
            return;
        }
        let attempt = match class {
            // The longest delay of the policy, and twice, for what does not pass so soon.
            ErrorClass::Permanent | ErrorClass::Overload => u32::MAX,
            _ if may_hurry() => self.failures,
            _ => u32::MAX,
        };
        self.failures = self.failures.saturating_add(1);
        let random = self.random.next_u64();
        let delay = self.policy.delay(attempt, Duration::ZERO, random);
        self.by_failure = Some(match class {
            ErrorClass::Permanent => now + delay * 3,
            ErrorClass::Overload => now + delay * 3 / 2,
            _ => now + delay,
        });
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Gate")
            .field("failures", &pace.failures)
            .field("last", &pace.last)
            .finish_non_exhaustive()
    }
}

/// How long those who wait are left waiting for an attempt after a failure.
const PATIENCE: Duration = Duration::from_millis(8);
const LONGEST: Duration = Duration::from_secs(1);
/// The least time between two attempts while the server is taken to be full.
const CROWDED: Duration = Duration::from_millis(200);
/// For how long after a refusal a full server is taken to be full.
const CROWDED_FOR: Duration = Duration::from_secs(30);
