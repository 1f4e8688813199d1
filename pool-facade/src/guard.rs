//! What a user holds: a connection of some node, that comes back by itself.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use pool_core::runtime::{DefaultRuntime, Runtime};
use pool_core::{ConnectionInfo, ErrorClass, Manager, Pooled};

use crate::balance::{Board, Flight};
use crate::judge::Judgement;
use crate::node::{Bound, Tagged};

/// A lent connection; dropping it gives it back.
///
/// It is `'static` and may outlive the pool and the runtime. What is done with it is not a call of
/// the breaker unless [`report`](Self::report) says how it went; unreported, only a connection that
/// comes back broken is a failure.
#[must_use = "a connection that is dropped at once goes straight back"]
pub struct Guard<M: Manager, R: Runtime = DefaultRuntime> {
    /// Taken only by `drop` and by the methods that consume the guard.
    pooled: Option<Pooled<Tagged<M>, R>>,
    /// Counts as in flight where several nodes are balanced.
    flight: Option<Flight<Arc<Board>>>,
    reported: bool,
}

impl<M: Manager, R: Runtime> Guard<M, R> {
    pub(crate) fn new(pooled: Pooled<Tagged<M>, R>, flight: Option<Flight<Arc<Board>>>) -> Self {
        Self {
            pooled: Some(pooled),
            flight,
            reported: false,
        }
    }

    /// Tells the breaker and the balancer how the connection's use went; the first report counts.
    ///
    /// An error's class, or a whole [`Judgement`], invalidates the connection if it is
    /// [`Broken`](ErrorClass::Broken), and all connections of the node opened so far if it has the
    /// [`WrongRole`](ErrorClass::WrongRole).
    pub fn report(&mut self, outcome: impl Into<Outcome>) {
        let outcome = outcome.into();
        if let Outcome::Failed(judgement) = outcome {
            let pooled = self.pooled_mut();
            pooled.vital.set_last_failure(judgement.class());
            pooled.report(judgement.class());
        }
        if std::mem::replace(&mut self.reported, true) || outcome == Outcome::Ignored {
            return;
        }
        self.pooled().vital.report(match outcome {
            Outcome::Failed(judgement) => judgement.outcome(),
            _ => breaker::Outcome::Success,
        });
        if let Some(flight) = self.flight.take() {
            flight.settle(outcome.balanced(), None);
        }
    }

    /// Begins an exchange that must not be left half done; see
    /// [`Pooled::operation`](pool_core::Pooled::operation).
    pub fn operation(&mut self) -> Scope<'_, M, R> {
        Scope(self.pooled_mut().operation())
    }

    /// Has the connection closed instead of lent again.
    pub fn invalidate(&mut self) {
        self.pooled_mut().invalidate();
    }

    /// Takes the connection out of the pool for good. Its place is free for another.
    pub fn detach(mut self) -> M::Connection {
        self.take().detach().connection
    }

    /// Closes the connection in good order, and waits for it up to the close timeout.
    ///
    /// Cancelling the wait drops the connection.
    pub async fn close(mut self) {
        self.take().close().await;
    }

    /// What the pool knows about the connection; its identity is unique within its node.
    pub fn info(&self) -> ConnectionInfo {
        self.pooled().info()
    }

    /// The name of the node that it belongs to.
    pub fn node(&self) -> &str {
        &self.pooled().vital.name
    }

    fn pooled(&self) -> &Pooled<Tagged<M>, R> {
        self.pooled.as_ref().expect("the guard is in use")
    }

    fn pooled_mut(&mut self) -> &mut Pooled<Tagged<M>, R> {
        self.pooled.as_mut().expect("the guard is in use")
    }

    fn take(&mut self) -> Pooled<Tagged<M>, R> {
        self.pooled.take().expect("the guard is in use")
    }
}

impl<M: Manager, R: Runtime> Deref for Guard<M, R> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.pooled().connection
    }
}

impl<M: Manager, R: Runtime> DerefMut for Guard<M, R> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.pooled_mut().connection
    }
}

impl<M: Manager, R: Runtime> Drop for Guard<M, R> {
    fn drop(&mut self) {
        if let Some(mut pooled) = self.pooled.take() {
            pooled.unreported = !self.reported;
        }
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Guard<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: it may show a secret.
        f.debug_struct("Guard")
            .field("node", &self.node())
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

/// How the use of a connection went; see [`Guard::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it should.
    Success,
    /// It failed.
    Failed(Judgement),
    /// It says nothing about the server.
    Ignored,
}

impl Outcome {
    /// What the balancer is told.
    fn balanced(self) -> crate::balance::Outcome {
        match self {
            Self::Failed(judgement) => judgement.balanced(),
            Self::Success => crate::balance::Outcome::Success,
            Self::Ignored => crate::balance::Outcome::Ignored,
        }
    }
}

impl From<Judgement> for Outcome {
    fn from(judgement: Judgement) -> Self {
        Self::Failed(judgement)
    }
}

impl From<ErrorClass> for Outcome {
    fn from(class: ErrorClass) -> Self {
        Self::Failed(class.into())
    }
}

/// An exchange that must not be left half done; made by [`Guard::operation`].
#[must_use = "a scope that is not completed counts as abandoned"]
pub struct Scope<'a, M: Manager, R: Runtime = DefaultRuntime>(pool_core::Scope<'a, Tagged<M>, R>);

impl<M: Manager, R: Runtime> Scope<'_, M, R> {
    /// The exchange is over and the connection is ready for another.
    pub fn complete(self) {
        self.0.complete();
    }
}

impl<M: Manager, R: Runtime> Deref for Scope<'_, M, R> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        let bound: &Bound<M> = &self.0;
        &bound.connection
    }
}

impl<M: Manager, R: Runtime> DerefMut for Scope<'_, M, R> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        let bound: &mut Bound<M> = &mut self.0;
        &mut bound.connection
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Scope<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
