//! What a driver tells the pool: how to connect, check, reset, judge and close.

use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Makes and judges connections of one kind.
///
/// All methods but [`connect`](Self::connect) have defaults; implementations write them as plain
/// `async fn`. Every future is dropped, at any await, when its time is up or its caller has left;
/// the pool then discards the connection it was working on, so a half-done method does no harm.
///
/// No method is called while the pool holds a lock, and a panic in one costs that call alone.
///
/// ```
/// use pool_core::{ConnectContext, Manager};
///
/// struct Numbers;
///
/// impl Manager for Numbers {
///     type Connection = u64;
///     type Error = std::convert::Infallible;
///
///     async fn connect(&self, context: ConnectContext) -> Result<u64, Self::Error> {
///         Ok(context.id)
///     }
/// }
/// ```
pub trait Manager: Send + Sync + 'static {
    /// What is pooled.
    type Connection: Send + 'static;

    /// Why connecting, checking or resetting failed. No `Display` is needed: the pool shares the
    /// value by `Arc` and never prints it.
    type Error: Send + Sync + 'static;

    /// Opens a connection.
    ///
    /// Runs in a task of its own, so a caller who leaves does not cancel it; it is dropped after
    /// the connect timeout and when the pool closes.
    fn connect(
        &self,
        context: ConnectContext,
    ) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Asks the server whether the connection still works.
    ///
    /// Called on checkout as [`Check`](crate::Check) says, and for keepalive. Cancelled after the
    /// validate timeout, which counts as a failure.
    fn is_valid(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = connection;
        async { Ok(()) }
    }

    /// Brings a used connection back to the state of a fresh one.
    ///
    /// Called for each connection that [`needs_reset`](Self::needs_reset) after use, and never
    /// skipped: a connection whose reset fails, or is cancelled, is closed.
    fn reset(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = connection;
        async { Ok(()) }
    }

    /// Whether the connection is already known to be unusable, without asking the server.
    ///
    /// Called at every checkout and every return; keep it to a flag or a non-blocking look at the
    /// socket. A panic counts as broken.
    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// Whether a returned connection has to pass through [`reset`](Self::reset) before it is lent
    /// again. Asked at each return unless [`reset_at`](Self::reset_at) is [`ResetAt::Never`].
    fn needs_reset(&self, connection: &mut Self::Connection) -> bool {
        let _ = connection;
        true
    }

    /// When connections are reset; asked once, when the pool is built. The default is
    /// [`ResetAt::Never`].
    fn reset_at(&self) -> ResetAt {
        ResetAt::Never
    }

    /// What becomes of a connection whose [operation](crate::Pooled::operation) was dropped before
    /// it completed. The default is [`Abandoned::Discard`].
    fn on_abandoned(&self) -> Abandoned {
        Abandoned::Discard
    }

    /// What kind of failure `error` is. The default is [`ErrorClass::Transient`].
    fn classify(&self, error: &Self::Error) -> ErrorClass {
        let _ = error;
        ErrorClass::Transient
    }

    /// Told exactly once of each connection that leaves the pool, before it is closed or handed
    /// out for good.
    fn on_remove(&self, connection: &mut Self::Connection, reason: CloseReason) {
        let _ = (connection, reason);
    }

    /// Closes a connection in good order; the default drops it.
    ///
    /// Cancelled after the close timeout. The slot counts against the maximum size until this
    /// ends, so the server never sees more connections than were promised.
    fn close(
        &self,
        connection: Self::Connection,
        reason: CloseReason,
    ) -> impl Future<Output = ()> + Send {
        let _ = reason;
        async move { drop(connection) }
    }

    /// Something that cuts a lent connection from outside, if the driver has such a thing.
    ///
    /// Asked once, after connecting. [`Pool::close`](crate::Pool::close) uses it on connections
    /// that are still lent when its grace has passed.
    fn abort_handle(&self, connection: &Self::Connection) -> Option<AbortHandle> {
        let _ = connection;
        None
    }
}

/// What the pool knows when it opens a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectContext {
    /// The identity of the connection to be, unique within the pool.
    pub id: u64,
    /// Counts up with each [`Pool::clear`](crate::Pool::clear) and each sweep of dead connections.
    pub generation: u64,
    /// The time this attempt has.
    pub timeout: Duration,
}

