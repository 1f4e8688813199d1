//! When to probe next: three paces, jitter, and a spread of phases.
//!
//! The first probe comes within one fast interval, so that a verdict is there soon. The first
//! longer wait is a random part of its interval: monitors that were created together are spread
//! over the whole interval from then on, instead of drifting apart by their jitter alone.

use std::time::Duration;

use crate::MonitorPolicy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast,
    Steady,
    Slow,
}

/// A counter-based random stream and what has been drawn from it.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    seed: u64,
    draws: u64,
    spread: bool,
}

impl Schedule {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            draws: 0,
            spread: false,
        }
    }

    pub(crate) fn first(&mut self, policy: &MonitorPolicy) -> Duration {
        self.between(Duration::ZERO, policy.fast_interval)
    }

    pub(crate) fn next(&mut self, policy: &MonitorPolicy, pace: Pace) -> Duration {
        let interval = match pace {
            Pace::Fast => policy.fast_interval,
            Pace::Steady => policy.interval,
            Pace::Slow => policy.slow_interval,
        };
        if pace != Pace::Fast && !self.spread {
            self.spread = true;
            return self.between(policy.fast_interval, interval);
        }
        let jitter = interval * u32::from(policy.jitter_percent) / 100;
        self.between(interval - jitter, interval + jitter)
    }

    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        // A day is 47 bits of nanoseconds: the modulo bias is below 2^-16.
        let width_ns = (high - low).as_nanos() as u64 + 1;
        self.draws += 1;
        low + Duration::from_nanos(mix(self.seed, self.draws) % width_ns)
    }
}

/// The output function of SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) fn mix(seed: u64, counter: u64) -> u64 {
    let mut word = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
