//! A budget allows its ratio of retries, exactly, and nobody can overspend it.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use backoff::{Budget, Cost, Ratio};
use proptest::prelude::*;

fn empty(deposit: Ratio) -> Budget {
    Budget::builder()
        .deposit(deposit)
        .initial(0)
        .build()
        .unwrap()
}

#[test]
fn the_ratio_of_retries_to_successes_is_exact() {
    for percent in [1, 10, 30, 33, 51, 60, 90, 100, 200] {
        let budget = empty(Ratio::percent(percent));
        let mut retries = 0;
        for _ in 0..10_000 {
            budget.on_success();
            while budget.try_spend(Cost::Failure) {
                retries += 1;
            }
        }
        assert_eq!(retries, 100 * percent, "{percent} %");
    }
}

#[test]
fn a_timeout_costs_twice_an_error() {
    let budget = Budget::default();
    assert!((0..5).all(|_| budget.try_spend(Cost::Timeout)));
    assert!(!budget.try_spend(Cost::Failure));
    let budget = Budget::default();
    assert!((0..9).all(|_| budget.try_spend(Cost::Failure)));
    assert!(!budget.try_spend(Cost::Timeout));
    assert_eq!(budget.balance(), 1.0);
}

#[test]
fn an_empty_budget_fills_again_up_to_its_capacity() {
    let budget = Budget::default();
    while budget.try_spend(Cost::Failure) {}
    assert_eq!(budget.balance(), 0.0);
    (0..1000).for_each(|_| budget.on_success());
    assert_eq!(budget.balance(), 10.0);
}

#[test]
fn a_charge_that_is_not_committed_gives_its_tokens_back() {
    let budget = Arc::new(Budget::default());
    let charge = budget.try_charge(Cost::Timeout).unwrap();
    let owned = budget.try_charge_owned(Cost::Failure).unwrap();
    assert_eq!(budget.balance(), 7.0);
    drop(charge);
    assert_eq!(budget.balance(), 9.0);
    owned.commit();
    assert_eq!(budget.balance(), 9.0);
}

#[test]
fn threads_together_spend_what_there_is_and_not_a_token_more() {
    let budget = Budget::builder()
        .deposit(Ratio::percent(30))
        .capacity(1_000_000)
        .initial(5)
        .build()
        .unwrap();
    let spent = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    budget.on_success();
                    if budget.try_spend(Cost::Failure) {
                        spent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    while budget.try_spend(Cost::Failure) {
        spent.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(spent.into_inner(), 5 + 60_000);
}

proptest! {
    #[test]
    fn the_balance_is_that_of_a_naive_account(
        numerator in 1_u32..300,
        denominator in 1_u32..300,
        capacity in 2_u32..50,
        operations in prop::collection::vec(0..4_u8, 0..500),
    ) {
        prop_assume!(numerator <= capacity * denominator);
        let deposit = Ratio::new(numerator, denominator);
        let budget = Budget::builder().deposit(deposit).capacity(capacity).build().unwrap();
        let full = u64::from(capacity * denominator);
        let mut units = full;
        for operation in operations {
            match operation {
                0 => {
                    budget.on_success();
                    units = full.min(units + u64::from(numerator));
                }
                1 => drop(budget.try_charge(Cost::Failure)),
                kind => {
                    let (cost, tokens) =
                        if kind == 2 { (Cost::Failure, 1) } else { (Cost::Timeout, 2) };
                    let price = tokens * u64::from(denominator);
                    prop_assert_eq!(budget.try_spend(cost), units >= price);
                    units = units.checked_sub(price).unwrap_or(units);
                }
            }
            prop_assert_eq!(budget.balance(), units as f64 / f64::from(denominator));
        }
    }
}
