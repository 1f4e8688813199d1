//! Mean and variance of every jitter, below the cap and at it, from fixed seeds.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use backoff::{Jitter, Policy, Ratio, SplitMix64};

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);

/// Mean and standard deviation in seconds of the delay after failed attempt `attempt`.
fn moments(policy: Policy, attempt: usize) -> (f64, f64) {
    let draws: Vec<f64> = (0..20_000)
        .map(|seed| {
            let mut delays = policy.delays_from(SplitMix64::from_seed(seed));
            delays.nth(attempt).unwrap().as_secs_f64()
        })
        .collect();
    let mean = draws.iter().sum::<f64>() / draws.len() as f64;
    let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
    (mean, variance.sqrt())
}

fn assert_uniform(policy: Policy, attempt: usize, low: f64, high: f64) {
    let (mean, deviation) = moments(policy, attempt);
    let (expected, spread) = ((low + high) / 2.0, (high - low) / 12_f64.sqrt());
    assert!(
        (mean - expected).abs() < 0.03 * spread,
        "mean {mean}, not {expected}"
    );
    assert!(
        (deviation / spread - 1.0).abs() < 0.02,
        "deviation {deviation}, not {spread}"
    );
}

fn exponential(jitter: Jitter) -> Policy {
    Policy::exponential(BASE, CAP)
        .jitter(jitter)
        .no_max_attempts()
        .build()
        .unwrap()
}

#[test]
fn full_jitter_is_uniform_from_zero() {
    assert_uniform(exponential(Jitter::Full), 0, 0.0, 0.1);
    assert_uniform(exponential(Jitter::Full), 3, 0.0, 0.8);
}

#[test]
fn full_jitter_is_as_random_at_the_cap() {
    assert_uniform(exponential(Jitter::Full), 50, 0.0, 10.0);
}

#[test]
fn equal_jitter_is_uniform_in_the_upper_half() {
    assert_uniform(exponential(Jitter::Equal), 3, 0.4, 0.8);
    assert_uniform(exponential(Jitter::Equal), 50, 5.0, 10.0);
}

#[test]
fn plus_or_minus_is_uniform_on_both_sides() {
    let quarter = exponential(Jitter::PlusMinus(Ratio::percent(25)));
    assert_uniform(quarter, 3, 0.6, 1.0);
    // At the cap the range ends there; it is not cut off there.
    assert_uniform(quarter, 50, 7.5, 10.0);
    let fixed = Policy::fixed(BASE)
        .jitter(Jitter::PlusMinus(Ratio::percent(20)))
        .build()
        .unwrap();
    assert_uniform(fixed, 1, 0.08, 0.12);
}

#[test]
fn decorrelated_delays_are_uniform_too_at_first_and_random_at_the_cap() {
    let policy = Policy::decorrelated(BASE, CAP)
        .no_max_attempts()
        .build()
        .unwrap();
    assert_uniform(policy, 0, 0.1, 0.3);
    let (mean, deviation) = moments(policy, 50);
    assert!(
        (2.0..8.0).contains(&mean) && deviation > 2.0,
        "{mean} and {deviation}"
    );
}
