//! The right to make one call, given back by telling how it ended.

use std::fmt;
use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

use crate::breaker::Breaker;
use crate::state::Outcome;
use crate::ticket::Stamp;

/// One admitted call of a [`Breaker`], as `Permit<&Breaker>` or `Permit<Arc<Breaker>>`.
///
/// Dropped untold, the call was cancelled: neither success nor failure. Dropped by a panic, it
/// failed; a panic that was there before the permit does not count.
#[must_use = "a permit dropped at once is a cancelled call"]
pub struct Permit<B: Deref<Target = Breaker>> {
    breaker: B,
    stamp: Stamp,
    /// Not told yet.
    live: bool,
    /// Its thread was unwinding when it was made: a destructor's call, which no panic of its own
    /// has ended if it is dropped.
    unwinding: bool,
}

impl<B: Deref<Target = Breaker>> Permit<B> {
    #[inline]
    pub(crate) fn new(breaker: B, stamp: Stamp) -> Self {
        Self {
            breaker,
            stamp,
            live: true,
            unwinding: thread::panicking(),
        }
    }

    /// Whether the breaker was degraded when it admitted the call: skip what is optional.
    #[must_use]
    pub const fn degraded(&self) -> bool {
        self.stamp.degraded()
    }

    /// The call did what it should.
    #[inline]
    pub fn success(self) {
        self.settle(Outcome::Success);
    }

    /// The call failed, and not for overload.
    #[inline]
    pub fn failure(self) {
        self.settle(Outcome::Failure);
    }

    /// The other side had too much to do, or did not answer in time.
    #[inline]
    pub fn overload(self) {
        self.settle(Outcome::Overload);
    }

    /// The call says nothing about the other side.
    #[inline]
    pub fn ignore(self) {
        self.settle(Outcome::Ignored);
    }

    // In the caller whole, the permit stays in registers: 128 instructions a call instead of 148.

    /// The call ended, now by the breaker's clock.
    #[inline(always)]
    pub fn settle(mut self, outcome: Outcome) {
        self.live = false;
        self.breaker
            .end(self.stamp, Some(outcome), || self.breaker.now());
    }

    /// The call ended at `now`.
    #[inline(always)]
    pub fn settle_at(mut self, outcome: Outcome, now: Instant) {
        self.live = false;
        self.breaker.end(self.stamp, Some(outcome), || now);
    }

    /// The call ended at `now`, and the server said when to come back. If the breaker opens, it
    /// stays open at least until then, within [`longest_hint`](crate::Config::longest_hint).
    pub fn settle_with_hint_at(mut self, outcome: Outcome, retry_after: Duration, now: Instant) {
        self.live = false;
        self.breaker
            .tell(self.stamp, Some(outcome), Some(retry_after), now);
    }

    /// [`settle_with_hint_at`](Self::settle_with_hint_at) by the breaker's clock.
    pub fn settle_with_hint(self, outcome: Outcome, retry_after: Duration) {
        let now = self.breaker.now();
        self.settle_with_hint_at(outcome, retry_after, now);
    }

    /// The call was given up at `now`; as dropping the permit, at the caller's time.
    pub fn cancel_at(mut self, now: Instant) {
        self.live = false;
        self.breaker.end(self.stamp, None, || now);
    }

    /// Not inlined, so that dropping a permit that was told is nothing.
    #[inline(never)]
    fn abandon(&self) {
        let panics = !self.unwinding && thread::panicking();
        let outcome = panics.then_some(Outcome::Failure);
        self.breaker.end(self.stamp, outcome, || self.breaker.now());
    }
}

impl<B: Deref<Target = Breaker>> Drop for Permit<B> {
    #[inline]
    fn drop(&mut self) {
        if self.live {
            self.abandon();
        }
    }
}

impl<B: Deref<Target = Breaker>> fmt::Debug for Permit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("degraded", &self.degraded())
            .finish_non_exhaustive()
    }
}
