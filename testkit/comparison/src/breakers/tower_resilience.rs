//! tower-resilience-circuitbreaker, a tower service.

use std::future::{Ready, ready};
use std::time::Duration;

use tower::util::ServiceFn;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use tower_resilience_circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, DefaultClassifier,
};

use super::{Contender, Inside};
use crate::figures::Kind;
use crate::work::get::current_thread;

type Answer = Ready<Result<(), ()>>;
type Backend = ServiceFn<fn(Job) -> Answer>;

/// The service is cloned for each caller, and shares its state with its clones.
pub(crate) struct Peer(CircuitBreaker<Backend, DefaultClassifier>);

enum Job {
    Succeed,
    Fail,
    Do(Inside),
}

fn answer(job: Job) -> Answer {
    match job {
        Job::Succeed => ready(Ok(())),
        Job::Fail => ready(Err(())),
        Job::Do(inside) => {
            inside();
            ready(Ok(()))
        }
    }
}

impl Peer {
    fn guard(layer: &CircuitBreakerLayer<DefaultClassifier>) -> Self {
        Self(layer.layer(service_fn(answer as fn(Job) -> Answer)))
    }

    fn ask(&self, job: Job) -> Result<(), CircuitBreakerError<()>> {
        let mut service = self.0.clone();
        current_thread().block_on(async { service.ready().await?.call(job).await })
    }
}

impl Contender for Peer {
    const NAME: &'static str = "tower-resilience";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str =
        "failure_rate_threshold(0.5); opened: a window of one, five in half-open";

    fn closed() -> Self {
        let builder = CircuitBreakerLayer::builder().failure_rate_threshold(0.5);
        Self::guard(&builder.build().expect("the settings are valid"))
    }

    fn opened(span: Duration) -> Option<Self> {
        let builder = CircuitBreakerLayer::builder()
            .sliding_window_size(1)
            .minimum_number_of_calls(1)
            .wait_duration_in_open(span)
            .permitted_calls_in_half_open(5);
        let this = Self::guard(&builder.build().expect("the settings are valid"));
        for _ in 0..2 {
            let _failed = this.ask(Job::Fail);
        }
        Some(this)
    }

    fn calls(&self, count: u32) {
        let mut service = self.0.clone();
        current_thread().block_on(async {
            for _ in 0..count {
                let service = service.ready().await.expect("closed");
                service.call(Job::Succeed).await.expect("closed");
            }
        });
    }

    fn refusals(&self, count: u32) {
        let mut service = self.0.clone();
        current_thread().block_on(async {
            for _ in 0..count {
                let service = service.ready().await.expect("it says so when called");
                assert!(service.call(Job::Succeed).await.is_err(), "open");
            }
        });
    }

    fn hold(&self, inside: Inside) -> bool {
        self.ask(Job::Do(inside)).is_ok()
    }
}
