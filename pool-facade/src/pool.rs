//! The pool as its users hold it.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use health::PoolHealth;
use pool_core::runtime::{DefaultRuntime, Runtime};
use pool_core::{CloseReport, Manager};

use crate::builder::Builder;
use crate::call::{Call, Leased, Next};
use crate::config::Config;
use crate::guard::Guard;
use crate::shared::Shared;
use crate::state::{Readiness, State, Statistics};
use crate::{CallOptions, ConfigErrors, Endpoint, Error};

/// A pool of connections to one or several nodes.
///
/// A handle, cheap to clone. The pool is closed when its last handle is dropped; connections that
/// are lent at that time are closed when they come back.
///
/// ```
/// # use pool_core::testing::Script;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let manager = Script::new().manager();
/// let pool = pool_facade::Pool::builder().node("db", manager).build()?;
/// let answer = pool.run(async |connection| Ok(connection.id)).await?;
/// assert_eq!(answer, 0);
/// # Ok(())
/// # }
/// ```
pub struct Pool<M: Manager, R: Runtime = DefaultRuntime>(Arc<Shared<M, R>>);

impl<M: Manager> Pool<M> {
    /// Begins to assemble a pool.
    pub fn builder() -> Builder<M> {
        Builder::new()
    }
}

impl<M: Manager, R: Runtime> Pool<M, R> {
    pub(crate) fn new(shared: Arc<Shared<M, R>>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M, R>> {
        &self.0
    }

    /// Lends a connection of the best node that takes writes.
    ///
    /// Its breaker is asked, and refuses if it is open; beyond that what is done with the
    /// connection is no call of the breaker, unless [`Guard::report`] makes it one. A node that
    /// cannot be connected to is passed over for the next. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Who refused.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Guard<M, R>, Error<M::Error>>> + Send {
        self.get_with(CallOptions::new())
    }

    /// [`get`](Self::get) under options of this call.
    ///
    /// # Errors
    ///
    /// Who refused.
    #[track_caller]
    pub fn get_with<J: Send + Sync>(
        &self,
        options: CallOptions<J>,
    ) -> impl Future<Output = Result<Guard<M, R>, Error<M::Error>>> + Send {
        let options = options.at(Location::caller());
        async move {
            if let Some(pooled) = self.0.lease_plain(&options) {
                return Ok(Guard::new(pooled, None));
            }
            let mut call = Call::new(&self.0, &options);
            let leased = match call.next()? {
                Next::Leased(leased) => leased,
                // A box keeps what is seldom needed out of the future of every call.
                Next::Wait(node, flight) => {
                    Box::pin(async move { call.wait(node, flight).await }).await?
                }
            };
            Ok(self.guard(leased))
        }
    }

    /// Lends a connection if the best node has one idle that needs no work, and its breaker is not
    /// open.
    #[track_caller]
    pub fn try_get(&self) -> Option<Guard<M, R>> {
        let options = CallOptions::new().at(Location::caller());
        let mut call = Call::new(&self.0, &options);
        Some(self.guard(call.try_lease()?))
    }

    /// Lends a connection to a thread that is on no runtime, and blocks it until `deadline` at the
    /// latest. Must not be called from async code.
    ///
    /// New connections are opened on the runtime on which the pool was last used, which must be
    /// running.
    ///
    /// # Errors
    ///
    /// Who refused; also when there is neither a connection nor a runtime to open one on.
    #[track_caller]
    pub fn get_blocking(&self, deadline: Instant) -> Result<Guard<M, R>, Error<M::Error>> {
        let options = CallOptions::new().at(Location::caller());
        let mut call = Call::new(&self.0, &options.deadline(deadline));
        Ok(self.guard(call.lease_blocking(deadline)?))
    }

    fn guard(&self, (pooled, flight): Leased<'_, M, R>) -> Guard<M, R> {
        // A guard may outlive the pool, so its flight owns a share of the board.
        let flight = flight.and_then(|_| self.0.board.start_owned(pooled.vital.id));
        Guard::new(pooled, flight)
    }

    /// What the pool is doing now.
    pub fn state(&self) -> State {
        self.0.state()
    }

