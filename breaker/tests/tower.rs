//! The layer asks the breaker for each request and tells it each response.
#![cfg(all(feature = "tower", not(loom)))]

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker::tower::BreakerLayer;
use breaker::{Breaker, Config, Error, Outcome, Rejected, State};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Backend;

impl Service<u16> for Backend {
    type Response = u16;
    type Error = ();
    type Future = Pin<Box<dyn Future<Output = Result<u16, ()>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, status: u16) -> Self::Future {
        if status == 0 {
            Box::pin(pending())
        } else {
            Box::pin(async move { Ok(status) })
        }
    }
}

fn now<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn responses_are_classified_and_refusals_do_not_reach_the_service() {
    let breaker = Arc::new(Breaker::new(Config::classic(2, Duration::from_secs(60), 1)).unwrap());
    let classify = |result: &Result<u16, ()>| match result {
        Ok(500..) | Err(()) => Outcome::Failure,
        Ok(_) => Outcome::Success,
    };
    let mut service = BreakerLayer::new(Arc::clone(&breaker), classify).layer(Backend);
    assert_eq!(now(service.call(200)), Poll::Ready(Ok(200)));
    assert!(now(service.call(0)).is_pending());
    assert_eq!(breaker.snapshot().totals.cancelled, 1);
    assert_eq!(now(service.call(500)), Poll::Ready(Ok(500)));
    assert_eq!(now(service.call(503)), Poll::Ready(Ok(503)));
    assert_eq!(breaker.state(), State::Open);
    let refused = now(service.call(200));
    assert!(matches!(
        refused,
        Poll::Ready(Err(Error::Rejected(Rejected::Open { .. })))
    ));
}
