//! The retry loop, sync and async: the shell around [`Session`].
//!
//! The invariant: nothing outlives the loop. A retry future dropped at any point has spent tokens
//! for attempts that began and for nothing else.

use core::{fmt, marker::PhantomData};
use std::{
    error::Error,
    future::Future,
    time::{Duration, Instant},
};

use crate::{
    budget::{Budget, Charge, Cost},
    clock::ThreadSleep,
    policy::Policy,
    rng::SplitMix64,
    session::{Admission, Hint, Session, Stop},
    sleep::{BlockingSleep, Sleep},
};

/// A retry by `policy` of an operation that fails with `E`, to be refined and then run.
///
/// ```
/// use std::{io, time::Duration};
///
/// use backoff::{Budget, Policy, retry};
///
/// static BUDGET: Budget = match Budget::builder().build() {
///     Ok(budget) => budget,
///     Err(_) => panic!("the budget is valid"),
/// };
/// let policy = Policy::exponential(Duration::from_micros(50), Duration::from_millis(1)).build()?;
///
/// let mut answers = [Err(io::Error::from(io::ErrorKind::TimedOut)), Ok("done")].into_iter();
/// let answer = retry(policy)
///     .when(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut)
///     .notify(|error, delay| eprintln!("{error}, again in {delay:?}"))
///     .budget(&BUDGET)
///     .run_blocking(|| answers.next().unwrap())?;
/// assert_eq!(answer, "done");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn retry<'b, E>(policy: Policy) -> Retry<'b, E> {
    Retry {
        terms: Terms {
            policy,
            seed: None,
            deadline: None,
            budget: None,
        },
        when: |_| true,
        hint: |_| Hint::Silent,
        cost: |_| Cost::Failure,
        notify: |_, _| {},
        gate: |_| Admission::Now,
        error: PhantomData,
    }
}

/// What [`retry`] returns. Each setting replaces what was set before.
#[must_use = "a retry does nothing until run"]
pub struct Retry<
    'b,
    E,
    W = fn(&E) -> bool,
    H = fn(&E) -> Hint,
    C = fn(&E) -> Cost,
    N = fn(&E, Duration),
    G = fn(Instant) -> Admission,
> {
    terms: Terms<'b>,
    when: W,
    hint: H,
    cost: C,
    notify: N,
    gate: G,
    error: PhantomData<fn(&E)>,
}

#[derive(Clone, Copy, Debug)]
struct Terms<'b> {
    policy: Policy,
    seed: Option<u64>,
    deadline: Option<Instant>,
    budget: Option<&'b Budget>,
}

