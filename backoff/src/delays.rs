//! The delays of one retry sequence.

use core::{iter::FusedIterator, time::Duration};

use crate::{curve::nanoseconds, policy::Policy, rng::Rng};

/// An iterator of delays: one fewer than the attempts of its [`Policy`], and together not longer
/// than its [`max_elapsed`](Policy::max_elapsed). Once it has ended it stays ended.
///
/// ```
/// use std::time::Duration;
///
/// use backoff::{Jitter, Policy, SplitMix64};
///
/// let policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(10))
///     .jitter(Jitter::None)
///     .max_attempts(4)
///     .build()?;
/// let delays: Vec<u128> =
///     policy.delays_from(SplitMix64::from_seed(1)).map(|delay| delay.as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400]);
/// # Ok::<(), backoff::ConfigErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Delays<R> {
    policy: Policy,
    rng: R,
    /// Of the failed attempt to come, from 0; stays at the greatest number.
    attempt: u32,
    previous_ns: u64,
    /// What `max_elapsed` leaves; zero once the sequence has ended by it.
    left_ns: Option<u64>,
}

impl<R: Rng> Delays<R> {
    pub(crate) const fn new(policy: Policy, rng: R) -> Self {
        let left_ns = match policy.max_elapsed() {
            Some(span) => Some(nanoseconds(span)),
            None => None,
        };
        Self {
            policy,
            rng,
            attempt: 0,
            previous_ns: 0,
            left_ns,
        }
    }

    /// The next delay, whatever has elapsed.
    #[inline]
    pub(crate) fn draw(&mut self) -> Option<u64> {
        if self
            .policy
            .max_attempts()
            .is_some_and(|attempts| self.attempt >= attempts - 1)
        {
            return None;
        }
        let delay_ns = self
            .policy
            .delay_ns(self.attempt, self.previous_ns, self.rng.next_u64());
        self.attempt = self.attempt.saturating_add(1);
        self.previous_ns = delay_ns;
        Some(delay_ns)
    }
}

impl<R: Rng> Iterator for Delays<R> {
    type Item = Duration;

    #[inline]
    fn next(&mut self) -> Option<Duration> {
        if self.left_ns == Some(0) {
            return None;
        }
        let delay_ns = self.draw()?;
        if let Some(left_ns) = &mut self.left_ns {
            let Some(rest_ns) = left_ns.checked_sub(delay_ns) else {
                *left_ns = 0;
                return None;
            };
            *left_ns = rest_ns;
        }
        Some(Duration::from_nanos(delay_ns))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self
            .policy
            .max_attempts()
            .map(|attempts| (attempts - 1 - self.attempt) as usize);
        match (self.left_ns, most) {
            (None, Some(exactly)) => (exactly, Some(exactly)),
            (None, None) => (usize::MAX, None),
            (Some(_), most) => (0, most),
        }
    }
}

impl<R: Rng> FusedIterator for Delays<R> {}
