//! What one call may ask for.

use std::panic::Location;
use std::time::{Duration, Instant};

use pool_core::GetOptions;

use crate::balance::Access;
use crate::judge::{By, ByPool};

/// What one [`run`](crate::Pool::run_with) or [`get`](crate::Pool::get_with) asks for beyond the
/// pool's configuration.
///
/// ```
/// use std::time::Duration;
/// use pool_facade::CallOptions;
///
/// let options = CallOptions::new().read_only().timeout(Duration::from_millis(250));
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CallOptions<J = ByPool> {
    pub(crate) acquire: GetOptions,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) read_only: bool,
    pub(crate) idempotent: bool,
    pub(crate) judge: J,
}

impl CallOptions {
    /// Asks for nothing special: a node that takes writes, no repetition of what may have been
    /// done, errors judged by the pool.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<J> CallOptions<J> {
    /// The place that reports of leaks name.
    pub(crate) fn at(mut self, site: &'static Location<'static>) -> Self {
        self.acquire = self.acquire.site(site);
        self
    }

    /// Whether the call ends at a time of its own.
    pub(crate) fn is_timed(&self) -> bool {
        self.timeout.is_some() || self.deadline.is_some()
    }

    pub(crate) fn access(&self) -> Access {
        if self.read_only {
            Access::Read
        } else {
            Access::Write
        }
    }

    /// How to acquire each attempt's connection. The time of the whole call limits it too.
    pub fn acquire(mut self, options: GetOptions) -> Self {
        self.acquire = options;
        self
    }

    /// The time for the whole call: all attempts and the delays between them. When it is over in
    /// the middle of an operation, that is dropped. Default: none but that of each acquire.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A point in time at which the call ends, if its timeout does not end it earlier.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The most attempts, the first included, in place of the pool's.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// The operation only reads: replicas may serve it, and it may be repeated.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self.idempotent = true;
        self
    }

    /// Doing the operation twice is as good as once, so it may be tried again even when nobody
    /// knows whether it was done.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Judges the operation's errors, of any type, in place of the pool.
    pub fn judge<E, F>(self, judge: F) -> CallOptions<By<F>>
    where
        F: Fn(&E) -> crate::Judgement + Send + Sync,
    {
        CallOptions {
            acquire: self.acquire,
            timeout: self.timeout,
            deadline: self.deadline,
            max_attempts: self.max_attempts,
            read_only: self.read_only,
            idempotent: self.idempotent,
            judge: By(judge),
        }
    }
}