    /// What the pool has done since it was built.
    pub fn statistics(&self) -> Statistics {
        let plan = self.0.plan.load_full();
        Statistics {
            name: self.0.name.clone(),
            nodes: plan.nodes().map(|node| node.statistics()).collect(),
            retries: self.0.retries.statistics(),
            panics: self.0.control.panics(),
        }
    }

    /// How well the pool is, in one word and in sentences, as of the last tick.
    pub fn health(&self) -> PoolHealth {
        self.0.health()
    }

    /// Whether the pool can serve: the answer for a load balancer or a supervisor.
    pub fn ready(&self) -> Readiness {
        Readiness::new(&self.0.state())
    }

    /// The settings.
    pub fn config(&self) -> Arc<Config> {
        self.0.control.config()
    }

    /// Waits until every node could be connected to and has its idle minimum.
    ///
    /// # Errors
    ///
    /// The first failure, once all have been tried.
    pub async fn warm(&self) -> Result<(), pool_core::Error<M::Error>> {
        let plan = self.0.plan.load_full();
        let results = join_all(plan.nodes().map(|node| node.pool.warm())).await;
        results.into_iter().collect()
    }

    /// Adds a node. It gets a tenth of its share to begin with, all of it within the slow start.
    ///
    /// # Errors
    ///
    /// A name that is taken, a weight or priority out of range, no room (there may be 64 nodes), or
    /// a pool that is closed.
    pub fn add(&self, endpoint: Endpoint<M>) -> Result<(), ConfigErrors> {
        self.0.add(endpoint)
    }

    /// Removes a node: no call goes there any more, and its connections are closed as by
    /// [`close`](Self::close). `None` if there is none of this name. Cancelling it leaves the node
    /// removed.
    pub async fn remove(&self, name: &str, grace: Duration) -> Option<CloseReport> {
        let node = self.0.remove(name)?;
        Some(node.pool.close(grace).await)
    }

    /// Changes how many connections there may be to each node.
    ///
    /// # Errors
    ///
    /// When `target` is above 1 000 000.
    pub fn resize(&self, target: usize) -> Result<(), ConfigErrors> {
        self.reconfigure(|config| config.pool.max_size = target)
    }

    /// Changes settings while the pool runs.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the result, and every change that takes a new pool; then
    /// nothing is changed.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigErrors> {
        self.0.reconfigure(change)
    }

    /// Stops lending. Connections that are lent may go on and come back.
    pub fn suspend(&self) {
        self.0.control.lock().suspended = true;
        self.each(|pool| pool.suspend());
    }

    /// Lends again, to those who waited in their order.
    pub fn resume(&self) {
        self.0.control.lock().suspended = false;
        self.each(|pool| pool.resume());
    }

    /// Closes all connections opened so far: idle ones now, lent ones when they come back.
    pub fn clear(&self) {
        self.each(|pool| pool.clear());
    }

    /// Replaces all connections opened so far, each at a random time within `interval`.
    pub fn clear_spread(&self, interval: Duration) {
        self.each(|pool| pool.clear_spread(interval));
    }

    /// Closes every breaker and forgets its evidence: somebody knows better.
    pub fn reset_breakers(&self) {
        for node in self.0.plan.load_full().nodes() {
            node.vital.breaker.reset();
        }
    }

    fn each(&self, what: impl Fn(&pool_core::Pool<crate::node::Tagged<M>, R>)) {
        for node in self.0.plan.load_full().nodes() {
            what(&node.pool);
        }
    }

    /// Closes the pool: those who wait fail now, idle connections are closed, lent ones have until
    /// `grace` has passed to come back. Ends within `grace` and 100 ms, and says what is left.
    ///
    /// May be called any number of times, together too. Cancelling it leaves the pool closed.
    pub async fn close(&self, grace: Duration) -> CloseReport {
        self.0.control.lock().closed = true;
        self.0.closed.store(true, Relaxed);
        let plan = self.0.plan.load_full();
        let reports = join_all(plan.nodes().map(|node| node.pool.close(grace))).await;
        let mut total = CloseReport::default();
        for report in reports {
            total.aborted += report.aborted;
            total.outstanding += report.outstanding;
        }
        total
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<M: Manager, R: Runtime> Clone for Pool<M, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Pool<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("state", &self.0.state())
            .finish()
    }
}
