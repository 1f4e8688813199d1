//! circuitbreaker-rs.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use circuitbreaker_rs::{BreakerError, CircuitBreaker, DefaultPolicy};

use super::{Contender, Inside};
use crate::figures::Kind;

pub(crate) struct Peer(CircuitBreaker<DefaultPolicy, Never>);

/// It asks for a real error.
#[derive(Debug)]
pub(crate) struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Never {}

impl Contender for Peer {
    const NAME: &'static str = "circuitbreaker-rs";
    const KIND: Kind = Kind::Aside("never recovers once its probes are spent");
    const SETTINGS: &'static str = "failure_threshold(0.5), probe_interval(5)";

    fn closed() -> Self {
        Self(
            CircuitBreaker::<DefaultPolicy, Never>::builder()
                .failure_threshold(0.5)
                .build(),
        )
    }

    fn opened(span: Duration) -> Option<Self> {
        let builder = CircuitBreaker::<DefaultPolicy, Never>::builder().failure_threshold(0.5);
        let builder = builder.probe_interval(5).cooldown(span);
        let this = Self(builder.consecutive_failures(1).min_throughput(1).build());
        for _ in 0..20 {
            let _failed = this.0.call(|| Err::<(), _>(Never));
        }
        Some(this)
    }

    fn calls(&self, count: u32) {
        for _ in 0..count {
            let done = black_box(&self.0).call(|| Ok(()));
            assert!(done.is_ok(), "closed");
        }
    }

    fn refusals(&self, count: u32) {
        for _ in 0..count {
            let refused = black_box(&self.0).call(|| Ok(()));
            assert!(matches!(refused, Err(BreakerError::Open)), "open");
        }
    }

    fn hold(&self, inside: Inside) -> bool {
        let done = self.0.call(|| {
            inside();
            Ok(())
        });
        done.is_ok()
    }
}
