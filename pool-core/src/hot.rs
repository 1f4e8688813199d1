//! The few numbers that the fast path reads.
//!
//! Each is written rarely, and by itself: nothing follows from two of them together.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::config::Config;
use crate::{Check, Stage, WhenSuspended};

/// What the fast path reads: written rarely, each number by itself.
#[derive(Debug)]
pub(crate) struct Hot {
    /// See [`check_ns`].
    check_ns: AtomicU64,
    pub(crate) max_uses: AtomicU64,
    pub(crate) generation: AtomicU64,
    /// Generations below this were cleared, not only swept.
    pub(crate) cleared: AtomicU64,
    /// The time at the last tick or queueing, from the pool's epoch.
    pub(crate) coarse_ns: AtomicU64,
    pub(crate) dead_in_a_row: AtomicU32,
    /// Validation timeouts in a row, and whether a connect has succeeded since the first.
    pub(crate) silent_in_a_row: AtomicU32,
    pub(crate) connected_since: AtomicBool,
    pub(crate) leak_report: AtomicBool,
    /// Leaks are reported, or the user has hooks for checkout or return.
    pub(crate) watched: AtomicBool,
    hooked: bool,
    acquire_ns: AtomicU64,
    wait_ns: AtomicU64,
    validate_ns: AtomicU64,
    reset_ns: AtomicU64,
    pub(crate) max_waiters: AtomicUsize,
    pub(crate) refuse_suspended: AtomicBool,
    pub(crate) checking: AtomicUsize,
    pub(crate) resetting: AtomicUsize,
}

impl Hot {
    pub(crate) fn new(config: &Config, hooked: bool) -> Self {
        let hot = Self {
            check_ns: AtomicU64::new(0),
            max_uses: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            coarse_ns: AtomicU64::new(0),
            dead_in_a_row: AtomicU32::new(0),
            silent_in_a_row: AtomicU32::new(0),
            connected_since: AtomicBool::new(false),
            leak_report: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            hooked,
            acquire_ns: AtomicU64::new(0),
            wait_ns: AtomicU64::new(0),
            validate_ns: AtomicU64::new(0),
            reset_ns: AtomicU64::new(0),
            max_waiters: AtomicUsize::new(0),
            refuse_suspended: AtomicBool::new(false),
            checking: AtomicUsize::new(0),
            resetting: AtomicUsize::new(0),
        };
        hot.configure(config);
        hot
    }

    pub(crate) fn configure(&self, config: &Config) {
        self.check_ns.store(check_ns(config.check), Relaxed);
        self.max_uses
            .store(config.max_uses.unwrap_or(u64::MAX), Relaxed);
        let leak_report = config.leak_report.is_some();
        self.leak_report.store(leak_report, Relaxed);
        self.watched.store(leak_report || self.hooked, Relaxed);
        let limits = [
            (&self.acquire_ns, config.acquire_timeout),
            (&self.wait_ns, config.wait_timeout),
            (&self.validate_ns, Some(config.validate_timeout)),
            (&self.reset_ns, Some(config.reset_timeout)),
        ];
        for (cell, limit) in limits {
            cell.store(limit.map_or(u64::MAX, nanos), Relaxed);
        }
        self.max_waiters.store(config.max_waiters, Relaxed);
        let refuse = config.when_suspended == WhenSuspended::Refuse;
        self.refuse_suspended.store(refuse, Relaxed);
    }

    pub(crate) fn check_ns(&self) -> u64 {
        self.check_ns.load(Relaxed)
    }

    pub(crate) fn acquire_timeout(&self) -> Option<Duration> {
        limit(&self.acquire_ns)
    }

    pub(crate) fn wait_timeout(&self) -> Option<Duration> {
        limit(&self.wait_ns)
    }

    /// The time for one reset or one check.
    pub(crate) fn work_timeout(&self, stage: Stage) -> Duration {
        let cell = if stage == Stage::Reset {
            &self.reset_ns
        } else {
            &self.validate_ns
        };
        limit(cell).expect("resets and checks have a limit")
    }
}

/// [`Check`] as a number: the nanoseconds of idleness after which it is due.
pub(crate) fn check_ns(check: Check) -> u64 {
    match check {
        Check::Always => ALWAYS_NS,
        Check::Never => NEVER_NS,
        Check::IdleFor(idle) => nanos(idle),
    }
}

pub(crate) const ALWAYS_NS: u64 = 0;
pub(crate) const NEVER_NS: u64 = u64::MAX;

fn limit(cell: &AtomicU64) -> Option<Duration> {
    Some(cell.load(Relaxed))
        .filter(|ns| *ns != u64::MAX)
        .map(Duration::from_nanos)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}
