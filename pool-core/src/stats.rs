//! What a pool is doing and what it has done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::latency::{Histogram, Latency};
use crate::{CloseReason, ErrorKind};

/// What a pool is doing now.
///
/// `idle + leased + connecting + checking + resetting + closing = size`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct State {
    /// Occupied slots.
    pub size: usize,
    /// The size that the pool may have; the maximum unless resized.
    pub target: usize,
    /// Connections that are ready to be lent.
    pub idle: usize,
    /// Connections that are lent, or offered to a caller who was woken for them.
    pub leased: usize,
    /// Connections being opened.
    pub connecting: usize,
    /// Connections being checked.
    pub checking: usize,
    /// Connections being reset, or waiting for it.
    pub resetting: usize,
    /// Connections being closed.
    pub closing: usize,
    /// Callers who wait.
    pub waiting: usize,
    /// The current generation.
    pub generation: u64,
    /// Whether lending is suspended.
    pub suspended: bool,
    /// Whether the pool is closed.
    pub closed: bool,
}

impl State {
    /// The share of the target that is lent, from 0 to 1 (above 1 after a shrink).
    pub fn utilisation(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        match self.target {
            0 => 0.0,
            target => self.leased as f64 / target as f64,
        }
    }
}

/// What a pool has done since it was built.
///
/// When nobody waits, `started = direct + waited + timed_out + cancelled + failed`, and
/// `created - closed` is the number of open connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Acquires begun.
    pub started: u64,
    /// Acquires served at once.
    pub direct: u64,
    /// Acquires served after waiting for something.
    pub waited: u64,
    /// Acquires that ran out of time.
    pub timed_out: u64,
    /// Acquires whose caller left.
    pub cancelled: u64,
    /// Acquires that failed otherwise.
    pub failed: u64,
    /// Connections opened or added.
    pub created: u64,
    /// Attempts to connect, failed ones included.
    pub connects: u64,
    /// Attempts to connect that failed.
    pub connect_errors: u64,
    /// Attempts to connect that ran out of time; part of the failed.
    pub connect_timeouts: u64,
    /// Connections that failed a check.
    pub validation_failures: u64,
    /// Generations swept after several dead connections in a row.
    pub sweeps: u64,
    /// Connections handed to callers who did not come for them.
    pub revoked: u64,
    /// Panics of the manager, hooks, gate or observer.
    pub panics: u64,
    /// The most connections lent at once, as seen at each tick and whenever somebody had to wait.
    pub peak_leased: u64,
    /// How long acquires took, those served at once being counted as zero. While many wait, only
    /// one wait in eight is measured and stands for the others.
    pub acquire: Latency,
    closed: [u64; CloseReason::ALL.len()],
}

impl Statistics {
    /// Connections that left the pool, for any reason.
    pub fn closed(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// Connections that left the pool for this reason.
    pub fn closed_for(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Acquires that succeeded.
    pub fn acquired(&self) -> u64 {
        self.direct + self.waited
    }
}

/// The acquires that were not served on the spot; kept under the ledger's lock, which they take
/// anyway.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) begun: u64,
    pub(crate) timed_out: u64,
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn fail(&mut self, kind: ErrorKind) {
        if matches!(kind, ErrorKind::Timeout(_)) {
            self.timed_out += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// The counters of everything that is not on the fast path.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) created: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connect_errors: AtomicU64,
    pub(crate) connect_timeouts: AtomicU64,
    pub(crate) validation_failures: AtomicU64,
    pub(crate) sweeps: AtomicU64,
    pub(crate) revoked: AtomicU64,
    acquire: Histogram,
    /// Waits since the last one whose time was measured.
    unmeasured: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            created: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            connect_errors: AtomicU64::new(0),
            connect_timeouts: AtomicU64::new(0),
            validation_failures: AtomicU64::new(0),
            sweeps: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            acquire: Histogram::new(),
            unmeasured: AtomicU64::new(0),
            closed: [const { AtomicU64::new(0) }; CloseReason::ALL.len()],
        }
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        add(&self.closed[reason as usize]);
    }

    /// An acquire that had to wait was served. One whose time was measured stands for those since
    /// the last such.
    pub(crate) fn waited(&self, took: Option<Duration>) {
        match took {
            Some(took) => {
                let others = self.unmeasured.swap(0, Relaxed);
                self.acquire.record(took, others + 1);
            }
            None => add(&self.unmeasured),
        }
    }

    pub(crate) fn snapshot(
        &self,
        direct: u64,
        tally: Tally,
        peak_leased: usize,
        panics: u64,
    ) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let acquire = self.acquire.snapshot(direct, read(&self.unmeasured));
        Statistics {
            started: direct + tally.begun,
            direct,
            waited: acquire.count() - direct,
            timed_out: tally.timed_out,
            cancelled: tally.cancelled,
            failed: tally.failed,
            created: read(&self.created),
            connects: read(&self.connects),
            connect_errors: read(&self.connect_errors),
            connect_timeouts: read(&self.connect_timeouts),
            validation_failures: read(&self.validation_failures),
            sweeps: read(&self.sweeps),
            revoked: read(&self.revoked),
            panics,
            peak_leased: peak_leased as u64,
            acquire,
            closed: std::array::from_fn(|i| read(&self.closed[i])),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
