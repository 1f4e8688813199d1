//! What all handles and calls of a pool share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use breaker::{Breaker, Permit};
use pool_core::runtime::Runtime;
use pool_core::{Manager, Pooled};
use pool_metrics::Registration;

use crate::CallOptions;
use crate::balance::{self, Board, Flight};
use crate::control::Control;
use crate::discover::AnyDiscover;
use crate::hooks::Hooks;
use crate::judge::Judgement;
use crate::node::{Tagged, Vital};
use crate::observe::OnEvent;
use crate::plan::Plan;
use crate::probe::AskNode;

/// The heart of a pool; dropped with its last handle, and with it the nodes.
pub(crate) struct Shared<M: Manager, R: Runtime> {
    pub(crate) name: Arc<str>,
    /// Where the caller stands.
    pub(crate) zone: Option<String>,
    pub(crate) runtime: R,
    /// Read by every call, replaced as a whole.
    pub(crate) plan: ArcSwap<Plan<M, R>>,
    pub(crate) board: Arc<Board>,
    pub(crate) judge: Option<JudgeError<M::Error>>,
    /// How nodes are probed, in place of the manager's check.
    pub(crate) ask: Option<AskNode<M::Connection>>,
    pub(crate) discover: Option<Arc<dyn AnyDiscover<M>>>,
    pub(crate) hooks: Hooks<M>,
    pub(crate) retries: Retries,
    pub(crate) watch: Watch,
    /// Keeps the pool in a registry of metrics.
    pub(crate) registration: OnceLock<Registration>,
    pub(crate) control: Control,
    pub(crate) closed: AtomicBool,
}

/// Who is told what happens.
#[derive(Default)]
pub(crate) struct Watch {
    /// Numbers are counted for a registry.
    pub(crate) metrics: bool,
    /// What the nodes are, in a registry's words.
    pub(crate) kind: Option<String>,
    pub(crate) on_event: Option<OnEvent>,
}

pub(crate) type JudgeError<A> = Box<dyn Fn(&A) -> Judgement + Send + Sync>;

impl<M: Manager, R: Runtime> Shared<M, R> {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Leases in the plain case: one node, whose breaker is not open, and which has a connection
    /// idle that needs no work. All that is to be decided in any other case is [`Call`]'s.
    ///
    /// [`Call`]: crate::call::Call
    #[inline]
    pub(crate) fn lease_plain<J>(&self, options: &CallOptions<J>) -> Option<Pooled<Tagged<M>, R>> {
        if options.is_timed() {
            return None;
        }
        let plan = self.plan.load();
        let node = plan.only.as_ref()?;
        if node.vital.breaker.state() == breaker::State::Open {
            return None;
        }
        node.pool.try_get_with(&options.acquire)
    }

    /// Tells breaker and balancer how an operation has ended; no judgement means well.
    pub(crate) fn settle(
        &self,
        vital: &Vital<M>,
        permit: Permit<&Breaker>,
        flight: Option<Flight<&Board>>,
        started: Option<Instant>,
        judgement: Option<Judgement>,
    ) {
        let (outcome, balanced) = match judgement {
            None => (breaker::Outcome::Success, balance::Outcome::Success),
            Some(judgement) => {
                vital.set_last_failure(judgement.class());
                (judgement.outcome(), judgement.balanced())
            }
        };
        let now = self.runtime.now();
        match judgement.and_then(|judgement| judgement.hint()) {
            Some(hint) => permit.settle_with_hint_at(outcome, hint, now),
            None => permit.settle_at(outcome, now),
        }
        if let Some(flight) = flight {
            let took = started.map(|started| now.saturating_duration_since(started));
            flight.settle(balanced, took);
        }
    }

    /// A call has succeeded.
    pub(crate) fn on_success(&self, attempts: u32) {
        self.plan.load().budget.on_success();
        self.retries.on_success(attempts);
    }

    /// Judges an error of the manager of a node.
    pub(crate) fn judge(&self, manager: &M, error: &M::Error) -> Judgement {
        match &self.judge {
            Some(judge) => judge(error),
            None => manager.classify(error).into(),
        }
    }
}

/// What has become of calls that did not simply succeed; those that did are in the breakers'
/// totals.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    attempts: AtomicU64,
    backoff_ns: AtomicU64,
    saved: AtomicU64,
    exhausted: AtomicU64,
    denied: AtomicU64,
    final_errors: AtomicU64,
}

/// What became of calls that failed at first, since the pool was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RetryStatistics {
    /// Attempts after the first of each call.
    pub attempts: u64,
    /// The time spent waiting for them.
    pub backoff: Duration,
    /// Calls that such an attempt has saved.
    pub succeeded: u64,
    /// Calls that failed because attempts or time had run out.
    pub exhausted: u64,
    /// Calls that failed because the budget was empty.
    pub denied: u64,
    /// Calls that failed in a way that no further attempt may mend.
    pub not_retryable: u64,
}

impl Retries {
    pub(crate) fn on_retry(&self, delay: Duration) {
        self.attempts.fetch_add(1, Relaxed);
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.backoff_ns.fetch_add(delay_ns, Relaxed);
    }

    pub(crate) fn on_success(&self, attempts: u32) {
        if attempts > 1 {
            self.saved.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn on_failure(&self, stop: Option<backoff::Stop>) {
        let count = match stop {
            None => &self.final_errors,
            Some(backoff::Stop::Budget) => &self.denied,
            Some(_) => &self.exhausted,
        };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn statistics(&self) -> RetryStatistics {
        let read = |count: &AtomicU64| count.load(Relaxed);
        RetryStatistics {
            attempts: read(&self.attempts),
            backoff: Duration::from_nanos(read(&self.backoff_ns)),
            succeeded: read(&self.saved),
            exhausted: read(&self.exhausted),
            denied: read(&self.denied),
            not_retryable: read(&self.final_errors),
        }
    }
}
