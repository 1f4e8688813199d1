//! What a user holds: a connection that comes back by itself.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::core::Held;
use crate::hooks::ConnectionInfo;
use crate::lease::Lease;
use crate::runtime::{DefaultRuntime, Runtime};
use crate::{CloseReason, ErrorClass, Manager};

/// A lent connection; dropping it gives it back.
///
/// It is `'static` and may outlive the pool and the runtime. Dropping it never blocks, spawns or
/// panics, on any thread, during unwinding and outside of any runtime.
#[must_use = "a connection that is dropped at once goes straight back"]
pub struct Pooled<M: Manager, R: Runtime = DefaultRuntime> {
    /// Ended only by `drop` and by the methods that consume the guard.
    entry: Option<Held<M, R>>,
}

impl<M: Manager, R: Runtime> Pooled<M, R> {
    #[inline(always)]
    pub(crate) fn new(entry: Held<M, R>) -> Self {
        Self { entry: Some(entry) }
    }

    /// Begins an exchange that must not be left half done.
    ///
    /// Use the connection through the scope, and [`complete`](Scope::complete) it when the reply
    /// has been read to its end. A scope that is dropped before, as when its future is cancelled,
    /// makes the pool do with the connection what
    /// [`Manager::on_abandoned`] says: by default discard it, so that no later user reads a reply
    /// that is not theirs.
    pub fn operation(&mut self) -> Scope<'_, M, R> {
        let nested = std::mem::replace(&mut self.entry_mut().in_operation, true);
        Scope {
            pooled: self,
            nested,
        }
    }

    /// Has the connection closed instead of lent again.
    pub fn invalidate(&mut self) {
        self.entry_mut().mark = Some(CloseReason::Invalidated);
    }

    /// Tells the pool what kind of error the connection's use has met.
    ///
    /// [`Broken`](ErrorClass::Broken) invalidates the connection,
    /// [`WrongRole`](ErrorClass::WrongRole) all connections opened so far; the others change
    /// nothing.
    pub fn report(&mut self, class: ErrorClass) {
        match class {
            ErrorClass::Broken => self.invalidate(),
            ErrorClass::WrongRole => {
                self.invalidate();
                let core = self.entry().home.core.clone();
                core.clear_generation(self.info().generation);
            }
            _ => {}
        }
    }

    /// Takes the connection out of the pool for good. Its slot is free for another.
    pub fn detach(self) -> M::Connection {
        self.end().detach(CloseReason::Detached)
    }

    /// Closes the connection in good order, and waits for it up to the close timeout.
    ///
    /// Cancelling the wait drops the connection.
    pub async fn close(self) {
        self.end().close(CloseReason::Invalidated).await;
    }

    /// What the pool knows about the connection.
    pub fn info(&self) -> ConnectionInfo {
        self.entry().info()
    }

    fn entry(&self) -> &Held<M, R> {
        self.entry.as_ref().expect("the guard is in use")
    }

    fn entry_mut(&mut self) -> &mut Held<M, R> {
        self.entry.as_mut().expect("the guard is in use")
    }

    fn end(mut self) -> Lease<M, R> {
        Lease::adopt(self.entry.take().expect("the guard is in use"))
    }
}

impl<M: Manager, R: Runtime> Deref for Pooled<M, R> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.entry().connection
    }
}

impl<M: Manager, R: Runtime> DerefMut for Pooled<M, R> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.entry_mut().connection
    }
}

impl<M: Manager, R: Runtime> AsRef<M::Connection> for Pooled<M, R> {
    fn as_ref(&self) -> &M::Connection {
        self
    }
}

impl<M: Manager, R: Runtime> AsMut<M::Connection> for Pooled<M, R> {
    fn as_mut(&mut self) -> &mut M::Connection {
        self
    }
}

impl<M: Manager, R: Runtime> Drop for Pooled<M, R> {
    #[inline]
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.release();
        }
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Pooled<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: it may show a secret.
        f.debug_struct("Pooled")
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

/// An exchange that must not be left half done; made by [`Pooled::operation`].
#[must_use = "a scope that is not completed counts as abandoned"]
pub struct Scope<'a, M: Manager, R: Runtime = DefaultRuntime> {
    pooled: &'a mut Pooled<M, R>,
    /// The scope before this one was not completed.
    nested: bool,
}

impl<M: Manager, R: Runtime> Scope<'_, M, R> {
    /// The exchange is over and the connection is ready for another.
    pub fn complete(self) {
        self.pooled.entry_mut().in_operation = self.nested;
    }
}

impl<M: Manager, R: Runtime> Deref for Scope<'_, M, R> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        self.pooled
    }
}

impl<M: Manager, R: Runtime> DerefMut for Scope<'_, M, R> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        self.pooled
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Scope<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("pooled", &self.pooled)
            .finish_non_exhaustive()
    }
}
