//! Why a call has no value, with all that is needed to see why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backoff::Stop;
use breaker::Rejected;
use pool_core::{ErrorClass, Stage, State};

/// A failed call.
///
/// One word in size. `A` is the manager's error, `E` the operation's; for [`get`](crate::Pool::get)
/// there is only the first. Neither `Display` nor `Debug` prints them, as they may hold a secret;
/// [`operation`](Self::operation), [`connect_error`](Self::connect_error) and, where they are
/// standard errors, [`source`](std::error::Error::source) give them.
pub struct Error<A, E = A>(Box<Report<A, E>>);

pub(crate) struct Report<A, E> {
    pub(crate) cause: Cause<A, E>,
    pub(crate) pool: Arc<str>,
    pub(crate) node: Option<Arc<str>>,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) stop: Option<Stop>,
    /// The class of the last failure that the node has met.
    pub(crate) last: Option<ErrorClass>,
}

pub(crate) enum Cause<A, E> {
    Operation(E, crate::Judgement),
    OperationTimeout,
    Acquire(pool_core::Error<A>),
    Rejected(Rejected),
    NoNode,
    Closed,
}

/// What kind of failure an [`Error`] is, and so who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operation was run and failed.
    Operation,
    /// The time of the whole call ran out while the operation ran.
    OperationTimeout,
    /// The breakers of all nodes that may serve refuse calls.
    Rejected,
    /// There is no node that may serve such a call.
    NoNode,
    /// The time for this stage of acquiring, or for the whole of it, ran out.
    Timeout(Stage),
    /// Connecting failed.
    Connect,
    /// [`Manager::connect`](pool_core::Manager::connect) panicked.
    ConnectPanicked,
    /// As many callers wait as the pool allows.
    QueueFull,
    /// The pool is suspended and configured to refuse.
    Suspended,
    /// The pool is closed.
    Closed,
    /// No runtime is there to open a connection on.
    NoRuntime,
    /// The core refused for a reason that this crate does not know.
    Other,
}

impl<A, E> Error<A, E> {
    pub(crate) fn new(report: Report<A, E>) -> Self {
        Self(Box::new(report))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match &self.0.cause {
            Cause::Operation(..) => ErrorKind::Operation,
            Cause::OperationTimeout => ErrorKind::OperationTimeout,
            Cause::Rejected(_) => ErrorKind::Rejected,
            Cause::NoNode => ErrorKind::NoNode,
            Cause::Closed => ErrorKind::Closed,
            Cause::Acquire(error) => match error.kind() {
                pool_core::ErrorKind::Timeout(stage) => ErrorKind::Timeout(stage),
                pool_core::ErrorKind::Connect => ErrorKind::Connect,
                pool_core::ErrorKind::ConnectPanicked => ErrorKind::ConnectPanicked,
                pool_core::ErrorKind::QueueFull => ErrorKind::QueueFull,
                pool_core::ErrorKind::Suspended => ErrorKind::Suspended,
                pool_core::ErrorKind::Closed => ErrorKind::Closed,
                pool_core::ErrorKind::NoRuntime => ErrorKind::NoRuntime,
                _ => ErrorKind::Other,
            },
        }
    }

    /// Whether the same call may succeed later without anybody changing anything. It says nothing
    /// about whether an operation that failed has been executed.
    pub fn is_retryable(&self) -> bool {
        match &self.0.cause {
            Cause::Operation(_, judgement) => !matches!(
                judgement.class(),
                ErrorClass::Caller | ErrorClass::Permanent
            ),
            Cause::OperationTimeout | Cause::Rejected(_) | Cause::NoNode => true,
            Cause::Acquire(error) => error.is_retryable(),
            Cause::Closed => false,
        }
    }

