//! The crate called breaker on crates.io.

use std::hint::black_box;
use std::time::Duration;

use peer_breaker::{CircuitBreaker, CircuitBreakerConfig};

use super::{Contender, Inside};
use crate::figures::Kind;
use crate::work::get::current_thread;

pub(crate) struct Peer(CircuitBreaker);

impl Contender for Peer {
    const NAME: &'static str = "breaker 2.0";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str =
        "standard(); opened: consecutive_failures(1), half_open_max_calls(5)";

    fn closed() -> Self {
        Self(CircuitBreaker::new(CircuitBreakerConfig::standard()))
    }

    fn opened(span: Duration) -> Option<Self> {
        let config = CircuitBreakerConfig::builder()
            .consecutive_failures(1)
            .half_open_max_calls(5)
            .wait_duration(span);
        let breaker = CircuitBreaker::new(config.build());
        breaker.record_failure();
        Some(Self(breaker))
    }

    fn calls(&self, count: u32) {
        current_thread().block_on(async {
            for _ in 0..count {
                let done = black_box(&self.0).call(|| async { Ok::<(), ()>(()) });
                assert!(done.await.is_ok(), "closed");
            }
        });
    }

    fn refusals(&self, count: u32) {
        current_thread().block_on(async {
            for _ in 0..count {
                let refused = black_box(&self.0).call(|| async { Ok::<(), ()>(()) });
                assert!(refused.await.is_err(), "open");
            }
        });
    }

    fn hold(&self, inside: Inside) -> bool {
        let guarded = self.0.call(|| async {
            inside();
            Ok::<(), ()>(())
        });
        current_thread().block_on(guarded).is_ok()
    }
}
