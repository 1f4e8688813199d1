//! The least that gives such delays: a xorshift, a shift and a multiplication.

use std::time::Duration;

use super::Contender;
use crate::figures::Kind;

pub(crate) struct Floor {
    state: u64,
    attempt: u32,
}

impl Contender for Floor {
    const NAME: &'static str = "floor";
    const KIND: Kind = Kind::Floor;
    const SETTINGS: &'static str = "xorshift, shift, multiply; every sequence the same";

    fn sequence() -> impl Iterator<Item = Duration> {
        Self {
            state: 0x1234_5678_9abc_def1,
            attempt: 0,
        }
    }
}

impl Iterator for Floor {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let ceiling_ns = (100_000_000_u64 << self.attempt.min(20)).min(10_000_000_000);
        self.attempt += 1;
        let delay_ns = (u128::from(self.state) * u128::from(ceiling_ns)) >> 64;
        Some(Duration::from_nanos(delay_ns as u64))
    }
}
