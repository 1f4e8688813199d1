//! The machine is what the naive model says, and the shared breaker is the machine.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

mod support;

use proptest::prelude::*;
use support::operations::{refine, specify};
use support::random::Random;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_agrees_with_the_naive_model(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        specify(&bytes);
    }

    #[test]
    fn the_breaker_agrees_with_the_machine(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        refine(&bytes);
    }
}

/// The fuzz target's body over seeded noise, for machines without a fuzzer.
#[test]
fn noise_finds_no_disagreement() {
    for seed in 0..1500 {
        let mut random = Random::new(seed);
        let bytes: Vec<u8> = (0..300).map(|_| random.next() as u8).collect();
        let run = std::panic::catch_unwind(|| {
            specify(&bytes);
            refine(&bytes);
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}
