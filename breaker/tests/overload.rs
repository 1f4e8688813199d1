//! Overload is answered by the limit, and opens only what the limit cannot help.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::time::{Duration, Instant};

use breaker::{Breaker, Config, Outcome, State};

fn fixed(config: Config) -> (Breaker, Instant) {
    let base = Instant::now();
    let breaker = Breaker::builder(config).seed(1).clock(move || base);
    (breaker.build().unwrap(), base)
}

/// Calls admitted together, which all time out a second later.
fn stall(breaker: &Breaker, calls: usize, now: Instant) -> Instant {
    let permits: Vec<_> = (0..calls).map(|_| breaker.admit_at(now).unwrap()).collect();
    let later = now + Duration::from_secs(1);
    for permit in permits {
        permit.settle_at(Outcome::Overload, later);
    }
    later
}

#[test]
fn overload_opens_only_when_calls_under_a_limit_of_one_still_fail() {
    let (breaker, now) = fixed(Config::new());
    let mut now = stall(&breaker, 400, now);
    let state = || (breaker.state(), breaker.limit());
    assert_eq!(
        state(),
        (State::Degraded, Some(1)),
        "all of it was sent before"
    );
    for outcome in [Some(Outcome::Success), Some(Outcome::Success), None] {
        for _ in 0..2 {
            now = stall(&breaker, 1, now);
        }
        if let Some(outcome) = outcome {
            breaker.admit_at(now).unwrap().settle_at(outcome, now);
        }
        assert_eq!(state(), (State::Degraded, Some(1)));
    }
    stall(&breaker, 1, now);
    assert_eq!(state(), (State::Open, None));
}

#[test]
fn overload_opens_nothing_when_no_failure_rate_does() {
    let (breaker, mut now) = fixed(Config::for_health());
    now = stall(&breaker, 40, now);
    for _ in 0..20 {
        now = stall(&breaker, 1, now);
    }
    assert_eq!(
        (breaker.state(), breaker.limit()),
        (State::Degraded, Some(1))
    );
}

#[test]
fn without_the_degraded_state_overload_counts_as_failure() {
    let (breaker, now) = fixed(Config::new().degraded(None));
    stall(&breaker, 9, now);
    assert_eq!(breaker.state(), State::Closed);
    let (breaker, now) = fixed(Config::new().degraded(None));
    stall(&breaker, 10, now);
    assert_eq!(breaker.state(), State::Open);
}
