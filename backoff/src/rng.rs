//! Random numbers: the seam through which they come in, and a generator to put there.
//!
//! The invariant: within a process no two generators made by `SplitMix64::unique` ever start from
//! the same seed. Retries that share a seed share their delays, and retries that share their
//! delays are the herd that jitter is there to prevent.

/// A source of uniformly distributed 64-bit numbers.
pub trait Rng {
    /// The next number. All 2^64 values must be possible, and equally likely.
    fn next_u64(&mut self) -> u64;
}

impl<R: Rng + ?Sized> Rng for &mut R {
    fn next_u64(&mut self) -> u64 {
        (**self).next_u64()
    }
}

/// The SplitMix64 generator (Steele, Lea and Flood 2014): eight bytes of state, about a nanosecond
/// a number, and no need for more. Not for secrets.
///
/// ```
/// use backoff::{Rng, SplitMix64};
///
/// let (mut left, mut right) = (SplitMix64::from_seed(7), SplitMix64::from_seed(7));
/// assert_eq!(left.next_u64(), right.next_u64());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The generator that starts from `seed`: equal seeds, equal numbers.
    ///
    /// A fleet of devices must not share a constant here. Use something of the device's own.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        // Scrambled, because the sequences of two seeds that are one `GAMMA` apart are the same
        // sequence one number apart.
        Self { state: mix(seed) }
    }

    /// A generator with a seed that no other generator of this process has had, and that other
    /// processes, forked ones included, have only by a chance of one in 2^64.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn unique() -> Self {
        use core::sync::atomic::{AtomicU64, Ordering};
        use std::{
            hash::{BuildHasher, Hasher, RandomState},
            sync::LazyLock,
        };

        static PROCESS: LazyLock<u64> =
            LazyLock::new(|| RandomState::new().build_hasher().finish());
        static SEQUENCE: AtomicU64 = AtomicU64::new(0);
        Self::from_seed(seed(
            *PROCESS,
            std::process::id(),
            SEQUENCE.fetch_add(1, Ordering::Relaxed),
        ))
    }
}

impl Rng for SplitMix64 {
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }
}

/// One-to-one in `sequence`, so that a process never repeats itself; and different in a fork,
/// which inherits the other two.
#[cfg(feature = "std")]
const fn seed(process: u64, id: u32, sequence: u64) -> u64 {
    mix(process ^ mix(id as u64)) ^ mix(sequence)
}

/// A one-to-one scrambling of 64 bits: the finaliser of SplitMix64.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_unique_generators_start_alike() {
        let first: HashSet<u64> = (0..100_000)
            .map(|_| SplitMix64::unique().next_u64())
            .collect();
        assert_eq!(first.len(), 100_000);
    }

    #[test]
    fn a_fork_that_inherits_everything_but_its_id_draws_other_seeds() {
        let parent: HashSet<u64> = (0..10_000).map(|n| seed(42, 1000, n)).collect();
        assert!((0..10_000).all(|n| !parent.contains(&seed(42, 1001, n))));
    }

    #[test]
    fn neighbouring_seeds_do_not_give_the_same_sequence_shifted() {
        let mut left = SplitMix64::from_seed(1);
        let mut right = SplitMix64::from_seed(1_u64.wrapping_add(GAMMA));
        let left: HashSet<u64> = (0..1000).map(|_| left.next_u64()).collect();
        assert!((0..1000).all(|_| !left.contains(&right.next_u64())));
    }

    #[test]
    fn it_is_splitmix64_also_by_reference() {
        fn next<R: Rng>(mut rng: R) -> u64 {
            rng.next_u64()
        }
        let mut rng = SplitMix64 { state: 1_234_567 };
        // The first numbers of the reference implementation from that seed.
        let reference = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        for number in reference {
            assert_eq!(next(&mut rng), number);
        }
    }

    #[test]
    fn every_bit_of_what_tells_processes_apart_counts() {
        let usual = seed(42, 1000, 7);
        for bit in 0..64 {
            assert_ne!(seed(42 ^ (1 << bit), 1000, 7), usual);
            assert_ne!(seed(42, 1000, 7 ^ (1 << bit)), usual);
        }
        let ones: u32 = (0..1000).map(|n| seed(42, 1000, n).count_ones()).sum();
        assert!((31_500..32_500).contains(&ones), "{ones} of 64000");
    }
}
