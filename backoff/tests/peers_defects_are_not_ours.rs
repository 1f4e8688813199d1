//! What we found in other crates does not happen here.
//!
//! Found by running or reading them (November 2026); each test names the crate.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{collections::HashSet, thread, time::Duration};

use backoff::{Budget, Cost, Jitter, Policy, Ratio, SplitMix64};

const SECOND: Duration = Duration::from_secs(1);

fn first_delays(policy: Policy, sequences: usize) -> HashSet<Duration> {
    (0..sequences)
        .map(|_| policy.delays().next().unwrap())
        .collect()
}

#[test]
fn every_sequence_has_its_own_jitter() {
    // tower 0.5.3: 2000 sequences, one delay. exponential-backoff 2.1.0: 200 runs, one schedule
    // (yoshuawuyts/exponential-backoff#36).
    // Of 2000 delays up to an hour two are the same by chance once in a million runs.
    let policy = Policy::fixed(SECOND * 3600).build().unwrap();
    assert_eq!(first_delays(policy, 2000).len(), 2000);
    let threads: Vec<_> = (0..4)
        .map(|_| thread::spawn(move || first_delays(policy, 500)))
        .collect();
    let all: HashSet<_> = threads
        .into_iter()
        .flat_map(|t| t.join().unwrap())
        .collect();
    assert_eq!(all.len(), 2000);
}

#[test]
fn whole_seconds_and_single_nanoseconds_keep_their_randomness() {
    // tower 0.5.3 truncates a jitter of whole seconds to none, again and failsafe round to whole
    // milliseconds and seconds.
    assert!(first_delays(Policy::fixed(SECOND).build().unwrap(), 100).len() == 100);
    let nanoseconds = Policy::fixed(Duration::from_nanos(3)).build().unwrap();
    let expected: HashSet<_> = (0..=3).map(Duration::from_nanos).collect();
    assert_eq!(first_delays(nanoseconds, 1000), expected);
}

#[test]
fn the_cap_holds_with_jitter_and_does_not_end_it() {
    // backon 1.6.0 and tokio-retry2 add jitter to the cap (19.99 s for 10 s); tower 0.5.3 is
    // pinned to it; so are tenacity (jd/tenacity#703) and ferd/backoff#8.
    let cap = SECOND * 10;
    let plus_minus = Jitter::PlusMinus(Ratio::percent(50));
    for jitter in [Jitter::Full, Jitter::Equal, plus_minus] {
        let policy = Policy::exponential(SECOND, cap)
            .jitter(jitter)
            .no_max_attempts();
        let policy = policy.build().unwrap();
        let delays: Vec<_> = policy.delays().skip(100).take(1000).collect();
        assert!(delays.iter().all(|delay| *delay <= cap));
        assert!(delays.iter().collect::<HashSet<_>>().len() > 990);
    }
}

#[test]
fn no_attempt_is_too_late_and_no_delay_too_long() {
    // again panics near attempt 64, backon's total delay and backoff 0.4 on long durations.
    for policy in [
        Policy::exponential(SECOND, Duration::MAX).build().unwrap(),
        Policy::exponential(Duration::MAX, Duration::MAX)
            .build()
            .unwrap(),
        Policy::fibonacci(Duration::MAX, Duration::MAX)
            .build()
            .unwrap(),
    ] {
        for attempt in [0, 1, 34, 35, 63, 64, 65, 1023, 1024, u32::MAX - 1, u32::MAX] {
            assert!(policy.delay(attempt, Duration::MAX, u64::MAX) <= policy.cap());
        }
    }
    let endless = Policy::fixed(Duration::MAX)
        .no_max_attempts()
        .max_elapsed(Duration::MAX);
    assert!(endless.build().unwrap().delays().count() < 1000);
}

#[test]
fn the_base_is_the_first_delay() {
    // tokio-retry takes it for the base of a power: 50 ms, 2.5 s, 125 s (djc/tokio-retry#22).
    let policy = Policy::exponential(Duration::from_millis(50), SECOND).jitter(Jitter::None);
    let delays: Vec<_> = policy
        .build()
        .unwrap()
        .delays()
        .map(|d| d.as_millis())
        .collect();
    assert_eq!(delays, [50, 100]);
}

#[test]
fn a_factor_or_jitter_that_makes_no_sense_is_refused() {
    // backon goes to the cap at once for a factor below zero or not a number; exponential-backoff
    // 2.1.1 panics for a jitter of half a percent, tokio-retry2 for a negative one.
    let policy = Policy::exponential(SECOND, SECOND * 10);
    assert!(policy.factor(Ratio::new(1, 2)).build().is_err());
    assert!(policy.factor(Ratio::new(1, 0)).build().is_err());
    assert!(
        policy
            .jitter(Jitter::PlusMinus(Ratio::new(1, 0)))
            .build()
            .is_err()
    );
    let tiny = policy
        .jitter(Jitter::PlusMinus(Ratio::new(5, 1000)))
        .build()
        .unwrap();
    assert_eq!(first_delays(tiny, 100).len(), 100);
}

#[test]
fn the_least_delay_is_no_likelier_than_any_other() {
    // exponential-backoff 2.1.1: 48 % of the first delays are exactly the minimum.
    let policy = Policy::exponential(SECOND, SECOND * 10)
        .jitter(Jitter::Equal)
        .build()
        .unwrap();
    let delays: Vec<_> = (0..1000)
        .map(|seed| {
            policy
                .delays_from(SplitMix64::from_seed(seed))
                .next()
                .unwrap()
        })
        .collect();
    let lower = delays
        .iter()
        .filter(|delay| **delay < SECOND * 3 / 4)
        .count();
    assert!(
        (430..570).contains(&lower),
        "{lower} of 1000 in the lower half"
    );
}

#[test]
fn a_budget_of_some_percent_is_a_budget_of_that_percent() {
    // tower's TpsBudget: 51, 60 and 90 % allow 100 %, and 30 % allows 33 %.
    for percent in [30, 51, 60, 90] {
        let deposit = Ratio::percent(percent);
        let budget = Budget::builder()
            .deposit(deposit)
            .initial(0)
            .build()
            .unwrap();
        let spent = (0..1000)
            .filter(|_| {
                budget.on_success();
                budget.try_spend(Cost::Failure)
            })
            .count();
        assert_eq!(spent, percent as usize * 10);
    }
}

#[test]
fn an_exhausted_budget_comes_back() {
    // aws-sdk-go-v2#3550: never refilled, and nobody could see it.
    let budget = Budget::default();
    while budget.try_spend(Cost::Timeout) {}
    assert_eq!(budget.balance(), 0.0);
    (0..100).for_each(|_| budget.on_success());
    assert_eq!(budget.balance(), 10.0);
    assert!(budget.try_spend(Cost::Timeout));
}