impl<'b, E, W, H, C, N, G> Retry<'b, E, W, H, C, N, G> {
    /// Which errors are worth a retry; all if not set.
    pub fn when<W2: FnMut(&E) -> bool>(self, when: W2) -> Retry<'b, E, W2, H, C, N, G> {
        let Self {
            terms,
            hint,
            cost,
            notify,
            gate,
            error,
            ..
        } = self;
        Retry {
            terms,
            when,
            hint,
            cost,
            notify,
            gate,
            error,
        }
    }

    /// What the server said about trying again, read from its error.
    pub fn hint<H2: FnMut(&E) -> Hint>(self, hint: H2) -> Retry<'b, E, W, H2, C, N, G> {
        let Self {
            terms,
            when,
            cost,
            notify,
            gate,
            error,
            ..
        } = self;
        Retry {
            terms,
            when,
            hint,
            cost,
            notify,
            gate,
            error,
        }
    }

    /// What a retry after this error costs the budget; [`Cost::Failure`] if not set.
    pub fn cost<C2: FnMut(&E) -> Cost>(self, cost: C2) -> Retry<'b, E, W, H, C2, N, G> {
        let Self {
            terms,
            when,
            hint,
            notify,
            gate,
            error,
            ..
        } = self;
        Retry {
            terms,
            when,
            hint,
            cost,
            notify,
            gate,
            error,
        }
    }

    /// Is called before each wait, with the error and the length of the wait.
    pub fn notify<N2: FnMut(&E, Duration)>(self, notify: N2) -> Retry<'b, E, W, H, C, N2, G> {
        let Self {
            terms,
            when,
            hint,
            cost,
            gate,
            error,
            ..
        } = self;
        Retry {
            terms,
            when,
            hint,
            cost,
            notify,
            gate,
            error,
        }
    }

    /// Asks something, such as a breaker, before each wait and again after it. It must only tell,
    /// not take a permit: an answer may go unused. The first attempt is made unasked.
    pub fn gate<G2: FnMut(Instant) -> Admission>(self, gate: G2) -> Retry<'b, E, W, H, C, N, G2> {
        let Self {
            terms,
            when,
            hint,
            cost,
            notify,
            error,
            ..
        } = self;
        Retry {
            terms,
            when,
            hint,
            cost,
            notify,
            gate,
            error,
        }
    }

    /// No wait ends after `deadline`. An attempt that is under way is not cut short by it.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.terms.deadline = Some(deadline);
        self
    }

    /// Retries are paid from `budget`, and a success deposits there.
    pub fn budget(mut self, budget: &'b Budget) -> Self {
        self.terms.budget = Some(budget);
        self
    }

    /// Draws delays from `seed`, for a test; from a seed of its own if not set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.terms.seed = Some(seed);
        self
    }
}

impl<E, W, H, C, N, G> Retry<'_, E, W, H, C, N, G>
where
    W: FnMut(&E) -> bool,
    H: FnMut(&E) -> Hint,
    C: FnMut(&E) -> Cost,
    N: FnMut(&E, Duration),
    G: FnMut(Instant) -> Admission,
{
    /// Runs `operation` until it succeeds or there is to be no further attempt, waiting on Tokio.
    /// Dropping the future cancels the attempt or the wait, and costs the budget no token for an
    /// attempt that had not begun.
    ///
    /// # Errors
    /// The last error, and why it was the last.
    #[cfg(feature = "tokio")]
    pub async fn run<T, F, Fut>(self, operation: F) -> Result<T, RetryError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_with(&crate::TokioSleep, operation).await
    }

    /// Like `run`, waiting by `sleep`.
    ///
    /// # Errors
    /// The last error, and why it was the last.
    pub async fn run_with<T, S, F, Fut>(
        self,
        sleep: &S,
        mut operation: F,
    ) -> Result<T, RetryError<E>>
    where
        S: Sleep,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut course = Course::new(self, sleep.now());
        loop {
            let error = match operation().await {
                Ok(value) => return Ok(course.on_success(value)),
                Err(error) => error,
            };
            let pause = course.on_failure(error, sleep.now())?;
            sleep.sleep(pause.delay).await;
            course.on_wake(pause, sleep.now())?;
        }
    }

    /// Runs `operation` on this thread until it succeeds or there is to be no further attempt.
    ///
    /// # Errors
    /// The last error, and why it was the last.
    pub fn run_blocking<T>(
        self,
        operation: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RetryError<E>> {
        self.run_blocking_with(&ThreadSleep, operation)
    }

    /// Like [`run_blocking`](Self::run_blocking), waiting by `sleep`.
    ///
    /// # Errors
    /// The last error, and why it was the last.
    pub fn run_blocking_with<T, S: BlockingSleep>(
        self,
        sleep: &S,
        mut operation: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RetryError<E>> {
        let mut course = Course::new(self, sleep.now());
        loop {
            let error = match operation() {
                Ok(value) => return Ok(course.on_success(value)),
                Err(error) => error,
            };
            let pause = course.on_failure(error, sleep.now())?;
            sleep.sleep(pause.delay);
            course.on_wake(pause, sleep.now())?;
        }
    }
}

/// What both loops do between their attempts and waits.
struct Course<'b, E, W, H, C, N, G> {
    retry: Retry<'b, E, W, H, C, N, G>,
    started: Instant,
    attempts: u32,
    /// From the first failure on: most operations succeed at once and need no seed.
    session: Option<Session<SplitMix64>>,
}

