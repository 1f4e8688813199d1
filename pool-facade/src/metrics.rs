//! The pool as a source of `pool-metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use breaker::Change;
use pool_core::Manager;
use pool_core::runtime::Runtime;
use pool_metrics::{
    AcquireFailure, AcquirePath, BreakerEdge, BreakerMode, BreakerSnapshot, BreakerState,
    CallOutcome, CheckFailure, ClassSnapshot, CloseReason, ConnectError, CounterSet, Disposition,
    HealthSnapshot, PoolRecorder, PoolSnapshot, Rejection, Report, RequestOutcome, RetryOutcome,
    RetrySnapshot, Source, Stage, TripCause, ValidationStage,
};

use crate::node::Node;
use crate::shared::Shared;
use crate::state::NodeStatistics;

/// What is recorded of a node beside the pool's own statistics.
pub(crate) struct NodeMetrics {
    pub(crate) recorder: Arc<PoolRecorder>,
    /// The acquires served on the spot that are in the recorder's times already.
    direct: AtomicU64,
    trips: CounterSet<TripCause>,
    transitions: CounterSet<BreakerEdge>,
}

impl NodeMetrics {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            recorder: Arc::new(PoolRecorder::new(now)),
            direct: AtomicU64::new(0),
            trips: CounterSet::default(),
            transitions: CounterSet::default(),
        }
    }

    /// Counts what the breaker tells.
    pub(crate) fn on_change(&self, change: &Change) {
        match *change {
            Change::Transition {
                from, to, cause, ..
            } => {
                if let Some(edge) = edge(from, to) {
                    self.transitions.increment(edge);
                }
                if to == breaker::State::Open {
                    self.trips.increment(trip(cause));
                }
            }
            Change::Mode {
                to: breaker::Mode::ForcedOpen,
                ..
            } => {
                self.trips.increment(TripCause::Forced);
            }
            _ => {}
        }
    }

    /// Enters what was served on the spot since the last time, as taking no time.
    fn record_direct(&self, direct: u64) {
        let before = self.direct.fetch_max(direct, Relaxed);
        let mut new = direct.saturating_sub(before);
        while new > 0 {
            let weight = u32::try_from(new).unwrap_or(u32::MAX);
            self.recorder
                .acquire_time
                .record_weighted(Duration::ZERO, weight);
            new -= u64::from(weight);
        }
    }
}

/// Tells the numbers of a pool for as long as it lives.
pub(crate) struct PoolSource<M: Manager, R: Runtime>(pub(crate) Weak<Shared<M, R>>);

impl<M: Manager, R: Runtime> Source for PoolSource<M, R> {
    fn collect(&self, now: Instant, report: &mut Report) {
        let Some(shared) = self.0.upgrade() else {
            return;
        };
        let plan = shared.plan.load_full();
        for node in plan.nodes() {
            let statistics = node.statistics();
            report.push_pool(pool(&shared, node, &statistics, now));
            report.push_breaker(breaker_of(&shared.name, node, &statistics));
            if plan.only.is_none() {
                report.push_health(health_of(&shared, node));
            }
        }
        report.push_retry(retry(&shared));
    }
}

