//! A retry or hedge future dropped at any poll has paid for what began, and for nothing else.

#![cfg(feature = "std")]

mod support;

use std::{cell::Cell, time::Duration};

use backoff::{Budget, hedge, retry};
use support::{pending, poll_at_most, seconds};

#[test]
fn a_retry_dropped_at_any_poll_has_paid_for_the_attempts_that_began() {
    let mut seen = Vec::new();
    for polls in 0.. {
        let budget = Budget::default();
        let began = Cell::new(0_u32);
        let live = Cell::new(0_u32);
        let retry = retry(seconds(4)).budget(&budget);
        let sleep = |_: Duration| pending(2);
        let future = retry.run_with(&sleep, || {
            began.set(began.get() + 1);
            live.set(live.get() + 1);
            let last = began.get() == 4;
            let live = &live;
            async move {
                let _running = Running(live);
                pending(2).await;
                if last { Ok(()) } else { Err(()) }
            }
        });
        let (result, _) = poll_at_most(future, polls);
        assert_eq!(live.get(), 0, "an attempt outlived its retry");
        let paid = f64::from(began.get().saturating_sub(1));
        if let Some(result) = result {
            assert!(result.is_ok());
            assert_eq!(budget.balance(), 10.0 - paid + 0.1);
            break;
        }
        assert_eq!(budget.balance(), 10.0 - paid, "dropped after {polls} polls");
        seen.push(began.get());
    }
    // Four attempts and three sleeps of two polls each, and the last poll finds the end.
    assert_eq!(seen.len(), 15);
    assert_eq!(seen[14], 4);
}

#[test]
fn a_hedge_dropped_at_any_poll_leaves_no_attempt_and_has_paid_if_two_began() {
    for polls in 0..20 {
        let budget = Budget::default();
        let began = Cell::new(0_u32);
        let live = Cell::new(0_u32);
        let sleep = |_: Duration| pending(3);
        let future = hedge(Duration::from_secs(1), &budget).run_with(&sleep, || {
            began.set(began.get() + 1);
            live.set(live.get() + 1);
            let live = &live;
            async move {
                let _running = Running(live);
                pending(10).await;
                Ok::<_, ()>(())
            }
        });
        let (result, _) = poll_at_most(future, polls);
        assert_eq!(live.get(), 0);
        let spent = if began.get() == 2 { 1.0 } else { 0.0 };
        let earned = if result.is_some() { 0.1 } else { 0.0 };
        assert_eq!(
            budget.balance(),
            10.0 - spent + earned,
            "dropped after {polls} polls"
        );
    }
}

#[test]
fn a_panic_while_waiting_gives_the_tokens_back() {
    let budget = Budget::default();
    let panicked = std::panic::catch_unwind(|| {
        let sleep = |_: Duration| panic!("the sleeper fails");
        retry(seconds(4))
            .budget(&budget)
            .run_blocking_with(&sleep, || Err::<(), ()>(()))
    });
    assert!(panicked.is_err());
    assert_eq!(budget.balance(), 10.0);
}

struct Running<'c>(&'c Cell<u32>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
