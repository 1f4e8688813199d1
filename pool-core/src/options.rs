//! What one acquire may ask for.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::Check;

/// What one acquire asks for beyond the pool's configuration.
///
/// ```
/// use std::time::Duration;
/// use pool_core::{Check, GetOptions};
///
/// let options = GetOptions::new().timeout(Duration::from_millis(250)).check(Check::Always);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct GetOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) wait_timeout: Option<Duration>,
    pub(crate) validate_timeout: Option<Duration>,
    pub(crate) reset_timeout: Option<Duration>,
    pub(crate) check: Option<Check>,
    pub(crate) site: Option<&'static Location<'static>>,
}

/// What limits the time of an acquire.
pub(crate) struct Limits<'a, T> {
    pub(crate) timer: &'a T,
    pub(crate) options: &'a GetOptions,
    /// When it first had to wait, if there is a time limit or the wait is measured.
    pub(crate) began: Option<Instant>,
}

impl<'a, T> Limits<'a, T> {
    pub(crate) fn new(timer: &'a T, options: &'a GetOptions) -> Self {
        Self {
            timer,
            options,
            began: None,
        }
    }
}

impl GetOptions {
    pub(crate) const DEFAULT: Self = Self {
        timeout: None,
        deadline: None,
        wait_timeout: None,
        validate_timeout: None,
        reset_timeout: None,
        check: None,
        site: None,
    };

    /// Asks for nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// When an acquire that begins at `now` ends, in a pool whose own time for it is `timeout`.
    pub fn deadline_from(&self, now: Instant, timeout: Option<Duration>) -> Option<Instant> {
        let timed = self
            .timeout
            .or(timeout)
            .and_then(|timeout| now.checked_add(timeout));
        [timed, self.deadline].into_iter().flatten().min()
    }

    /// Whether an acquire has to end at some time.
    pub(crate) fn is_limited(&self, timeout: Option<Duration>) -> bool {
        self.timeout.or(timeout).is_some() || self.deadline.is_some()
    }

    /// The time for the whole acquire, in place of the pool's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A point in time at which the acquire ends, if its timeout does not end it earlier.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// As [`deadline`](Self::deadline), unless an earlier one is set already.
    pub fn no_later_than(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
        self
    }

    /// The time for waiting in the queue, in place of the pool's.
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait_timeout = Some(timeout);
        self
    }

    /// The time for one check, in place of the pool's.
    pub fn validate_timeout(mut self, timeout: Duration) -> Self {
        self.validate_timeout = Some(timeout);
        self
    }

    /// The time for one reset, in place of the pool's.
    pub fn reset_timeout(mut self, timeout: Duration) -> Self {
        self.reset_timeout = Some(timeout);
        self
    }

    /// When to check the connection, in place of the pool's setting.
    pub fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// The place that reports of leaks and nested acquires name, in place of the caller; for those
    /// who acquire on behalf of others.
    pub fn site(mut self, site: &'static Location<'static>) -> Self {
        self.site = Some(site);
        self
    }
}