fn pool<M: Manager, R: Runtime>(
    shared: &Shared<M, R>,
    node: &Node<M, R>,
    statistics: &NodeStatistics,
    now: Instant,
) -> PoolSnapshot {
    let config = shared.control.config();
    let mut snapshot = PoolSnapshot::new(
        format!("{}/{}", shared.name, statistics.name),
        shared.watch.kind.as_deref().unwrap_or("pool"),
    );
    let (state, counts) = (node.pool.state(), &statistics.pool);
    snapshot.idle = state.idle as u64;
    let used = state.leased + state.checking + state.resetting + state.closing;
    snapshot.used = used as u64;
    snapshot.creating = state.connecting as u64;
    snapshot.max = state.target as u64;
    snapshot.idle_min = config.pool.min_idle as u64;
    snapshot.pending = state.waiting as u64;
    snapshot.peak_used = counts.peak_leased;
    snapshot.created = counts.created;
    for reason in pool_core::CloseReason::ALL {
        snapshot.closed[close_reason(reason)] += counts.closed_for(reason);
    }
    snapshot.acquired[AcquirePath::Idle] = counts.direct;
    snapshot.acquired[AcquirePath::Waited] = counts.waited;
    let discarded: u64 = [
        pool_core::CloseReason::Abandoned,
        pool_core::CloseReason::UserPanic,
        pool_core::CloseReason::Invalidated,
        pool_core::CloseReason::Detached,
    ]
    .map(|reason| counts.closed_for(reason))
    .iter()
    .sum();
    snapshot.released[Disposition::Discarded] = discarded;
    let back = counts.acquired().saturating_sub(state.leased as u64);
    snapshot.released[Disposition::Returned] = back.saturating_sub(discarded);
    snapshot.connection_errors[ConnectError::Timeout] = counts.connect_timeouts;
    snapshot.acquire_failures[AcquireFailure::Timeout] = counts.timed_out;
    snapshot.acquire_failures[AcquireFailure::Cancelled] = counts.cancelled;
    snapshot.acquire_failures[AcquireFailure::Other] = counts.failed;
    let totals = &statistics.breaker.totals;
    snapshot.acquire_failures[AcquireFailure::BreakerOpen] =
        totals.rejected_open + totals.rejected_forced;
    snapshot.timeouts[Stage::Wait] = counts.timed_out;
    snapshot.timeouts[Stage::Connect] = counts.connect_timeouts;
    snapshot.validation_failures[ValidationStage::Acquire] = counts.validation_failures;
    let mut class = ClassSnapshot::default();
    class.name = "all".into();
    class.requests[RequestOutcome::Success] = totals.successes;
    class.requests[RequestOutcome::Failure] = totals.failures + totals.overloads;
    snapshot.classes.push(class);
    if let Some(metrics) = &node.metrics {
        metrics.record_direct(counts.direct);
        metrics.recorder.add_to(&mut snapshot, now);
    }
    snapshot
}

fn breaker_of<M: Manager, R: Runtime>(
    pool: &str,
    node: &Node<M, R>,
    statistics: &NodeStatistics,
) -> BreakerSnapshot {
    let breaker = &statistics.breaker;
    let mut snapshot = BreakerSnapshot::new(format!("{pool}/{}", statistics.name));
    snapshot.state = match breaker.state {
        breaker::State::Closed => BreakerState::Closed,
        breaker::State::Degraded => BreakerState::Degraded,
        breaker::State::Open => BreakerState::Open,
        breaker::State::HalfOpen => BreakerState::HalfOpen,
    };
    snapshot.mode = match breaker.mode {
        breaker::Mode::ForcedOpen => BreakerMode::ForcedOpen,
        breaker::Mode::ForcedClosed => BreakerMode::ForcedClosed,
        breaker::Mode::MetricsOnly => BreakerMode::MetricsOnly,
        _ => BreakerMode::Auto,
    };
    snapshot.limit = breaker.limit;
    snapshot.in_flight = breaker.in_flight;
    snapshot.failure_ratio = breaker.counts.failure_rate();
    let totals = &breaker.totals;
    if let Some(metrics) = &node.metrics {
        snapshot.trips = metrics.trips.counts();
        snapshot.transitions = metrics.transitions.counts();
    }
    snapshot.calls[CallOutcome::Success] = totals.successes;
    snapshot.calls[CallOutcome::Failure] = totals.failures;
    snapshot.calls[CallOutcome::Overload] = totals.overloads;
    snapshot.calls[CallOutcome::Ignored] = totals.ignored;
    snapshot.calls[CallOutcome::Cancelled] = totals.cancelled;
    snapshot.calls[CallOutcome::Stale] = totals.stale;
    snapshot.rejected[Rejection::Open] = totals.rejected_open;
    snapshot.rejected[Rejection::ProbesBusy] = totals.rejected_probes_busy;
    snapshot.rejected[Rejection::Limited] = totals.rejected_limited;
    snapshot.rejected[Rejection::Forced] = totals.rejected_forced;
    snapshot
}

