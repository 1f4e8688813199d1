//! One call on its way to a connection: which nodes it has asked, and whether it may try again.

use std::sync::Arc;
use std::time::Instant;

use backoff::{Admission, Hint, Session, SplitMix64, Stop};
use breaker::Rejected;
use pool_core::runtime::Runtime;
use pool_core::{ErrorKind, GetOptions, Manager, Pooled, Stage};

use crate::balance::{Access, Board, Flight, NodeSet, Outcome, Request};
use crate::error::{Cause, Report};
use crate::judge::Judgement;
use crate::node::{Node, Tagged, Vital};
use crate::plan::Plan;
use crate::random::{generator, random};
use crate::shared::Shared;
use crate::{CallOptions, Error};

/// The attempts of one call. As long as there is nothing to decide there is no [`Call`].
pub(crate) struct Attempts<'a, M: Manager, R: Runtime, J> {
    shared: &'a Shared<M, R>,
    options: &'a CallOptions<J>,
    call: Option<Call<'a, M, R>>,
    /// How often the operation was begun.
    count: u32,
}

impl<'a, M: Manager, R: Runtime, J> Attempts<'a, M, R, J> {
    pub(crate) fn new(shared: &'a Shared<M, R>, options: &'a CallOptions<J>) -> Self {
        Self {
            shared,
            options,
            call: None,
            count: 0,
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Leases a connection for the next attempt.
    pub(crate) async fn lease<E>(&mut self) -> Result<Leased<'a, M, R>, Error<M::Error, E>> {
        if self.call.is_none() {
            if let Some(pooled) = self.shared.lease_plain(self.options) {
                return Ok((pooled, None));
            }
        }
        let call = self.call();
        match call.next()? {
            Next::Leased(leased) => Ok(leased),
            // A box keeps what is seldom needed out of the future of every call.
            Next::Wait(node, flight) => Box::pin(call.wait(node, flight)).await,
        }
    }

    /// The breaker of a node does not admit the call.
    pub(crate) fn reject(&mut self, node: &Arc<Vital<M>>, rejected: Rejected) {
        self.call().reject(node, rejected);
    }

    /// The operation begins; says when it has to end.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        self.count += 1;
        self.call.as_ref()?.deadline
    }

    /// The operation has failed at `node`, or has run out of time there. Waits until it may be
    /// tried again.
    ///
    /// # Errors
    ///
    /// It may not.
    pub(crate) async fn after<E>(
        &mut self,
        node: &Arc<Vital<M>>,
        failure: Option<(E, Judgement)>,
    ) -> Result<(), Error<M::Error, E>> {
        Box::pin(self.call().after(node, failure)).await
    }

    fn call(&mut self) -> &mut Call<'a, M, R> {
        let new = || Call::new(self.shared, self.options);
        let call = self.call.get_or_insert_with(new);
        call.attempts = self.count;
        call
    }
}

/// A call.
pub(crate) struct Call<'a, M: Manager, R: Runtime> {
    shared: &'a Shared<M, R>,
    acquire: GetOptions,
    access: Access,
    idempotent: bool,
    max_attempts: Option<u32>,
    deadline: Option<Instant>,
    attempts: u32,
    /// Nodes that have refused this call.
    refused: NodeSet,
    /// Where the operation failed last: another node is better.
    avoided: Option<Arc<Vital<M>>>,
    refusal: Option<Refusal<M>>,
    session: Option<Box<Session<SplitMix64>>>,
}

/// A connection, and its node's count of it where nodes are balanced.
pub(crate) type Leased<'a, M, R> = (Pooled<Tagged<M>, R>, Option<Flight<&'a Board>>);