/// When used connections are reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResetAt {
    /// Connections carry no state from one user to the next.
    #[default]
    Never,
    /// After the return, by the pool's maintenance task, off any caller's path. The next getter
    /// does it when that task is gone. Right where leftover state holds resources at the server,
    /// such as the locks of an open transaction.
    Return,
    /// By the next getter.
    Checkout,
}

/// What becomes of a connection that came back in the middle of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Abandoned {
    /// Close it: an unread reply must not reach the next user.
    #[default]
    Discard,
    /// Reset it before it is lent again, whatever [`Manager::needs_reset`] says.
    Reset,
    /// Lend it on: the protocol matches replies to requests by itself.
    Keep,
}

/// What kind of failure an error is, and so what the pool does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// May pass by itself: refused, timed out, reset. Connecting is tried again at the pace of the
    /// [`ConnectGate`](crate::ConnectGate) while callers wait.
    Transient,
    /// Will not pass without a change of configuration: wrong password, unknown database, bad
    /// certificate. Every waiting caller gets it at once.
    Permanent,
    /// The server is well but full. Existing connections go on being lent; new ones are tried
    /// slowly.
    Overload,
    /// The connection is dead; it must not be lent again.
    Broken,
    /// The server no longer has the role it had, as after a failover; all connections of its
    /// generation are suspect.
    WrongRole,
    /// The caller's own mistake; the connection is well.
    Caller,
}

/// Why a connection left the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CloseReason {
    /// [`Manager::has_broken`] said so, or panicked.
    Broken,
    /// [`Manager::is_valid`] failed, timed out or panicked.
    Invalid,
    /// [`Manager::reset`] failed, timed out or panicked.
    ResetFailed,
    /// A getter left while it was checking or resetting the connection.
    CheckCancelled,
    /// Returned in the middle of an operation.
    Abandoned,
    /// Returned while its user was panicking.
    UserPanic,
    /// [`Pooled::invalidate`](crate::Pooled::invalidate), or a report that it is broken.
    Invalidated,
    /// A hook refused it or panicked.
    Rejected,
    /// Older than the maximum lifetime.
    Expired,
    /// Idle for longer than the idle timeout.
    IdleTimeout,
    /// Lent as often as the maximum number of uses allows.
    MaxUses,
    /// Of a generation that was cleared.
    Cleared,
    /// Of a generation of which several connections in a row were found dead.
    Swept,
    /// Above the target size after a resize.
    Surplus,
    /// [`Pool::retain`](crate::Pool::retain) did not keep it.
    NotRetained,
    /// Taken out of the pool by its user.
    Detached,
    /// The pool is closed.
    PoolClosed,
}

impl CloseReason {
    /// Every reason, in the order of their numbers in statistics.
    pub const ALL: [Self; 17] = [
        Self::Broken,
        Self::Invalid,
        Self::ResetFailed,
        Self::CheckCancelled,
        Self::Abandoned,
        Self::UserPanic,
        Self::Invalidated,
        Self::Rejected,
        Self::Expired,
        Self::IdleTimeout,
        Self::MaxUses,
        Self::Cleared,
        Self::Swept,
        Self::Surplus,
        Self::NotRetained,
        Self::Detached,
        Self::PoolClosed,
    ];

    /// The reason in snake case, as metric labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Invalid => "invalid",
            Self::ResetFailed => "reset_failed",
            Self::CheckCancelled => "check_cancelled",
            Self::Abandoned => "abandoned",
            Self::UserPanic => "user_panic",
            Self::Invalidated => "invalidated",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::IdleTimeout => "idle_timeout",
            Self::MaxUses => "max_uses",
            Self::Cleared => "cleared",
            Self::Swept => "swept",
            Self::Surplus => "surplus",
            Self::NotRetained => "not_retained",
            Self::Detached => "detached",
            Self::PoolClosed => "pool_closed",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Cuts one connection from outside while somebody holds it.
pub struct AbortHandle(Box<dyn FnOnce() + Send>);

impl AbortHandle {
    /// A handle that runs `cut` when the connection must end now.
    pub fn new(cut: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(cut))
    }

    pub(crate) fn abort(self) {
        (self.0)();
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AbortHandle")
    }
}
