//! Every delay of every policy is what the model says, for every attempt and every random number.

#![cfg(feature = "std")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by a panic and prints its seed"
)]
mod model;

use std::time::Duration;

use backoff::{ConfigErrors, Jitter, Policy, Ratio, Rng, SplitMix64};
use model::{Case, exact_power};
use proptest::prelude::*;

#[test]
fn a_million_policies_agree_with_the_model() {
    let seed = SplitMix64::unique().next_u64();
    eprintln!("seed {seed}");
    let mut rng = SplitMix64::from_seed(seed);
    for _ in 0..1_000_000 {
        Case::any(&mut rng).check();
    }
}

#[test]
fn powers_are_within_a_nanosecond_of_the_exact_ones() {
    let seed = SplitMix64::unique().next_u64();
    eprintln!("seed {seed}");
    let mut rng = SplitMix64::from_seed(seed);
    for _ in 0..200 {
        let denominator = (rng.next_u64() as u32 >> (rng.next_u64() % 32)).clamp(1, u32::MAX - 1);
        let numerator = denominator + 1 + (rng.next_u64() as u32 % (u32::MAX - denominator));
        let factor = Ratio::new(numerator, denominator);
        let base_ns = 1 + (rng.next_u64() >> (rng.next_u64() % 64)) / 2;
        let policy = Policy::exponential(Duration::from_nanos(base_ns), Duration::MAX)
            .factor(factor)
            .build()
            .unwrap();
        for attempt in [0, 1, 2, 3, 7, 31, 40, 100] {
            let exact = exact_power(base_ns, factor, attempt).min(u128::from(u64::MAX));
            let error = policy.ceiling(attempt).as_nanos().abs_diff(exact);
            assert!(
                error <= u128::from(attempt > 0),
                "{base_ns} {factor} {attempt}: {error}"
            );
        }
    }
}

#[test]
fn a_factor_just_above_one_still_arrives_after_four_billion_attempts() {
    // (1 + 1 / (2^32 - 2))^(2^32 - 1) is e, to nine digits.
    let policy = Policy::exponential(Duration::from_secs(1), Duration::MAX)
        .factor(Ratio::new(u32::MAX, u32::MAX - 1))
        .build()
        .unwrap();
    let end = policy.ceiling(u32::MAX).as_secs_f64();
    assert!((end - std::f64::consts::E).abs() < 2e-9, "{end}");
    assert_eq!(policy.ceiling(0), Duration::from_secs(1));
}

#[test]
fn the_longest_power_is_exact_to_the_last_nanosecond() {
    // By a computation with 90 decimal digits: 18446744073709551552.98. A factor cut off after 97
    // bits is a nanosecond short.
    let policy = Policy::exponential(Duration::from_nanos(669_134_226_220_918_630), Duration::MAX)
        .factor(Ratio::new(1_294_968_209, 1_294_968_208))
        .build()
        .unwrap();
    assert_eq!(
        policy.ceiling(u32::MAX),
        Duration::from_nanos(18_446_744_073_709_551_553)
    );
}

#[test]
fn the_kinds_begin_as_their_names_say() -> Result<(), ConfigErrors> {
    let (base, cap) = (Duration::from_millis(10), Duration::from_millis(75));
    let step = Duration::from_millis(15);
    let three_halves = Policy::exponential(base, cap).factor(Ratio::new(3, 2));
    for (policy, expected) in [
        (
            Policy::fixed(base),
            [10_000, 10_000, 10_000, 10_000, 10_000, 10_000],
        ),
        (
            Policy::linear(base, step, cap),
            [10_000, 25_000, 40_000, 55_000, 70_000, 75_000],
        ),
        (
            Policy::exponential(base, cap),
            [10_000, 20_000, 40_000, 75_000, 75_000, 75_000],
        ),
        (
            three_halves,
            [10_000, 15_000, 22_500, 33_750, 50_625, 75_000],
        ),
        (
            Policy::fibonacci(base, cap),
            [10_000, 10_000, 20_000, 30_000, 50_000, 75_000],
        ),
        (
            Policy::custom(|n| Duration::from_millis(20 - u64::from(n)), cap),
            [20_000, 19_000, 18_000, 17_000, 16_000, 15_000],
        ),
    ] {
        let policy = policy.jitter(Jitter::None).max_attempts(7).build()?;
        let delays: Vec<_> = policy.delays().map(|delay| delay.as_micros()).collect();
        assert_eq!(delays, expected);
    }
    Ok(())
}

#[test]
fn decorrelated_delays_grow_from_each_other() -> Result<(), ConfigErrors> {
    let (base, cap) = (Duration::from_millis(10), Duration::from_secs(1));
    let policy = Policy::decorrelated(base, cap).no_max_attempts().build()?;
    let mut previous = base;
    let mut at_the_cap = 0;
    for delay in policy.delays().take(10_000) {
        assert!(
            base <= delay && delay <= cap.min(3 * previous),
            "{delay:?} after {previous:?}"
        );
        at_the_cap += u32::from(delay == cap);
        previous = delay;
    }
    assert!(at_the_cap < 3, "pinned to the cap {at_the_cap} times");
    Ok(())
}

proptest! {
    #[test]
    fn a_sequence_has_one_delay_fewer_than_attempts_and_then_stays_ended(
        attempts in 1_u32..200,
        seed: u64,
    ) {
        let policy = policy(attempts, None);
        let mut delays = policy.delays_from(SplitMix64::from_seed(seed));
        prop_assert_eq!(delays.size_hint(), (attempts as usize - 1, Some(attempts as usize - 1)));
        prop_assert_eq!(delays.by_ref().count(), attempts as usize - 1);
        prop_assert!((0..10).all(|_| delays.next().is_none()));
    }

    #[test]
    fn the_delays_of_a_sequence_never_add_up_to_more_than_it_may_take(
        elapsed_ns in 1_u64..20_000_000_000,
        seed: u64,
    ) {
        let elapsed = Duration::from_nanos(elapsed_ns);
        let policy = policy(1000, Some(elapsed));
        let mut delays = policy.delays_from(SplitMix64::from_seed(seed));
        prop_assert!(delays.by_ref().sum::<Duration>() <= elapsed);
        prop_assert!((0..10).all(|_| delays.next().is_none()));
    }

    #[test]
    fn equal_seeds_give_equal_delays_and_others_do_not(seed: u64, other: u64) {
        prop_assume!(seed != other);
        let policy = policy(20, None);
        let delays = |seed| policy.delays_from(SplitMix64::from_seed(seed)).collect::<Vec<_>>();
        prop_assert_eq!(delays(seed), delays(seed));
        prop_assert_ne!(delays(seed), delays(other));
    }
}

#[test]
fn how_many_delays_are_left_is_known_exactly_unless_time_may_end_them() {
    let mut delays = policy(5, None).delays_from(SplitMix64::from_seed(1));
    for left in (0..=4).rev() {
        assert_eq!(delays.size_hint(), (left, Some(left)));
        assert_eq!(delays.next().is_some(), left > 0);
    }
    let elapsed = Some(Duration::from_secs(3600));
    let mut delays = policy(5, elapsed).delays_from(SplitMix64::from_seed(1));
    delays.next();
    assert_eq!(delays.size_hint(), (0, Some(3)));
}

fn policy(attempts: u32, elapsed: Option<Duration>) -> Policy {
    let builder = Policy::exponential(Duration::from_millis(50), Duration::from_secs(10))
        .max_attempts(attempts);
    match elapsed {
        Some(elapsed) => builder.max_elapsed(elapsed),
        None => builder,
    }
    .build()
    .unwrap()
}
