//! Chance: one generator to a thread, from which all others of this crate are seeded.

use std::cell::Cell;

use backoff::{Rng as _, SplitMix64};

/// A random number.
pub(crate) fn random() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(GAMMA);
        state.set(next);
        SplitMix64::from_seed(next).next_u64()
    })
}

/// A generator of its own.
pub(crate) fn generator() -> SplitMix64 {
    SplitMix64::from_seed(random())
}

/// From now on this thread's numbers follow from `seed`.
#[cfg(feature = "test-util")]
pub(crate) fn seed(seed: u64) {
    STATE.set(seed);
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(SplitMix64::unique().next_u64());
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
