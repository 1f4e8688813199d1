//! The user's own code at the points of a connection's life, the same at every node.

use std::pin::Pin;
use std::sync::Arc;

use pool_core::runtime::Runtime;
use pool_core::{Builder, ConnectionInfo, Manager, Verdict};

use crate::node::Tagged;

pub(crate) type AfterConnect<C, E> = dyn for<'a> Fn(
        &'a mut C,
        &'a ConnectionInfo,
    ) -> Pin<Box<dyn Future<Output = Result<(), E>> + Send + 'a>>
    + Send
    + Sync;
pub(crate) type JudgeConnection<C> = dyn Fn(&mut C, &ConnectionInfo) -> Verdict + Send + Sync;

/// Each is optional, and shared by all nodes: their connections may outlive the pool.
pub(crate) struct Hooks<M: Manager> {
    pub(crate) after_connect: Option<Arc<AfterConnect<M::Connection, M::Error>>>,
    pub(crate) on_checkout: Option<Arc<JudgeConnection<M::Connection>>>,
    pub(crate) on_return: Option<Arc<JudgeConnection<M::Connection>>>,
}

impl<M: Manager> Hooks<M> {
    /// Gives those that are set to a node; where none is, the node has nothing to ask.
    pub(crate) fn set<R: Runtime>(
        &self,
        mut builder: Builder<Tagged<M>, R>,
    ) -> Builder<Tagged<M>, R> {
        if let Some(hook) = self.after_connect.clone() {
            builder = builder.after_connect(move |bound, info| hook(&mut bound.connection, info));
        }
        if let Some(hook) = self.on_checkout.clone() {
            builder = builder.on_checkout(move |bound, info| hook(&mut bound.connection, info));
        }
        if let Some(hook) = self.on_return.clone() {
            builder = builder.on_return(move |bound, info| hook(&mut bound.connection, info));
        }
        builder
    }
}

impl<M: Manager> Default for Hooks<M> {
    fn default() -> Self {
        Self {
            after_connect: None,
            on_checkout: None,
            on_return: None,
        }
    }
}