    /// When to come back, if somebody said so: the breaker, or the server.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.0.cause {
            Cause::Rejected(rejected) => rejected.retry_after(),
            Cause::Operation(_, judgement) => judgement.hint(),
            _ => None,
        }
    }

    /// The stage that ran out of time, if that is what happened.
    pub fn stage(&self) -> Option<Stage> {
        match self.kind() {
            ErrorKind::Timeout(stage) => Some(stage),
            _ => None,
        }
    }

    /// The name of the pool.
    pub fn pool(&self) -> &str {
        &self.0.pool
    }

    /// The name of the node that failed last, if one was chosen.
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_deref()
    }

    /// How full that node was at the time.
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// How often the operation was begun.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Why there was no further attempt, if one would have been worth making.
    pub fn stop(&self) -> Option<Stop> {
        self.0.stop
    }

    /// The operation's own error.
    pub fn operation(&self) -> Option<&E> {
        match &self.0.cause {
            Cause::Operation(error, _) => Some(error),
            _ => None,
        }
    }

    /// The operation's own error, by value.
    ///
    /// # Errors
    ///
    /// Gives the error back when it is of another kind.
    pub fn into_operation(self) -> Result<E, Self> {
        let report = *self.0;
        match report.cause {
            Cause::Operation(error, _) => Ok(error),
            cause => Err(Self::new(Report { cause, ..report })),
        }
    }

    /// Why the breaker refused.
    pub fn rejected(&self) -> Option<Rejected> {
        match self.0.cause {
            Cause::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }

    /// Why no connection was lent.
    pub fn acquire(&self) -> Option<&pool_core::Error<A>> {
        match &self.0.cause {
            Cause::Acquire(error) => Some(error),
            _ => None,
        }
    }

    /// The latest failure to connect that bears on this call.
    pub fn connect_error(&self) -> Option<&Arc<A>> {
        self.acquire()?.connect_error()
    }

    /// The class of what failed: of the operation's error, of the connect error, else of the last
    /// failure that the node has met.
    pub fn class(&self) -> Option<ErrorClass> {
        match &self.0.cause {
            Cause::Operation(_, judgement) => Some(judgement.class()),
            Cause::Acquire(error) => error.connect_error_class(),
            _ => self.0.last,
        }
    }
}

impl<A, E: Clone> Clone for Error<A, E> {
    fn clone(&self) -> Self {
        let report = &*self.0;
        Self::new(Report {
            cause: report.cause.clone(),
            pool: report.pool.clone(),
            node: report.node.clone(),
            state: report.state.clone(),
            ..*report
        })
    }
}

impl<A, E: Clone> Clone for Cause<A, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Operation(error, judgement) => Self::Operation(error.clone(), *judgement),
            Self::OperationTimeout => Self::OperationTimeout,
            Self::Acquire(error) => Self::Acquire(error.clone()),
            Self::Rejected(rejected) => Self::Rejected(*rejected),
            Self::NoNode => Self::NoNode,
            Self::Closed => Self::Closed,
        }
    }
}

impl<A, E> fmt::Display for Error<A, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &*self.0;
        write!(f, "pool `{}`", report.pool)?;
        if let Some(node) = &report.node {
            write!(f, ", node `{node}`")?;
        }
        f.write_str(": ")?;
        match &report.cause {
            // It names the node's own pool and its occupancy by itself.
            Cause::Acquire(error) => return error.fmt(f),
            Cause::Operation(_, judgement) => {
                write!(f, "the operation failed: {}", judgement.class())?;
            }
            Cause::OperationTimeout => f.write_str("timed out while the operation ran")?,
            Cause::Rejected(rejected) => rejected.fmt(f)?,
            Cause::NoNode => f.write_str("no node serves such calls")?,
            Cause::Closed => return f.write_str("closed"),
        }
        let State {
            idle,
            leased,
            waiting,
            target,
            ..
        } = report.state;
        write!(
            f,
            " after {} attempts ({leased} of {target} leased, {idle} idle, {waiting} waiting)",
            report.attempts
        )?;
        if let (Cause::Rejected(_), Some(class)) = (&report.cause, report.last) {
            write!(f, "; the last failure: {class}")?;
        }
        match report.stop {
            Some(stop) => write!(f, "; not tried again: {stop}"),
            None => Ok(()),
        }
    }
}

impl<A, E> fmt::Debug for Error<A, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("pool", &self.0.pool)
            .field("node", &self.0.node)
            .field("state", &self.0.state)
            .field("attempts", &self.0.attempts)
            .field("stop", &self.0.stop)
            .field("class", &self.class())
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

impl<A, E> std::error::Error for Error<A, E>
where
    A: std::error::Error + 'static,
    E: std::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Operation(error, _) => Some(error),
            Cause::Acquire(error) => error.source(),
            _ => None,
        }
    }
}
