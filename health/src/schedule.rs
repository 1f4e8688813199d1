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

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest and the longest of many waits, in milliseconds.
    fn range(mut wait: impl FnMut(u64) -> Duration) -> (u128, u128) {
        let waits: Vec<_> = (0..200).map(|n| wait(n).as_millis()).collect();
        let ends = (waits.iter().min(), waits.iter().max());
        (*ends.0.expect("many"), *ends.1.expect("many"))
    }

    #[test]
    fn each_pace_keeps_its_interval_and_its_jitter() {
        // Every 1 s, 10 s and 30 s, each wait jittered by a tenth.
        let policy = MonitorPolicy::new();
        for (pace, ms) in [
            (Pace::Fast, 1_000),
            (Pace::Steady, 10_000),
            (Pace::Slow, 30_000),
        ] {
            let mut schedule = Schedule::new(7);
            schedule.next(&policy, Pace::Steady);
            let (least, most) = range(|_| schedule.next(&policy, pace));
            assert!(
                (ms * 90 / 100..ms * 92 / 100).contains(&least),
                "{pace:?}: {least}"
            );
            assert!(
                (ms * 108 / 100..=ms * 110 / 100).contains(&most),
                "{pace:?}: {most}"
            );
        }
    }

    #[test]
    fn the_first_wait_of_all_and_the_first_that_is_not_fast_are_spread() {
        let policy = MonitorPolicy::new();
        let (least, most) = range(|seed| Schedule::new(seed).first(&policy));
        assert!(
            least < 50 && (950..=1_000).contains(&most),
            "{least} to {most}"
        );
        for (pace, ms) in [(Pace::Steady, 10_000), (Pace::Slow, 30_000)] {
            let spread = |seed| {
                let mut schedule = Schedule::new(seed);
                let fast = schedule.next(&policy, Pace::Fast).as_millis();
                assert!((900..=1_100).contains(&fast), "a fast one is not spread");
                schedule.next(&policy, pace)
            };
            let (least, most) = range(spread);
            assert!((1_000..2_000).contains(&least), "{pace:?}: {least}");
            assert!((ms * 95 / 100..=ms).contains(&most), "{pace:?}: {most}");
        }
    }

    #[test]
    fn chance_is_splitmix64() {
        // The first numbers of the reference implementation from that seed.
        let reference = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        for (counter, number) in (1..).zip(reference) {
            assert_eq!(mix(1_234_567, counter), number);
        }
    }
}
