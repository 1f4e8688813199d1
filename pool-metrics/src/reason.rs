//! The reasons, stages and outcomes by which events are counted.
//!
//! They repeat what the pool, the breaker and the retry loop know under names of their own,
//! because leaves do not import each other; whoever joins them maps one to the other.

use crate::label::label_enums;

label_enums! {
    /// Why a connection was closed.
    CloseReason {
        /// The driver said that it is broken.
        Broken = "broken",
        /// It failed a validation.
        Invalid = "invalid",
        /// It could not be reset.
        ResetFailed = "reset_failed",
        /// A caller left while it was being checked or reset.
        CheckCancelled = "check_cancelled",
        /// Returned in the middle of an operation.
        Abandoned = "abandoned",
        /// Returned while its user was panicking.
        UserPanic = "user_panic",
        /// Its user said that it is broken.
        Invalidated = "invalidated",
        /// A hook refused it.
        Rejected = "rejected",
        /// Past its maximum lifetime.
        Expired = "lifetime",
        /// Idle for too long.
        IdleTimeout = "idle",
        /// Lent as often as allowed.
        MaxUses = "max_uses",
        /// Of a generation that was cleared.
        Cleared = "cleared",
        /// Of a generation of which several were found dead in a row.
        Swept = "swept",
        /// Above the target size after a resize.
        Surplus = "shrink",
        /// A retain call did not keep it.
        NotRetained = "not_retained",
        /// Taken out of the pool by its user.
        Detached = "detached",
        /// The pool was closed.
        PoolClosed = "shutdown",
    }

    /// How an acquire came by its connection.
    AcquirePath {
        /// An idle connection was there.
        Idle = "idle",
        /// It waited for another caller's.
        Waited = "waited",
        /// A connection was opened for it.
        Created = "created",
    }

    /// What became of a connection that its user gave back.
    Disposition {
        /// It went back to the pool.
        Returned = "returned",
        /// It was closed or detached.
        Discarded = "discarded",
    }

    /// Why connecting failed.
    ConnectError {
        /// The name could not be resolved.
        Dns = "dns",
        /// Refused, unreachable, or reset while connecting.
        Tcp = "tcp",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The server refused the credentials.
        Auth = "auth",
        /// The server is full.
        Overload = "overload",
        /// The server's answers made no sense.
        Protocol = "protocol",
        /// The time for connecting ran out.
        Timeout = "timeout",
        /// Anything else.
        Other = "other",
    }

    /// Why an acquire gave no connection.
    AcquireFailure {
        /// The time ran out.
        Timeout = "timeout",
        /// The breaker is open.
        BreakerOpen = "breaker_open",
        /// As many callers wait as may.
        QueueFull = "queue_full",
        /// Dropped from the queue because of overload.
        Shed = "shed",
        /// Connecting failed.
        Connect = "connect",
        /// No connection passed its validation.
        Validation = "validation",
        /// The pool is suspended.
        Suspended = "suspended",
        /// The pool is closed.
        Closed = "closed",
        /// The caller left. Not an error: left out of the error rate.
        Cancelled = "cancelled",
        /// Anything else.
        Other = "other",
    }

    /// A part of an acquire, or of a connection's life, with a time limit of its own.
    Stage {
        /// Waiting for a connection that others hold.
        Wait = "wait",
        /// Opening a connection.
        Connect = "connect",
        /// Checking a connection.
        Validate = "validate",
        /// Resetting a connection.
        Reset = "reset",
        /// Closing a connection.
        Close = "close",
    }

    /// When a validation failed.
    ValidationStage {
        /// Before the connection was lent.
        Acquire = "acquire",
        /// While it was idle.
        Idle = "idle",
        /// When it came back.
        Release = "release",
    }

    /// How a request that ran on a connection ended.
    RequestOutcome {
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failure = "failure",
    }

    /// The state of a breaker.
    BreakerState {
        /// Every call is admitted.
        Closed = "closed",
        /// Calls in flight are limited; it still serves.
        Degraded = "degraded",
        /// No call is admitted.
        Open = "open",
        /// A few probes are admitted.
        HalfOpen = "half_open",
    }

    /// Who decides a breaker's admissions: evidence, or an operator.
    BreakerMode {
        /// The evidence.
        Auto = "auto",
        /// An operator: nothing is admitted.
        ForcedOpen = "forced_open",
        /// An operator: everything is admitted.
        ForcedClosed = "forced_closed",
        /// Everything is admitted, the states are only shown.
        MetricsOnly = "metrics_only",
    }

    /// Why a breaker opened.
    TripCause {
        /// The failure rate of its window.
        FailureRate = "failure_rate",
        /// Failures in a row.
        Consecutive = "consecutive",
        /// The share of slow calls.
        Slow = "slow",
        /// A probe failed while half-open, or the probes gave no verdict in time.
        Probe = "probe",
        /// No healthy endpoint was reported.
        Health = "health",
        /// An operator.
        Forced = "forced",
    }

    /// An edge between two states of a breaker.
    BreakerEdge {
        /// Closed to degraded.
        ClosedDegraded = "closed>degraded",
        /// Closed to open.
        ClosedOpen = "closed>open",
        /// Degraded to closed.
        DegradedClosed = "degraded>closed",
        /// Degraded to open.
        DegradedOpen = "degraded>open",
        /// Open to half-open.
        OpenHalfOpen = "open>half_open",
        /// Half-open to degraded: the ramp back.
        HalfOpenDegraded = "half_open>degraded",
        /// Half-open to open.
        HalfOpenOpen = "half_open>open",
        /// Open to closed, by a manual reset alone.
        OpenReset = "open>closed",
        /// Half-open to closed, by a manual reset alone.
        HalfOpenReset = "half_open>closed",
    }

    /// What a call told its breaker.
    CallOutcome {
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failure = "failure",
        /// The other side has too much to do.
        Overload = "overload",
        /// Neither speaks for nor against the other side.
        Ignored = "ignored",
        /// The caller left.
        Cancelled = "cancelled",
        /// It ended after its epoch and changed nothing.
        Stale = "stale",
    }

    /// Why a breaker refused a call.
    Rejection {
        /// It is open.
        Open = "open",
        /// Every probe of the half-open state is taken.
        ProbesBusy = "probes_busy",
        /// As many calls are in flight as the degraded state allows.
        Limited = "limited",
        /// An operator forced it open.
        Forced = "forced",
    }

    /// Why a health check failed.
    CheckFailure {
        /// No answer in time.
        Timeout = "timeout",
        /// No connection.
        Connect = "connect",
        /// The answer was not that of a healthy target.
        Status = "status",
        /// Anything else.
        Other = "other",
    }

    /// How a call under a retry policy ended.
    RetryOutcome {
        /// The first attempt succeeded.
        FirstTry = "first_try",
        /// A later attempt succeeded.
        AfterRetry = "after_retry",
        /// Attempts or time ran out.
        Exhausted = "exhausted",
        /// The error is not one to retry.
        NotRetryable = "not_retryable",
        /// The retry budget was empty.
        BudgetDenied = "budget_denied",
    }
}

impl BreakerEdge {
    /// The labels of the states that the edge joins, from and to.
    pub fn ends(self) -> (&'static str, &'static str) {
        use crate::LabelValue;

        self.label()
            .split_once('>')
            .expect("every edge's label names two states")
    }
}
