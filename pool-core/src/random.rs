//! Jitter: a small generator that needs no dependency.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014), seeded from the process's own random keys. Two instances
/// never share a seed by construction; nothing here needs to be unpredictable.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        #[cfg(feature = "test-util")]
        if let Some(seed) = SEED.get() {
            let mut parent = Self(seed);
            let child = parent.next();
            SEED.set(Some(parent.0));
            return Self(child);
        }
        Self(RandomState::new().hash_one(0x5eed_u64))
    }

    /// From now on this thread's generators follow from `seed`.
    #[cfg(feature = "test-util")]
    pub(crate) fn seed(seed: u64) {
        SEED.set(Some(seed));
    }

    /// Uniform from zero to `limit`.
    pub(crate) fn up_to(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX - 1);
        // The high half of a 128-bit product maps the generator's range onto 0..=limit.
        let scaled = (u128::from(self.next()) * (u128::from(limit) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(scaled).expect("the product's high half is below limit"))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(feature = "test-util")]
thread_local! {
    static SEED: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}
