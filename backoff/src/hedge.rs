//! A second attempt while the first is slow.

use core::{fmt, pin::pin, task::Poll};
use std::{
    future::{Future, poll_fn},
    time::{Duration, Instant},
};

use crate::{
    budget::{Budget, Cost},
    session::Admission,
    sleep::Sleep,
};

/// A hedge: if the first attempt has no result after `after`, a second starts beside it, and the
/// first success of either ends both. The loser is cancelled by dropping it.
///
/// For idempotent work alone. Take for `after` a fixed span or the 95th percentile of the
/// operation's latency: then one call in twenty is doubled, and only its slow tail is cut. The
/// budget pays for the second attempt, so that a system which is slow everywhere is not doubled.
///
/// A failure before `after` is returned as it is: what failed is retried, what is slow is hedged.
///
/// ```
/// use std::time::Duration;
///
/// use backoff::{Budget, hedge};
///
/// # #[cfg(feature = "tokio")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?
/// #     .block_on(async {
/// let budget = Budget::default();
/// let mut delays = [Duration::from_secs(60), Duration::from_millis(5)].into_iter();
/// let answer = hedge(Duration::from_millis(20), &budget)
///     .run(|| {
///         let delay = delays.next().unwrap();
///         async move {
///             tokio::time::sleep(delay).await;
///             Ok::<_, std::io::Error>(delay)
///         }
///     })
///     .await;
/// assert_eq!(answer.unwrap(), Duration::from_millis(5));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn hedge(after: Duration, budget: &Budget) -> Hedge<'_> {
    Hedge {
        after,
        budget,
        deposits: true,
        gate: |_| Admission::Now,
    }
}

/// What [`hedge`] returns.
#[must_use = "a hedge does nothing until run"]
pub struct Hedge<'b, G = fn(Instant) -> Admission> {
    after: Duration,
    budget: &'b Budget,
    deposits: bool,
    gate: G,
}

impl<'b, G: FnMut(Instant) -> Admission> Hedge<'b, G> {
    /// Asks something, such as a breaker, before the second attempt; anything but
    /// [`Admission::Now`] prevents it.
    pub fn gate<G2: FnMut(Instant) -> Admission>(self, gate: G2) -> Hedge<'b, G2> {
        let Self {
            after,
            budget,
            deposits,
            ..
        } = self;
        Hedge {
            after,
            budget,
            deposits,
            gate,
        }
    }

    /// A success deposits nothing: for a hedge inside a retry on the same budget, where the retry
    /// deposits.
    pub fn without_deposit(mut self) -> Self {
        self.deposits = false;
        self
    }

    /// Runs `operation` once or twice, waiting on Tokio.
    ///
    /// # Errors
    /// What the only attempt failed with, or the later failure of two.
    #[cfg(feature = "tokio")]
    pub async fn run<T, E, F, Fut>(self, operation: F) -> Result<T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_with(&crate::TokioSleep, operation).await
    }

    /// Runs `operation` once or twice, waiting by `sleep`. Dropping the future cancels all of it.
    ///
    /// # Errors
    /// What the only attempt failed with, or the later failure of two.
    pub async fn run_with<T, E, S, F, Fut>(mut self, sleep: &S, mut operation: F) -> Result<T, E>
    where
        S: Sleep,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut attempts = [pin!(Some(operation())), pin!(None)];
        let mut timer = pin!(Some(sleep.sleep(self.after)));
        let result = poll_fn(|context| {
            loop {
                for index in 0..attempts.len() {
                    let Some(running) = attempts[index].as_mut().as_pin_mut() else {
                        continue;
                    };
                    let Poll::Ready(result) = running.poll(context) else {
                        continue;
                    };
                    attempts[index].set(None);
                    if result.is_ok() || attempts.iter().all(|attempt| attempt.is_none()) {
                        return Poll::Ready(result);
                    }
                }
                let Some(waiting) = timer.as_mut().as_pin_mut() else {
                    return Poll::Pending;
                };
                if waiting.poll(context).is_pending() {
                    return Poll::Pending;
                }
                timer.set(None);
                if (self.gate)(sleep.now()) != Admission::Now
                    || !self.budget.try_spend(Cost::Failure)
                {
                    return Poll::Pending;
                }
                attempts[1].set(Some(operation()));
            }
        })
        .await;
        if result.is_ok() && self.deposits {
            self.budget.on_success();
        }
        result
    }
}

impl<G> fmt::Debug for Hedge<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("after", &self.after)
            .field("budget", &self.budget)
            .field("deposits", &self.deposits)
            .finish_non_exhaustive()
    }
}
