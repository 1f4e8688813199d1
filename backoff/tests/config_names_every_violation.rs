//! A bad configuration is refused when it is built, and all that is wrong with it is said at once.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use backoff::{Budget, ConfigError, Jitter, Policy, Ratio};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_policy_names_every_violation_with_field_value_and_rule() {
    let errors = Policy::exponential(Duration::ZERO, Duration::ZERO)
        .factor(Ratio::new(1, 1))
        .jitter(Jitter::PlusMinus(Ratio::percent(101)))
        .max_attempts(0)
        .max_elapsed(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "base is 0 s: must be longer than zero; cap is 0 s: must be longer than zero; \
         factor is 1/1: must be a fraction above 1; jitter is 101/100: must be a fraction from 0 \
         to 1; max_attempts is 0: must be at least 1; max_elapsed is 0 s: must be longer than zero",
    );
}

#[test]
fn the_most_violations_possible_are_all_held() {
    let errors = Policy::linear(SECOND, Duration::ZERO, Duration::ZERO)
        .factor(Ratio::new(0, 0))
        .jitter(Jitter::PlusMinus(Ratio::new(1, 0)))
        .max_attempts(0)
        .max_elapsed(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(errors.iter().count(), 7);
    let errors = Budget::builder()
        .capacity(0)
        .deposit(Ratio::new(0, 0))
        .failure_cost(0)
        .timeout_cost(0)
        .initial(1)
        .build()
        .unwrap_err();
    assert_eq!(errors.iter().count(), 5);
    let errors = Budget::builder()
        .capacity(0)
        .initial(7)
        .build()
        .unwrap_err();
    assert_eq!(errors.iter().count(), 5);
}

#[test]
fn settings_of_another_kind_of_policy_are_refused() {
    let errors = Policy::fixed(SECOND)
        .factor(Ratio::new(2, 1))
        .build()
        .unwrap_err();
    assert!(matches!(
        errors.iter().next(),
        Some(ConfigError::Unused {
            field: "factor",
            ..
        })
    ));
    let policy = Policy::decorrelated(SECOND, SECOND).jitter(Jitter::Full);
    let errors = policy.build().unwrap_err();
    assert!(matches!(
        errors.iter().next(),
        Some(ConfigError::Unused {
            field: "jitter",
            ..
        })
    ));
}

#[test]
fn a_cap_below_the_base_is_refused_and_one_equal_to_it_is_not() {
    let almost = SECOND - Duration::from_nanos(1);
    let errors = Policy::fibonacci(SECOND, almost).build().unwrap_err();
    let expected = ConfigError::CapBelowBase {
        cap: almost,
        base: SECOND,
    };
    assert!(errors.iter().eq([expected]));
    assert!(Policy::fibonacci(SECOND, SECOND).build().is_ok());
}

#[test]
fn what_a_budget_can_never_hold_is_refused() {
    for builder in [
        Budget::builder().capacity(1),
        Budget::builder().failure_cost(11),
        Budget::builder().timeout_cost(11),
        Budget::builder().initial(11),
    ] {
        let errors = builder.build().unwrap_err();
        assert!(matches!(
            errors.iter().next(),
            Some(ConfigError::AboveCapacity { .. })
        ));
    }
    assert!(
        Budget::builder()
            .deposit(Ratio::new(21, 2))
            .build()
            .is_err()
    );
    assert!(Budget::builder().deposit(Ratio::new(10, 1)).build().is_ok());
}

#[test]
fn the_longest_spans_are_welcome() {
    let policy = Policy::linear(Duration::MAX, Duration::MAX, Duration::MAX)
        .max_elapsed(Duration::MAX)
        .build()
        .unwrap();
    assert_eq!(policy.ceiling(u32::MAX), Duration::from_nanos(u64::MAX));
    assert!(policy.delays().next().is_some());
}

#[test]
fn what_is_wrong_shows_in_the_panic_of_an_unwrap_too() {
    let errors = Policy::fixed(Duration::from_secs(1))
        .max_attempts(0)
        .build()
        .unwrap_err();
    let shown = format!("{errors:?}");
    let named = errors.iter().all(|it| shown.contains(&format!("{it:?}")));
    assert!(named && errors.iter().count() > 0, "{shown}");
}
