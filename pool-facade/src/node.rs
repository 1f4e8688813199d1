//! One node: a pool of its own, and what its connections carry to find it again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use breaker::{Breaker, Rejected};
use pool_core::runtime::Runtime;
use pool_core::{
    Abandoned, AbortHandle, CloseReason, ConnectContext, ErrorClass, Manager, ResetAt,
};

use crate::balance::NodeId;
use crate::gate::Gate;
use crate::metrics::NodeMetrics;

/// A node of the pool.
pub(crate) struct Node<M: Manager, R: Runtime> {
    pub(crate) pool: pool_core::Pool<Tagged<M>, R>,
    pub(crate) vital: Arc<Vital<M>>,
    pub(crate) gate: Arc<Gate>,
    /// What is counted for a registry, if the pool has one.
    pub(crate) metrics: Option<Arc<NodeMetrics>>,
}

/// What belongs to a node and outlives its place in the pool as long as a connection is lent.
pub(crate) struct Vital<M> {
    pub(crate) id: NodeId,
    pub(crate) name: Arc<str>,
    pub(crate) manager: M,
    pub(crate) breaker: Breaker,
    /// The class of the last failure, as its place in [`CLASSES`] plus 1.
    last: AtomicU8,
    /// A failure says that the node may be gone or play another part than before.
    suspect: AtomicBool,
}

impl<M> Vital<M> {
    pub(crate) fn new(id: NodeId, name: Arc<str>, manager: M, breaker: Breaker) -> Self {
        Self {
            id,
            name,
            manager,
            breaker,
            last: AtomicU8::new(0),
            suspect: AtomicBool::new(false),
        }
    }

    /// Asks the breaker, by one load unless it is open, before anything is done for a call. Once
    /// the open time is over this is what lets the next call probe.
    pub(crate) fn ask(&self) -> Result<(), Rejected> {
        if self.breaker.state() != breaker::State::Open {
            return Ok(());
        }
        // A call is admitted for good when it has its connection: until then it may yet be refused
        // there, and its time should not count. This one is cancelled.
        self.breaker.admit().map(drop)
    }

    pub(crate) fn set_last_failure(&self, class: ErrorClass) {
        let place = CLASSES.iter().position(|one| *one == class);
        let place = place.and_then(|place| u8::try_from(place + 1).ok());
        self.last.store(place.unwrap_or(0), Relaxed);
        if matches!(class, ErrorClass::Broken | ErrorClass::WrongRole) {
            self.suspect.store(true, Relaxed);
        }
    }

    /// Whether a call has cast doubt on the node since this was last asked.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.suspect.swap(false, Relaxed)
    }

    pub(crate) fn last_failure(&self) -> Option<ErrorClass> {
        let place = usize::from(self.last.load(Relaxed)).checked_sub(1)?;
        CLASSES.get(place).copied()
    }

    /// Tells the breaker of something that was not admitted as a call: as a call of no length,
    /// unless no calls are admitted.
    pub(crate) fn report(&self, outcome: breaker::Outcome) {
        if let Ok(permit) = self.breaker.admit() {
            permit.settle(outcome);
        }
    }
}

impl<M> fmt::Debug for Vital<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("breaker", &self.breaker.state())
            .finish_non_exhaustive()
    }
}

/// A manager whose connections know their node.
pub(crate) struct Tagged<M>(pub(crate) Arc<Vital<M>>);

/// A connection that knows its node, so that a call needs no count of references to it.
pub(crate) struct Bound<M: Manager> {
    pub(crate) connection: M::Connection,
    pub(crate) vital: Arc<Vital<M>>,
    /// A guard is giving it back and has reported nothing: should it come back broken, that is a
    /// failure.
    pub(crate) unreported: bool,
}

impl<M: Manager> Bound<M> {
    /// The connection is found to be `broken`, or not.
    fn settle(&mut self, broken: bool) {
        if std::mem::take(&mut self.unreported) && broken {
            self.vital.set_last_failure(ErrorClass::Broken);
            self.vital.report(breaker::Outcome::Failure);
        }
    }
}

impl<M: Manager> Manager for Tagged<M> {
    type Connection = Bound<M>;
    type Error = M::Error;

    async fn connect(&self, context: ConnectContext) -> Result<Self::Connection, M::Error> {
        Ok(Bound {
            connection: self.0.manager.connect(context).await?,
            vital: self.0.clone(),
            unreported: false,
        })
    }

    fn is_valid(&self, bound: &mut Bound<M>) -> impl Future<Output = Result<(), M::Error>> + Send {
        self.0.manager.is_valid(&mut bound.connection)
    }

    fn reset(&self, bound: &mut Bound<M>) -> impl Future<Output = Result<(), M::Error>> + Send {
        self.0.manager.reset(&mut bound.connection)
    }

    fn has_broken(&self, bound: &mut Bound<M>) -> bool {
        let broken = self.0.manager.has_broken(&mut bound.connection);
        bound.settle(broken);
        broken
    }

    fn needs_reset(&self, bound: &mut Bound<M>) -> bool {
        self.0.manager.needs_reset(&mut bound.connection)
    }

    fn reset_at(&self) -> ResetAt {
        self.0.manager.reset_at()
    }

    fn on_abandoned(&self) -> Abandoned {
        self.0.manager.on_abandoned()
    }

    fn classify(&self, error: &M::Error) -> ErrorClass {
        self.0.manager.classify(error)
    }

    fn on_remove(&self, bound: &mut Bound<M>, reason: CloseReason) {
        let broken = matches!(reason, CloseReason::Broken | CloseReason::Invalidated);
        bound.settle(broken);
        self.0.manager.on_remove(&mut bound.connection, reason);
    }

    fn close(&self, bound: Bound<M>, reason: CloseReason) -> impl Future<Output = ()> + Send {
        self.0.manager.close(bound.connection, reason)
    }

    fn abort_handle(&self, bound: &Bound<M>) -> Option<AbortHandle> {
        self.0.manager.abort_handle(&bound.connection)
    }
}

const CLASSES: [ErrorClass; 6] = [
    ErrorClass::Transient,
    ErrorClass::Permanent,
    ErrorClass::Overload,
    ErrorClass::Broken,
    ErrorClass::WrongRole,
    ErrorClass::Caller,
];
