//! Any policy, attempt and random number, against the model of the property tests.

#![no_main]

#[path = "../../../backoff/tests/model/mod.rs"]
mod model;

use backoff::Rng;
use libfuzzer_sys::fuzz_target;

/// The input as numbers, and zeros after its end.
struct Input<'i>(&'i [u8]);

impl Rng for Input<'_> {
    fn next_u64(&mut self) -> u64 {
        let (head, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        head.iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

fuzz_target!(|data: &[u8]| model::Case::any(&mut Input(data)).check());
