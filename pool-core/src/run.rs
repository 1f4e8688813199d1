//! Work with a connection, given as an async closure.

use std::fmt;

use crate::Error;

/// An async closure over a borrowed connection whose futures are `Send`.
///
/// Implemented for every fitting closure and never by hand. `AsyncFnMut` alone says nothing about
/// `Send`, so a future made from it could not be spawned; this names the future for every lifetime
/// of the connection and asks `Send` of it.
pub trait Operation<'c, C: 'c, T, E>: FnMut(&'c mut C) -> Self::Future {
    /// The closure's future.
    type Future: Future<Output = Result<T, E>> + Send;
}

impl<'c, C: 'c, T, E, F, Fut> Operation<'c, C, T, E> for F
where
    F: FnMut(&'c mut C) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send,
{
    type Future = Fut;
}

/// Why [`Pool::run`](crate::Pool::run) failed: there was no connection, or the work itself failed.
#[derive(Clone)]
#[expect(clippy::exhaustive_enums, reason = "a run has these two parts")]
pub enum RunError<A, E> {
    /// No connection was lent.
    Acquire(Error<A>),
    /// The closure's own error.
    Operation(E),
}

impl<A, E: fmt::Debug> fmt::Debug for RunError<A, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(error) => f.debug_tuple("Acquire").field(error).finish(),
            Self::Operation(error) => f.debug_tuple("Operation").field(error).finish(),
        }
    }
}

impl<A, E: fmt::Display> fmt::Display for RunError<A, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(error) => error.fmt(f),
            Self::Operation(error) => error.fmt(f),
        }
    }
}

impl<A, E> std::error::Error for RunError<A, E>
where
    A: std::error::Error + 'static,
    E: std::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Acquire(error) => error.source(),
            Self::Operation(error) => error.source(),
        }
    }
}
