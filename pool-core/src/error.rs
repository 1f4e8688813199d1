//! Why a connection was not lent, with all that is needed to see why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{ErrorClass, State};

/// A failed acquire.
///
/// One word in size. `E` is the manager's error; it is shared by `Arc`, so that one failure can
/// reach every waiting caller. Neither `Display` nor `Debug` prints it, as it may hold a secret;
/// [`connect_error`](Self::connect_error) and, where `E` is a standard error,
/// [`source`](std::error::Error::source) give it.
pub struct Error<E>(Box<Report<E>>);

struct Report<E> {
    kind: ErrorKind,
    pool: Arc<str>,
    state: State,
    waited: Duration,
    connect_error: Option<(Arc<E>, ErrorClass)>,
}

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The time for this stage, or for the whole acquire, ran out.
    Timeout(Stage),
    /// Connecting failed in a way that will not pass by itself, or the connect gate is shut.
    Connect,
    /// [`Manager::connect`](crate::Manager::connect) panicked.
    ConnectPanicked,
    /// As many callers wait as the pool allows.
    QueueFull,
    /// The pool is suspended and configured to refuse.
    Suspended,
    /// The pool is closed.
    Closed,
    /// No runtime is there to open a connection on.
    NoRuntime,
}

/// The parts of an acquire and of a connection's life that have time limits of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Waiting for a connection that others hold, or for a suspended pool to be resumed.
    Wait,
    /// Waiting for a new connection: for an attempt, or for the pause between two.
    Connect,
    /// Checking a connection.
    Validate,
    /// Resetting a connection.
    Reset,
    /// Closing a connection.
    Close,
}

impl<E> Error<E> {
    pub(crate) fn new(
        kind: ErrorKind,
        pool: Arc<str>,
        state: State,
        waited: Duration,
        connect_error: Option<(Arc<E>, ErrorClass)>,
    ) -> Self {
        Self(Box::new(Report {
            kind,
            pool,
            state,
            waited,
            connect_error,
        }))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stage that ran out of time, if that is what happened.
    pub fn stage(&self) -> Option<Stage> {
        match self.0.kind {
            ErrorKind::Timeout(stage) => Some(stage),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Timeout(_)
            | ErrorKind::QueueFull
            | ErrorKind::Suspended
            | ErrorKind::ConnectPanicked => true,
            ErrorKind::Connect => self
                .0
                .connect_error
                .as_ref()
                .is_none_or(|(_, c)| *c != ErrorClass::Permanent),
            ErrorKind::Closed | ErrorKind::NoRuntime => false,
        }
    }

    /// The name of the pool.
    pub fn pool(&self) -> &str {
        &self.0.pool
    }

    /// How full the pool was at the time.
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// How long the caller had waited.
    pub fn waited(&self) -> Duration {
        self.0.waited
    }

    /// The latest failure to connect that bears on this acquire.
    pub fn connect_error(&self) -> Option<&Arc<E>> {
        self.0.connect_error.as_ref().map(|(error, _)| error)
    }

    /// The class of [`connect_error`](Self::connect_error).
    pub fn connect_error_class(&self) -> Option<ErrorClass> {
        self.0.connect_error.as_ref().map(|(_, class)| *class)
    }
}

impl<E> Clone for Error<E> {
    fn clone(&self) -> Self {
        let Report {
            kind,
            pool,
            state,
            waited,
            connect_error,
        } = &*self.0;
        Self::new(
            *kind,
            pool.clone(),
            state.clone(),
            *waited,
            connect_error.clone(),
        )
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &*self.0;
        write!(f, "pool `{}`: ", report.pool)?;
        match report.kind {
            ErrorKind::Timeout(stage) => write!(f, "timed out in stage {stage}")?,
            ErrorKind::Connect => f.write_str("connecting failed")?,
            ErrorKind::ConnectPanicked => f.write_str("the manager panicked while connecting")?,
            ErrorKind::QueueFull => f.write_str("too many callers wait")?,
            ErrorKind::Suspended => f.write_str("suspended")?,
            ErrorKind::Closed => f.write_str("closed")?,
            ErrorKind::NoRuntime => f.write_str("no runtime to connect on")?,
        }
        let State {
            size,
            idle,
            leased,
            connecting,
            waiting,
            ..
        } = report.state;
        write!(
            f,
            " after {:?} (size {size}, idle {idle}, leased {leased}, connecting {connecting}, \
             waiting {waiting})",
            report.waited
        )?;
        match &report.connect_error {
            Some((_, class)) => write!(f, "; the last attempt to connect failed: {class}"),
            None => Ok(()),
        }
    }
}

impl<E> fmt::Debug for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("pool", &self.0.pool)
            .field("state", &self.0.state)
            .field("waited", &self.0.waited)
            .field("connect_error_class", &self.connect_error_class())
            .finish()
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .connect_error
            .as_ref()
            .map(|(error, _)| &**error as _)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait",
            Self::Connect => "connect",
            Self::Validate => "validate",
            Self::Reset => "reset",
            Self::Close => "close",
        })
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Overload => "overload",
            Self::Broken => "broken",
            Self::WrongRole => "wrong role",
            Self::Caller => "caller's own",
        })
    }
}
