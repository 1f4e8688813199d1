//! A retry policy for `tower::retry`, with the delays and the budget of this crate.

use core::{fmt, pin::Pin};
use std::{boxed::Box, future::Future, sync::Arc, time::Instant};

use tower::retry::Policy as TowerPolicy;

use crate::{
    budget::{Budget, Cost},
    policy::Policy,
    rng::SplitMix64,
    session::{Admission, Hint, Session},
    sleep::Sleep,
};

/// What a result means for the retry and for the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is what was wanted: deposits.
    Success,
    /// It is not, and repeating would not help.
    Permanent,
    /// It may be repeated, at this cost and with regard to this hint.
    Retry(Cost, Hint),
}

/// Retries in a stack of `tower` services: give it to `tower::retry::RetryLayer`.
///
/// Requests are cloned for the repetition. Every request has delays of its own: the copies that
/// tower makes of a policy share the budget and nothing else.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?
/// #     .block_on(async {
/// use std::{io, sync::{Arc, atomic::{AtomicU16, Ordering}}};
///
/// use backoff::{
///     Budget, Cost, Hint, Policy, TokioSleep,
///     tower::{RetryPolicy, Verdict},
/// };
/// use tower::{ServiceExt, retry::Retry, service_fn};
///
/// let classify = |result: &Result<u16, io::Error>| match result {
///     Ok(503) => Verdict::Retry(Cost::Timeout, Hint::Silent),
///     Ok(_) => Verdict::Success,
///     Err(_) => Verdict::Retry(Cost::Failure, Hint::Silent),
/// };
/// let budget = Arc::new(Budget::default());
/// let policy = RetryPolicy::new(Policy::default(), TokioSleep, budget.clone(), classify);
///
/// let calls = Arc::new(AtomicU16::new(0));
/// let server = service_fn(move |_path: &'static str| {
///     let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
///     async move { Ok::<u16, io::Error>(status) }
/// });
/// assert_eq!(Retry::new(policy, server).oneshot("/").await?, 200);
/// assert_eq!(budget.balance(), 8.1);
/// # Ok::<(), io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct RetryPolicy<S, C> {
    policy: Policy,
    sleep: S,
    budget: Arc<Budget>,
    classify: C,
    started: Option<Instant>,
    session: Option<Session<SplitMix64>>,
}

impl<S, C> RetryPolicy<S, C> {
    /// Retries by `policy`, waiting by `sleep`, paying from `budget`, for results that `classify`
    /// finds worth it. A request is dated by the first call of the service it makes.
    pub fn new(policy: Policy, sleep: S, budget: Arc<Budget>, classify: C) -> Self {
        Self {
            policy,
            sleep,
            budget,
            classify,
            started: None,
            session: None,
        }
    }
}

impl<S, C, Req, Res, E> TowerPolicy<Req, Res, E> for RetryPolicy<S, C>
where
    S: Sleep + Clone + Send + 'static,
    C: FnMut(&Result<Res, E>) -> Verdict,
    Req: Clone,
{
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
        let (cost, hint) = match (self.classify)(result) {
            Verdict::Success => {
                self.budget.on_success();
                return None;
            }
            Verdict::Permanent => return None,
            Verdict::Retry(cost, hint) => (cost, hint),
        };
        let now = self.sleep.now();
        let session = self.session.get_or_insert_with(|| {
            Session::new(
                self.policy,
                SplitMix64::unique(),
                self.started.unwrap_or(now),
            )
        });
        let delay = session.on_failure(hint, Admission::Now, now).ok()?;
        let charge = self.budget.try_charge_owned(cost)?;
        let sleep = self.sleep.clone();
        Some(Box::pin(async move {
            sleep.sleep(delay).await;
            charge.commit();
        }))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        if self.session.is_none() {
            self.started = Some(self.sleep.now());
        }
        Some(request.clone())
    }
}

impl<S: Clone, C: Clone> Clone for RetryPolicy<S, C> {
    /// For another request: without what this one has been through.
    fn clone(&self) -> Self {
        Self {
            policy: self.policy,
            sleep: self.sleep.clone(),
            budget: Arc::clone(&self.budget),
            classify: self.classify.clone(),
            // tower clones the request first and then, for this very request, the policy.
            started: self.started,
            session: None,
        }
    }
}

impl<S, C> fmt::Debug for RetryPolicy<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("policy", &self.policy)
            .field("budget", &self.budget)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
