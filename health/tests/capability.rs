//! Capabilities: lend nothing that lacks one, say what is missing, ask again.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{Answer, Capability, CapabilityAction, CapabilityError};

const INTERVAL: Duration = Duration::from_secs(60);

#[test]
fn before_the_first_check_a_capability_is_not_there() {
    let now = Instant::now();
    let mut vector = Capability::new("vector", INTERVAL, 1, now).expect("valid");
    let error = vector.verdict().expect_err("unchecked");
    assert_eq!(
        error.to_string(),
        "capability \"vector\" has not been checked yet"
    );
    assert_eq!(vector.poll(now), CapabilityAction::Check, "due at once");
}

#[test]
fn what_a_check_finds_counts_at_once_and_what_it_does_not_find_changes_nothing() {
    let now = Instant::now();
    let mut vector = Capability::new("vector", INTERVAL, 1, now).expect("valid");
    assert!(!vector.on_answer(Answer::Unclear("connection reset".into()), now));
    let error = vector.verdict().expect_err("unchecked");
    assert_eq!(
        error.to_string(),
        "capability \"vector\" could not be checked: connection reset"
    );
    assert!(vector.on_answer(Answer::Present, now));
    assert!(!vector.on_answer(Answer::Unclear("timed out".into()), now));
    assert_eq!(vector.verdict(), Ok(()));
    assert!(vector.on_answer(Answer::Missing("dropped".into()), now));
    assert!(matches!(
        vector.verdict(),
        Err(CapabilityError::Missing { .. })
    ));
}

#[test]
fn checks_come_at_the_interval_and_sooner_after_an_unclear_one() {
    let mut now = Instant::now();
    let mut vector = Capability::new("vector", INTERVAL, 1, now).expect("valid");
    for round in 0..100 {
        assert_eq!(vector.poll(now), CapabilityAction::Check);
        let sooner = round % 3 == 0;
        let answer = if sooner {
            Answer::Unclear("".into())
        } else {
            Answer::Present
        };
        vector.on_answer(answer, now);
        let CapabilityAction::WaitUntil(then) = vector.poll(now) else {
            panic!("just asked")
        };
        let range = if sooner { 6..=6 } else { 54..=66 };
        assert!(range.contains(&(then - now).as_secs()), "{:?}", then - now);
        now = then;
    }
}

#[test]
fn waits_are_spread_over_a_fifth_of_the_interval() {
    let mut now = Instant::now();
    let mut vector = Capability::new("vector", INTERVAL, 1, now).expect("valid");
    assert_eq!(vector.name(), "vector");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        assert_eq!(vector.poll(now), CapabilityAction::Check);
        let CapabilityAction::WaitUntil(then) = vector.poll(now) else {
            panic!("just asked")
        };
        seen.insert((then - now).as_secs());
        now = then;
    }
    assert!(seen.into_iter().eq(54..=65), "in whole seconds");
}
