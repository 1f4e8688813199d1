//! failsafe.

use std::hint::black_box;
use std::time::Duration;

use failsafe::backoff::Constant;
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{CircuitBreaker, Config, Error, StateMachine, backoff};

use super::{Contender, Inside};
use crate::figures::Kind;

pub(crate) struct Peer(StateMachine<ConsecutiveFailures<Constant>, ()>);

impl Peer {
    fn new(span: Duration) -> Self {
        let policy = consecutive_failures(3, backoff::constant(span));
        Self(Config::new().failure_policy(policy).build())
    }
}

impl Contender for Peer {
    const NAME: &'static str = "failsafe";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str = "consecutive_failures(3, constant)";

    fn closed() -> Self {
        Self::new(Duration::from_secs(3600))
    }

    fn opened(span: Duration) -> Option<Self> {
        // It counts whole seconds, and at least one.
        let this = Self::new(span.max(Duration::from_secs(1)));
        for _ in 0..3 {
            let _failed = this.0.call(|| Err::<(), ()>(()));
        }
        Some(this)
    }

    fn calls(&self, count: u32) {
        for _ in 0..count {
            let done = black_box(&self.0).call(|| Ok::<(), ()>(()));
            done.expect("closed");
        }
    }

    fn refusals(&self, count: u32) {
        for _ in 0..count {
            let refused = black_box(&self.0).call(|| Ok::<(), ()>(()));
            assert!(matches!(refused, Err(Error::Rejected)), "open");
        }
    }

    fn hold(&self, inside: Inside) -> bool {
        let done = self.0.call(|| {
            inside();
            Ok::<(), ()>(())
        });
        done.is_ok()
    }
}
