//! Running an operation: lease, admit, run, judge, record, perhaps again.

use std::panic::Location;

use pool_core::runtime::Runtime;
use pool_core::{ErrorClass, Manager, Operation};

use crate::call::Attempts;
use crate::judge::{Judge, Judgement};
use crate::node::Bound;
use crate::within::{Late, within};
use crate::{CallOptions, Error, Pool};

impl<M: Manager, R: Runtime> Pool<M, R> {
    /// Runs `operation` on a connection of the best node, and again where that is safe.
    ///
    /// In this order: a node is chosen; its breaker is asked, and refuses if it is open; a
    /// connection is leased; the breaker admits the call; the operation runs; its outcome is
    /// judged, and told to breaker and balancer; the connection goes back. An operation that
    /// failed is tried again, on another node if there is one, within budget, attempts and time,
    /// if the server has provably done nothing; under
    /// [`run_with`](Self::run_with) also if it is said to be idempotent. What was refused (open,
    /// shed, timed out in the queue) is not tried again.
    ///
    /// Dropping the future at any time gives everything back: the breaker takes it for cancelled,
    /// and [`Manager::on_abandoned`] says what becomes of the connection.
    ///
    /// # The closure
    ///
    /// It may borrow what surrounds it, but not mutably. An `async move` closure must not lend
    /// what it has captured: its future would borrow from the closure itself. Take a reference
    /// outside and let the closure capture that:
    ///
    /// ```
    /// # use pool_core::testing::Script;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = pool_facade::Pool::builder().node("a", Script::new().manager()).build()?;
    /// let text = String::from("owned");
    /// let text = &text; // without this line, and with `async move`, it does not compile
    /// let length = pool.run(async move |connection| {
    ///     # let _ = connection;
    ///     Ok(text.len())
    /// }).await?;
    /// assert_eq!(length, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The refused one; the compiler says "async closure does not implement `FnMut` because it
    /// captures state from its environment":
    ///
    /// ```compile_fail
    /// # use pool_core::testing::Script;
    /// # async fn refused() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = pool_facade::Pool::builder().node("a", Script::new().manager()).build()?;
    /// let text = String::from("owned");
    /// let length = pool.run(async move |connection| {
    ///     # let _ = connection;
    ///     let text = &text; // lends what the closure owns
    ///     std::future::ready(()).await;
    ///     Ok(text.len())
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Who refused, or the operation's own error with the reason why it was not tried again.
    #[track_caller]
    pub fn run<T, F>(&self, operation: F) -> impl Future<Output = Result<T, Error<M::Error>>> + Send
    where
        T: Send,
        F: AsyncFnMut(&mut M::Connection) -> Result<T, M::Error>
            + for<'c> Operation<'c, M::Connection, T, M::Error>
            + Send,
    {
        self.run_with(CallOptions::new(), operation)
    }

    /// [`run`](Self::run) under options of this call, and with any error type for which they name
    /// a [judge](CallOptions::judge).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn run_with<T, E, F, J>(
        &self,
        options: CallOptions<J>,
        mut operation: F,
    ) -> impl Future<Output = Result<T, Error<M::Error, E>>> + Send
    where
        T: Send,
        E: Send,
        J: Judge<M::Error, E>,
        F: AsyncFnMut(&mut M::Connection) -> Result<T, E>
            + for<'c> Operation<'c, M::Connection, T, E>
            + Send,
    {
        let options = options.at(Location::caller());
        async move {
            let shared = self.shared();
            let mut attempts = Attempts::new(shared, &options);
            loop {
                let (mut pooled, flight) = attempts.lease().await?;
                let mut scope = pooled.operation();
                let Bound {
                    connection, vital, ..
                } = &mut *scope;
                let admitted = vital.breaker.admit();
                let Ok(permit) = admitted.map_err(|rejected| attempts.reject(vital, rejected))
                else {
                    scope.complete();
                    continue;
                };
                let deadline = attempts.begin();
                let started = flight.as_ref().map(|_| shared.runtime.now());
                let failure = match within(&shared.runtime, deadline, operation(connection)).await {
                    Ok(Ok(value)) => {
                        shared.settle(vital, permit, flight, started, None);
                        scope.complete();
                        shared.on_success(attempts.count());
                        return Ok(value);
                    }
                    Ok(Err(error)) => {
                        let by_pool = |error: &M::Error| shared.judge(&vital.manager, error);
                        let judgement = options.judge.judge(&by_pool, &error);
                        Some((error, judgement))
                    }
                    Err(Late) => None,
                };
                let judgement = match &failure {
                    Some((_, judgement)) => *judgement,
                    None => Judgement::new(ErrorClass::Overload),
                };
                let node = vital.clone();
                shared.settle(vital, permit, flight, started, Some(judgement));
                if failure.is_some() {
                    scope.complete();
                    pooled.report(judgement.class());
                } else {
                    // Not completed: what becomes of the connection is the manager's choice.
                    drop(scope);
                }
                drop(pooled);
                attempts.after(&node, failure).await?;
            }
        }
    }
}
