//! The breaker as a layer of a [tower](https://docs.rs/tower) stack.
//!
//! Readiness is the inner service's own; the breaker is asked when a request comes. Put it inside a
//! retry layer and outside a timeout, so that retries are refused and timeouts are seen.
//!
//! ```
//! use std::sync::Arc;
//! use breaker::{Breaker, Config, Outcome, tower::BreakerLayer};
//!
//! let breaker = Arc::new(Breaker::new(Config::new())?);
//! let layer = BreakerLayer::new(breaker, |result: &Result<u16, std::io::Error>| match result {
//!     Ok(429 | 503) => Outcome::Overload,
//!     Ok(500..) => Outcome::Failure,
//!     Ok(_) => Outcome::Success,
//!     Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Outcome::Overload,
//!     Err(_) => Outcome::Failure,
//! });
//! # let _ = layer;
//! # Ok::<(), breaker::ConfigErrors>(())
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_layer::Layer;
use tower_service::Service;

use crate::breaker::Breaker;
use crate::permit::Permit;
use crate::rejected::{Error, Rejected};
use crate::state::Outcome;

/// Puts a [`Breaker`] in front of a service. Services made by clones of one layer share it.
#[derive(Clone, Debug)]
pub struct BreakerLayer<C> {
    breaker: Arc<Breaker>,
    classify: C,
}

impl<C> BreakerLayer<C> {
    /// A layer that asks `breaker` and tells it what `classify` makes of each result.
    pub const fn new(breaker: Arc<Breaker>, classify: C) -> Self {
        Self { breaker, classify }
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = BreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { breaker, classify } = self.clone();
        BreakerService {
            inner,
            breaker,
            classify,
        }
    }
}

/// A service behind a [`Breaker`]; made by [`BreakerLayer`].
#[derive(Clone, Debug)]
pub struct BreakerService<S, C> {
    inner: S,
    breaker: Arc<Breaker>,
    classify: C,
}

impl<S, C, R> Service<R> for BreakerService<S, C>
where
    S: Service<R>,
    C: Fn(&Result<S::Response, S::Error>) -> Outcome + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Failed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let call = match self.breaker.admit_owned() {
            Ok(permit) => Call::Admitted {
                future: self.inner.call(request),
                permit: Some(permit),
                classify: self.classify.clone(),
            },
            Err(rejected) => Call::Rejected { rejected },
        };
        ResponseFuture { call }
    }
}

pin_project_lite::pin_project! {
    /// The response of a [`BreakerService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F, C> {
        #[pin]
        call: Call<F, C>,
    }
}

pin_project_lite::pin_project! {
    #[derive(Debug)]
    #[project = CallProjection]
    enum Call<F, C> {
        Admitted { #[pin] future: F, permit: Option<Permit<Arc<Breaker>>>, classify: C },
        Rejected { rejected: Rejected },
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Fn(&Result<T, E>) -> Outcome,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().call.project() {
            CallProjection::Admitted {
                future,
                permit,
                classify,
            } => {
                let result = ready!(future.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.settle(classify(&result));
                }
                Poll::Ready(result.map_err(Error::Failed))
            }
            CallProjection::Rejected { rejected } => Poll::Ready(Err(Error::Rejected(*rejected))),
        }
    }
}
