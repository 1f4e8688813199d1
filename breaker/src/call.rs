//! Closures and futures under a breaker.

use std::future::Future;

use crate::breaker::Breaker;
use crate::rejected::Error;
use crate::state::Outcome;

impl Breaker {
    /// Makes a call if it is admitted, and tells the breaker what `classify` makes of its result;
    /// [`Outcome::of`] takes every `Err` for a failure. A panic of either is a failure.
    ///
    /// ```
    /// use breaker::{Breaker, Config, Error, Outcome};
    ///
    /// let breaker = Breaker::new(Config::new())?;
    /// let answer: Result<u8, Error<std::num::ParseIntError>> =
    ///     breaker.call(Outcome::of, || "42".parse());
    /// assert_eq!(answer, Ok(42));
    /// # Ok::<(), breaker::ConfigErrors>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the call was not made, [`Error::Failed`] if it returned an error.
    pub fn call<T, E>(
        &self,
        classify: impl FnOnce(&Result<T, E>) -> Outcome,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Error<E>> {
        let permit = self.admit()?;
        let result = call();
        permit.settle(classify(&result));
        result.map_err(Error::Failed)
    }

    /// [`call`](Self::call) for a future, on any executor. It is admitted when first polled. Dropped
    /// before it is done, it was cancelled.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the call was not made, [`Error::Failed`] if it returned an error.
    pub async fn call_async<T, E>(
        &self,
        classify: impl FnOnce(&Result<T, E>) -> Outcome,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let permit = self.admit()?;
        let result = call.await;
        permit.settle(classify(&result));
        result.map_err(Error::Failed)
    }
}