/// A wait, and what is at stake in it.
struct Pause<'b, E> {
    delay: Duration,
    charge: Option<Charge<&'b Budget>>,
    error: E,
}

impl<'b, E, W, H, C, N, G> Course<'b, E, W, H, C, N, G>
where
    W: FnMut(&E) -> bool,
    H: FnMut(&E) -> Hint,
    C: FnMut(&E) -> Cost,
    N: FnMut(&E, Duration),
    G: FnMut(Instant) -> Admission,
{
    fn new(retry: Retry<'b, E, W, H, C, N, G>, started: Instant) -> Self {
        Self {
            retry,
            started,
            attempts: 0,
            session: None,
        }
    }

    fn on_success<T>(&self, value: T) -> T {
        if let Some(budget) = self.retry.terms.budget {
            budget.on_success();
        }
        value
    }

    fn on_failure(&mut self, error: E, now: Instant) -> Result<Pause<'b, E>, RetryError<E>> {
        self.attempts = self.attempts.saturating_add(1);
        match self.plan(&error, now) {
            Ok((delay, charge)) => {
                (self.retry.notify)(&error, delay);
                Ok(Pause {
                    delay,
                    charge,
                    error,
                })
            }
            Err(stop) => Err(self.give_up(error, stop, now)),
        }
    }

    fn on_wake(&mut self, pause: Pause<'b, E>, now: Instant) -> Result<(), RetryError<E>> {
        let gate = (self.retry.gate)(now);
        match self
            .session
            .as_ref()
            .map_or(Ok(()), |session| session.on_wake(gate, now))
        {
            Ok(()) => {
                if let Some(charge) = pause.charge {
                    charge.commit();
                }
                Ok(())
            }
            Err(stop) => Err(self.give_up(pause.error, stop, now)),
        }
    }

    /// The budget comes last, so that nothing is taken for a retry that something else forbids.
    fn plan(
        &mut self,
        error: &E,
        now: Instant,
    ) -> Result<(Duration, Option<Charge<&'b Budget>>), Stop> {
        let Retry {
            terms,
            when,
            hint,
            cost,
            gate,
            ..
        } = &mut self.retry;
        if !when(error) {
            return Err(Stop::Permanent);
        }
        let session = self.session.get_or_insert_with(|| {
            let rng = terms
                .seed
                .map_or_else(SplitMix64::unique, SplitMix64::from_seed);
            let session = Session::new(terms.policy, rng, self.started);
            match terms.deadline {
                Some(deadline) => session.deadline(deadline),
                None => session,
            }
        });
        let delay = session.on_failure(hint(error), gate(now), now)?;
        let charge = match terms.budget {
            Some(budget) => Some(budget.try_charge(cost(error)).ok_or(Stop::Budget)?),
            None => None,
        };
        Ok((delay, charge))
    }

    fn give_up(&self, error: E, stop: Stop, now: Instant) -> RetryError<E> {
        let elapsed = now.saturating_duration_since(self.started);
        RetryError {
            error,
            attempts: self.attempts,
            elapsed,
            stop,
        }
    }
}

/// The last error of a retry, and how it came to be the last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryError<E> {
    /// What the last attempt failed with.
    pub error: E,
    /// How many attempts were made.
    pub attempts: u32,
    /// From the start of the first attempt to the end.
    pub elapsed: Duration,
    /// Why there was no further attempt.
    pub stop: Stop,
}

impl<E> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attempts,
            elapsed,
            stop,
            ..
        } = self;
        let plural = if *attempts == 1 { "" } else { "s" };
        write!(
            f,
            "gave up after {attempts} attempt{plural} in {elapsed:?}: {stop}"
        )
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl<E, W, H, C, N, G> fmt::Debug for Retry<'_, E, W, H, C, N, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}