/// What a call can do next.
pub(crate) enum Next<'a, M: Manager, R: Runtime> {
    Leased(Leased<'a, M, R>),
    Wait(Arc<Node<M, R>>, Option<Flight<&'a Board>>),
}

/// Why a node did not serve.
struct Refusal<M: Manager> {
    node: Arc<Vital<M>>,
    cause: RefusalCause<M::Error>,
}

enum RefusalCause<A> {
    Rejected(Rejected),
    Acquire(pool_core::Error<A>),
}

impl<'a, M: Manager, R: Runtime> Call<'a, M, R> {
    pub(crate) fn new<J>(shared: &'a Shared<M, R>, options: &CallOptions<J>) -> Self {
        let timed = options
            .timeout
            .and_then(|timeout| shared.runtime.now().checked_add(timeout));
        let deadline = [timed, options.deadline].into_iter().flatten().min();
        let acquire = options.acquire.clone();
        Self {
            shared,
            acquire: match deadline {
                Some(deadline) => acquire.no_later_than(deadline),
                None => acquire,
            },
            access: options.access(),
            idempotent: options.idempotent,
            max_attempts: options.max_attempts,
            deadline,
            attempts: 0,
            refused: NodeSet::new(),
            avoided: None,
            refusal: None,
            session: None,
        }
    }

    /// Waits for a connection of the node that is the [`next`](Self::next), and of the best one
    /// after that, until one does not refuse.
    pub(crate) async fn wait<E>(
        &mut self,
        mut node: Arc<Node<M, R>>,
        mut flight: Option<Flight<&'a Board>>,
    ) -> Result<Leased<'a, M, R>, Error<M::Error, E>> {
        loop {
            match node.pool.get_with(self.acquire.clone()).await {
                Ok(pooled) => return Ok((pooled, flight)),
                Err(error) => self.pass_over(&node.vital, flight, error)?,
            }
            (node, flight) = match self.next()? {
                Next::Leased(leased) => return Ok(leased),
                Next::Wait(node, flight) => (node, flight),
            };
        }
    }

    /// As [`lease`](Self::lease), blocking the thread.
    pub(crate) fn lease_blocking<E>(
        &mut self,
        deadline: Instant,
    ) -> Result<Leased<'a, M, R>, Error<M::Error, E>> {
        loop {
            let (node, flight) = match self.next()? {
                Next::Leased(leased) => return Ok(leased),
                Next::Wait(node, flight) => (node, flight),
            };
            match node.pool.get_blocking(deadline) {
                Ok(pooled) => return Ok((pooled, flight)),
                Err(error) => self.pass_over(&node.vital, flight, error)?,
            }
        }
    }

    /// An idle connection of the best node, if there is one that needs no work.
    pub(crate) fn try_lease(&mut self) -> Option<Leased<'a, M, R>> {
        match self.next::<M::Error>() {
            Ok(Next::Leased(leased)) => Some(leased),
            _ => None,
        }
    }

    /// The best node whose breaker does not refuse, with an idle connection if it has one.
    pub(crate) fn next<E>(&mut self) -> Result<Next<'a, M, R>, Error<M::Error, E>> {
        let plan = self.shared.plan.load();
        loop {
            let Some(node) = self.choose(&plan) else {
                return Err(self.refused());
            };
            if let Err(rejected) = node.vital.ask() {
                self.reject(&node.vital, rejected);
                continue;
            }
            let flight = match &plan.only {
                Some(_) => None,
                None => self.shared.board.start(node.vital.id),
            };
            if let Some(pooled) = node.pool.try_get_with(&self.acquire) {
                return Ok(Next::Leased((pooled, flight)));
            }
            if !node.gate.is_shut(|| self.shared.runtime.now()) {
                return Ok(Next::Wait(node.clone(), flight));
            }
            let error = node.pool.refuse_connect();
            self.pass_over(&node.vital, flight, error)?;
        }
    }

    /// A node has lent nothing. One that cannot be connected to is passed over: nothing was
    /// executed there, so the next is no second attempt. One that is full is not: its callers
    /// would only crowd the next.
    fn pass_over<E>(
        &mut self,
        node: &Arc<Vital<M>>,
        flight: Option<Flight<&Board>>,
        error: pool_core::Error<M::Error>,
    ) -> Result<(), Error<M::Error, E>> {
        let elsewhere = matches!(
            error.kind(),
            ErrorKind::Connect | ErrorKind::ConnectPanicked | ErrorKind::Closed
        );
        if elsewhere {
            // The time of the acquire is one for all nodes; it began with the first.
            let now = self.shared.runtime.now();
            let began = now.checked_sub(error.waited()).unwrap_or(now);
            let own = self.shared.control.config().pool.acquire_timeout;
            if let Some(deadline) = self.acquire.deadline_from(began, own) {
                self.acquire = std::mem::take(&mut self.acquire).no_later_than(deadline);
            }
        }
        // Full is not bad; silent is.
        let silent = matches!(error.stage(), Some(stage) if stage != Stage::Wait);
        if let Some(flight) = flight.filter(|_| elsewhere || silent) {
            flight.settle(Outcome::Failure, None);
        }
        self.refuse(node, RefusalCause::Acquire(error));
        if elsewhere {
            Ok(())
        } else {
            Err(self.refused())
        }
    }

    /// The best node that has not refused, if any.
    fn choose<'p>(&mut self, plan: &'p Plan<M, R>) -> Option<&'p Arc<Node<M, R>>> {
        if let Some(only) = &plan.only {
            return Some(only).filter(|node| !self.refused.contains(node.vital.id));
        }
        loop {
            let mut exclude = self.refused;
            if let Some(avoided) = &self.avoided {
                exclude.insert(avoided.id);
            }
            let request = Request::new(self.access).exclude(exclude);
            let Some(id) = self.shared.board.pick(&request, random()) else {
                // Better the one that failed than none.
                self.avoided.take()?;
                continue;
            };
            match plan.node(id) {
                Some(node) => return Some(node),
                // It was removed between the two readings.
                None => self.refused.insert(id),
            }
        }
    }

    fn reject(&mut self, node: &Arc<Vital<M>>, rejected: Rejected) {
        let sooner = match &self.refusal {
            Some(Refusal {
                cause: RefusalCause::Rejected(known),
                ..
            }) => match (known.retry_after(), rejected.retry_after()) {
                (Some(known), Some(new)) => new < known,
                (known, _) => known.is_none(),
            },
            _ => true,
        };
        if sooner {
            self.refuse(node, RefusalCause::Rejected(rejected));
        } else {
            self.refused.insert(node.id);
        }
    }

    fn refuse(&mut self, node: &Arc<Vital<M>>, cause: RefusalCause<M::Error>) {
        self.refused.insert(node.id);
        self.refusal = Some(Refusal {
            node: node.clone(),
            cause,
        });
    }

    /// See [`Attempts::after`].
    async fn after<E>(
        &mut self,
        node: &Arc<Vital<M>>,
        failure: Option<(E, Judgement)>,
    ) -> Result<(), Error<M::Error, E>> {
        let Some((error, judgement)) = failure else {
            return Err(self.give_up(node, Cause::OperationTimeout, Some(Stop::Deadline)));
        };
        match self.retry(node, judgement).await {
            Ok(()) => Ok(()),
            Err(stop) => Err(self.give_up(node, Cause::Operation(error, judgement), stop)),
        }
    }

    /// Waits until the operation may be tried again, or says why it may not, if it would have been
    /// worth trying.
    async fn retry(
        &mut self,
        node: &Arc<Vital<M>>,
        judgement: Judgement,
    ) -> Result<(), Option<Stop>> {
        let retries = &self.shared.retries;
        if !judgement.may_retry(self.idempotent) {
            return Err(None);
        }
        if self.max_attempts.is_some_and(|most| self.attempts >= most) {
            return Err(Some(Stop::Attempts));
        }
        let now = self.shared.runtime.now();
        let (delay, budget) = {
            let plan = self.shared.plan.load();
            let session = self.session.get_or_insert_with(|| {
                let session = Session::new(plan.retry, generator(), now);
                Box::new(match self.deadline {
                    Some(deadline) => session.deadline(deadline),
                    None => session,
                })
            });
            let hint = judgement.hint().map_or(Hint::Silent, Hint::After);
            let gate = if plan.all_open() {
                Admission::Never
            } else {
                Admission::Now
            };
            (session.on_failure(hint, gate, now)?, plan.budget.clone())
        };
        let Some(charge) = budget.try_charge(judgement.cost()) else {
            return Err(Some(Stop::Budget));
        };
        tracing::debug!(
            target: "retry",
            pool = &*self.shared.name,
            node = &*node.name,
            attempt = self.attempts,
            class = %judgement.class(),
            ?delay,
            "trying again"
        );
        self.shared.runtime.sleep_until(now + delay).await;
        charge.commit();
        retries.on_retry(delay);
        self.refused = NodeSet::new();
        self.refusal = None;
        self.avoided = Some(node.clone());
        Ok(())
    }

    /// The operation has failed for good.
    #[cold]
    fn give_up<E>(
        &self,
        node: &Arc<Vital<M>>,
        cause: Cause<M::Error, E>,
        stop: Option<Stop>,
    ) -> Error<M::Error, E> {
        self.shared.retries.on_failure(stop);
        if self.attempts > 1 {
            tracing::warn!(
                target: "retry",
                pool = &*self.shared.name,
                node = &*node.name,
                attempts = self.attempts,
                class = ?node.last_failure(),
                ?stop,
                "given up"
            );
        }
        self.error(Some(node), cause, stop)
    }

    /// No node serves: the reason.
    fn refused<E>(&mut self) -> Error<M::Error, E> {
        if self.shared.is_closed() {
            return self.error(None, Cause::Closed, None);
        }
        match self.refusal.take() {
            None => self.error(None, Cause::NoNode, None),
            Some(Refusal { node, cause }) => {
                let cause = match cause {
                    RefusalCause::Rejected(rejected) => Cause::Rejected(rejected),
                    RefusalCause::Acquire(error) => Cause::Acquire(error),
                };
                self.error(Some(&node), cause, None)
            }
        }
    }

    #[cold]
    fn error<E>(
        &self,
        node: Option<&Arc<Vital<M>>>,
        cause: Cause<M::Error, E>,
        stop: Option<Stop>,
    ) -> Error<M::Error, E> {
        let state = match (&cause, node) {
            (Cause::Acquire(error), _) => error.state().clone(),
            (_, Some(vital)) => {
                let plan = self.shared.plan.load();
                let node = plan.node(vital.id);
                node.map(|node| node.pool.state()).unwrap_or_default()
            }
            (_, None) => pool_core::State::default(),
        };
        Error::new(Report {
            cause,
            pool: self.shared.name.clone(),
            node: node.map(|node| node.name.clone()),
            state,
            attempts: self.attempts,
            stop,
            last: node.and_then(|node| node.last_failure()),
        })
    }
}
