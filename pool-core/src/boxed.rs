//! Managers behind one type, for pools that are chosen at run time.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Abandoned, AbortHandle, CloseReason, ConnectContext, ErrorClass, Manager, ResetAt};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any manager of connections `C` with errors `E`, at the cost of one allocation for each
/// asynchronous call; the synchronous ones, made on every checkout, cost a virtual call.
pub struct BoxManager<C, E>(Arc<dyn Erased<C, E>>);

trait Erased<C, E>: Send + Sync {
    fn connect(self: Arc<Self>, context: ConnectContext) -> BoxFuture<'static, Result<C, E>>;
    fn is_valid<'a>(&'a self, connection: &'a mut C) -> BoxFuture<'a, Result<(), E>>;
    fn reset<'a>(&'a self, connection: &'a mut C) -> BoxFuture<'a, Result<(), E>>;
    fn has_broken(&self, connection: &mut C) -> bool;
    fn needs_reset(&self, connection: &mut C) -> bool;
    fn reset_at(&self) -> ResetAt;
    fn on_abandoned(&self) -> Abandoned;
    fn classify(&self, error: &E) -> ErrorClass;
    fn on_remove(&self, connection: &mut C, reason: CloseReason);
    fn close<'a>(&'a self, connection: C, reason: CloseReason) -> BoxFuture<'a, ()>
    where
        C: 'a;
    fn abort_handle(&self, connection: &C) -> Option<AbortHandle>;
}

impl<M: Manager> Erased<M::Connection, M::Error> for M {
    fn connect(
        self: Arc<Self>,
        context: ConnectContext,
    ) -> BoxFuture<'static, Result<M::Connection, M::Error>> {
        Box::pin(async move { Manager::connect(&*self, context).await })
    }

    fn is_valid<'a>(
        &'a self,
        connection: &'a mut M::Connection,
    ) -> BoxFuture<'a, Result<(), M::Error>> {
        Box::pin(Manager::is_valid(self, connection))
    }

    fn reset<'a>(
        &'a self,
        connection: &'a mut M::Connection,
    ) -> BoxFuture<'a, Result<(), M::Error>> {
        Box::pin(Manager::reset(self, connection))
    }

    fn has_broken(&self, connection: &mut M::Connection) -> bool {
        Manager::has_broken(self, connection)
    }

    fn needs_reset(&self, connection: &mut M::Connection) -> bool {
        Manager::needs_reset(self, connection)
    }

    fn reset_at(&self) -> ResetAt {
        Manager::reset_at(self)
    }

    fn on_abandoned(&self) -> Abandoned {
        Manager::on_abandoned(self)
    }

    fn classify(&self, error: &M::Error) -> ErrorClass {
        Manager::classify(self, error)
    }

    fn on_remove(&self, connection: &mut M::Connection, reason: CloseReason) {
        Manager::on_remove(self, connection, reason);
    }

    fn close<'a>(&'a self, connection: M::Connection, reason: CloseReason) -> BoxFuture<'a, ()>
    where
        M::Connection: 'a,
    {
        Box::pin(Manager::close(self, connection, reason))
    }

    fn abort_handle(&self, connection: &M::Connection) -> Option<AbortHandle> {
        Manager::abort_handle(self, connection)
    }
}

impl<C: Send + 'static, E: Send + Sync + 'static> BoxManager<C, E> {
    /// Hides the type of `manager`.
    pub fn new<M: Manager<Connection = C, Error = E>>(manager: M) -> Self {
        Self(Arc::new(manager))
    }
}

impl<C: Send + 'static, E: Send + Sync + 'static> Manager for BoxManager<C, E> {
    type Connection = C;
    type Error = E;

    async fn connect(&self, context: ConnectContext) -> Result<C, E> {
        self.0.clone().connect(context).await
    }

    async fn is_valid(&self, connection: &mut C) -> Result<(), E> {
        self.0.is_valid(connection).await
    }

    async fn reset(&self, connection: &mut C) -> Result<(), E> {
        self.0.reset(connection).await
    }

    fn has_broken(&self, connection: &mut C) -> bool {
        self.0.has_broken(connection)
    }

    fn needs_reset(&self, connection: &mut C) -> bool {
        self.0.needs_reset(connection)
    }

    fn reset_at(&self) -> ResetAt {
        self.0.reset_at()
    }

    fn on_abandoned(&self) -> Abandoned {
        self.0.on_abandoned()
    }

    fn classify(&self, error: &E) -> ErrorClass {
        self.0.classify(error)
    }

    fn on_remove(&self, connection: &mut C, reason: CloseReason) {
        self.0.on_remove(connection, reason);
    }

    async fn close(&self, connection: C, reason: CloseReason) {
        self.0.close(connection, reason).await;
    }

    fn abort_handle(&self, connection: &C) -> Option<AbortHandle> {
        self.0.abort_handle(connection)
    }
}

impl<C, E> Clone for BoxManager<C, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C, E> fmt::Debug for BoxManager<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxManager")
    }
}