fn health_of<M: Manager, R: Runtime>(shared: &Shared<M, R>, node: &Node<M, R>) -> HealthSnapshot {
    let mut snapshot = HealthSnapshot::new(format!("{}/{}", shared.name, node.vital.name));
    let state = shared.control.lock();
    let view = state.balancer.view(node.vital.id, shared.runtime.now());
    snapshot.up = view.is_some_and(|view| view.standing.serves());
    if let Some(member) = state.member(node.vital.id) {
        snapshot.checks = member.checks;
        snapshot.failures = member.failures;
        let monitor = member.monitor.as_ref();
        let failures = monitor.map(|monitor| monitor.consecutive_failures());
        snapshot.consecutive_failures = failures.unwrap_or(0).into();
    }
    snapshot
}

fn retry<M: Manager, R: Runtime>(shared: &Shared<M, R>) -> RetrySnapshot {
    let statistics = shared.retries.statistics();
    let plan = shared.plan.load();
    let mut snapshot = RetrySnapshot::new(&*shared.name);
    snapshot.attempts = statistics.attempts;
    snapshot.backoff = statistics.backoff;
    snapshot.budget = Some(plan.budget.balance());
    let successes: u64 = plan
        .nodes()
        .map(|node| node.vital.breaker.snapshot().totals.successes)
        .sum();
    let calls = &mut snapshot.calls;
    calls[RetryOutcome::FirstTry] = successes.saturating_sub(statistics.succeeded);
    calls[RetryOutcome::AfterRetry] = statistics.succeeded;
    calls[RetryOutcome::Exhausted] = statistics.exhausted;
    calls[RetryOutcome::BudgetDenied] = statistics.denied;
    calls[RetryOutcome::NotRetryable] = statistics.not_retryable;
    snapshot
}

pub(crate) fn check_failure(failure: health::Failure) -> CheckFailure {
    match failure {
        health::Failure::Timeout => CheckFailure::Timeout,
        health::Failure::Connect => CheckFailure::Connect,
        health::Failure::Status | health::Failure::Role => CheckFailure::Status,
        _ => CheckFailure::Other,
    }
}

fn trip(cause: breaker::Cause) -> TripCause {
    use breaker::Cause;
    match cause {
        Cause::Consecutive => TripCause::Consecutive,
        Cause::SlowRate => TripCause::Slow,
        Cause::ProbesFailed | Cause::ProbesLate => TripCause::Probe,
        Cause::HealthGone => TripCause::Health,
        _ => TripCause::FailureRate,
    }
}

fn edge(from: breaker::State, to: breaker::State) -> Option<BreakerEdge> {
    use breaker::State::{Closed, Degraded, HalfOpen, Open};
    Some(match (from, to) {
        (Closed, Degraded) => BreakerEdge::ClosedDegraded,
        (Closed, Open) => BreakerEdge::ClosedOpen,
        (Degraded, Closed) => BreakerEdge::DegradedClosed,
        (Degraded, Open) => BreakerEdge::DegradedOpen,
        (Open, HalfOpen) => BreakerEdge::OpenHalfOpen,
        (Open, Closed) => BreakerEdge::OpenReset,
        (HalfOpen, Degraded) => BreakerEdge::HalfOpenDegraded,
        (HalfOpen, Open) => BreakerEdge::HalfOpenOpen,
        (HalfOpen, Closed) => BreakerEdge::HalfOpenReset,
        _ => return None,
    })
}

fn close_reason(reason: pool_core::CloseReason) -> CloseReason {
    use pool_core::CloseReason as Core;
    match reason {
        Core::Broken => CloseReason::Broken,
        Core::Invalid => CloseReason::Invalid,
        Core::ResetFailed => CloseReason::ResetFailed,
        Core::CheckCancelled => CloseReason::CheckCancelled,
        Core::Abandoned => CloseReason::Abandoned,
        Core::UserPanic => CloseReason::UserPanic,
        Core::Rejected => CloseReason::Rejected,
        Core::Expired => CloseReason::Expired,
        Core::IdleTimeout => CloseReason::IdleTimeout,
        Core::MaxUses => CloseReason::MaxUses,
        Core::Cleared => CloseReason::Cleared,
        Core::Swept => CloseReason::Swept,
        Core::Surplus => CloseReason::Surplus,
        Core::NotRetained => CloseReason::NotRetained,
        Core::Detached => CloseReason::Detached,
        Core::PoolClosed => CloseReason::PoolClosed,
        _ => CloseReason::Invalidated,
    }
}
