//! Log targets, and the gate that keeps warnings from flooding a log.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::counter::Striped;

/// A target of `tracing` events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "rows of a table, made only here")]
pub struct Target {
    /// The name, as a filter names it. An interface: it changes with a major version.
    pub name: &'static str,
    /// The most severe level that it uses.
    pub level: Level,
    /// What it tells.
    pub meaning: &'static str,
}

/// The severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the levels of `tracing` are these")]
pub enum Level {
    /// Every acquire and release.
    Trace,
    /// Each connect, close, probe and retry.
    Debug,
    /// Start, stop, resize, a breaker that closed.
    Info,
    /// A trip, a slow acquire, a suspected leak, an exhausted retry.
    Warn,
    /// An operator must act.
    Error,
}

/// Every target of the project. No span is opened on the way of an acquire that finds an idle
/// connection; a span `pool.acquire` covers the one that must wait, connect or validate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "pool::acquire",
        level: Level::Warn,
        meaning: "slow and failed acquires; suspected leaks",
    },
    Target {
        name: "pool::connect",
        level: Level::Error,
        meaning: "connects and their errors",
    },
    Target {
        name: "pool::maintain",
        level: Level::Info,
        meaning: "closes with their reason, resizes, start and stop",
    },
    Target {
        name: "pool::metrics",
        level: Level::Info,
        meaning: "the periodic line of numbers",
    },
    Target {
        name: "breaker",
        level: Level::Error,
        meaning: "transitions with their cause; forced modes",
    },
    Target {
        name: "health",
        level: Level::Warn,
        meaning: "changes of a target's health",
    },
    Target {
        name: "retry",
        level: Level::Warn,
        meaning: "retries; calls that exhausted them",
    },
];

/// Lets one warning pass in each interval and counts the others. One for each pool and kind.
///
/// ```
/// use std::time::{Duration, Instant};
/// use pool_metrics::{Striped, WarningGate};
///
/// let suppressed = Striped::new();
/// let gate = WarningGate::new(Duration::from_secs(10));
/// let now = Instant::now();
/// assert_eq!(gate.admit(now, &suppressed), Some(0));
/// assert_eq!(gate.admit(now, &suppressed), None);
/// // The next line that passes says how many did not.
/// assert_eq!(gate.admit(now + Duration::from_secs(10), &suppressed), Some(1));
/// assert_eq!(suppressed.value(), 1);
/// ```
#[derive(Debug)]
pub struct WarningGate {
    interval: Duration,
    passed: Mutex<Option<Passed>>,
}

#[derive(Debug)]
struct Passed {
    at: Instant,
    suppressed_since: u64,
}

impl WarningGate {
    /// A gate that lets one warning pass in each `interval`; ten seconds is usual.
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            passed: Mutex::new(None),
        }
    }

    /// Whether a warning may be logged now; if so, how many were not since the last one. Those
    /// that may not are added to `suppressed`.
    pub fn admit(&self, now: Instant, suppressed: &Striped) -> Option<u64> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = passed.as_mut() {
            if now.saturating_duration_since(last.at) < self.interval {
                last.suppressed_since += 1;
                suppressed.increment();
                return None;
            }
        }
        let before = passed.replace(Passed {
            at: now,
            suppressed_since: 0,
        });
        Some(before.map_or(0, |before| before.suppressed_since))
    }
}
