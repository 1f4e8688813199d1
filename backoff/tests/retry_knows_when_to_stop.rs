//! The retry loop: what ends it, what it waits for, and what it reports.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{cell::Cell, error::Error, io, time::Duration};

use backoff::{Admission, Budget, Cost, Hint, Policy, RetryError, Stop, retry};
use support::{World, ms, seconds};

#[derive(Clone, Copy, Debug, PartialEq)]
struct Failed(u32);

fn always() -> impl FnMut() -> Result<(), Failed> {
    let mut attempts = 0;
    move || {
        attempts += 1;
        Err(Failed(attempts))
    }
}

fn stopped<T: std::fmt::Debug>(result: Result<T, RetryError<Failed>>) -> (Stop, u32) {
    let error = result.unwrap_err();
    assert_eq!(
        error.error,
        Failed(error.attempts),
        "the error is that of the last attempt"
    );
    (error.stop, error.attempts)
}

#[test]
fn attempts_are_counted_with_the_first() {
    let world = World::new();
    let error = retry(seconds(3))
        .run_blocking_with(&world, always())
        .unwrap_err();
    assert_eq!(*world.slept.borrow(), [ms(1000), ms(2000)]);
    assert_eq!(
        (error.attempts, error.elapsed, error.stop),
        (3, ms(3000), Stop::Attempts)
    );
    assert_eq!(
        stopped(retry(seconds(1)).run_blocking_with(&world, always())),
        (Stop::Attempts, 1)
    );
}

#[test]
fn a_success_ends_it_at_once() {
    let world = World::new();
    let mut answers = [Err(Failed(1)), Ok(7)].into_iter();
    let answer = retry(seconds(9)).run_blocking_with(&world, || answers.next().unwrap());
    assert_eq!(answer, Ok(7));
    assert_eq!(*world.slept.borrow(), [ms(1000)]);
}

#[test]
fn only_errors_that_are_worth_it_are_retried() {
    let world = World::new();
    let retry = retry(seconds(9)).when(|error: &Failed| error.0 < 3);
    assert_eq!(
        stopped(retry.run_blocking_with(&world, always())),
        (Stop::Permanent, 3)
    );
}

#[test]
fn the_deadline_counts_the_time_of_the_operation() {
    let world = World::new();
    let retry = retry(seconds(9)).deadline(world.start + ms(10_000));
    let mut operation = always();
    // 4 s, a delay of 1 s, 4 s: the delay of 2 s would end at 11 s.
    let error = retry
        .run_blocking_with(&world, || {
            world.pass(ms(4000));
            operation()
        })
        .unwrap_err();
    assert_eq!(
        (error.attempts, error.elapsed, error.stop),
        (2, ms(9000), Stop::Deadline)
    );
    assert_eq!(*world.slept.borrow(), [ms(1000)]);
}

#[test]
fn a_delay_that_ends_just_at_the_deadline_is_begun() {
    for (limit, attempts) in [(2999, 2), (3000, 3)] {
        let world = World::new();
        let policy = Policy::linear(ms(1000), ms(1000), ms(9000))
            .jitter(backoff::Jitter::None)
            .no_max_attempts()
            .max_elapsed(ms(limit))
            .build()
            .unwrap();
        let result = retry(policy).run_blocking_with(&world, always());
        assert_eq!(stopped(result), (Stop::Deadline, attempts));
        let world = World::new();
        let retry = retry(seconds(9)).deadline(world.start + ms(limit));
        assert_eq!(
            stopped(retry.run_blocking_with(&world, always())),
            (Stop::Deadline, attempts)
        );
    }
}

#[test]
fn an_attempt_does_not_start_after_a_sleep_that_overslept_the_deadline() {
    let world = World::new();
    world.late.set(ms(500));
    let budget = Budget::default();
    let retry = retry(seconds(9))
        .deadline(world.start + ms(1400))
        .budget(&budget);
    assert_eq!(
        stopped(retry.run_blocking_with(&world, always())),
        (Stop::Deadline, 1)
    );
    assert_eq!(budget.balance(), 10.0, "what did not begin is not paid");
}

#[test]
fn a_servers_hint_is_a_lower_end_and_the_delay_is_added_to_it() {
    let world = World::new();
    let retry = retry(seconds(3)).hint(|error: &Failed| match error.0 {
        1 => Hint::After(ms(30_000)),
        _ => Hint::Silent,
    });
    assert_eq!(stopped(retry.run_blocking_with(&world, always())).1, 3);
    assert_eq!(*world.slept.borrow(), [ms(31_000), ms(2000)]);
}

#[test]
fn a_server_may_ask_not_to_be_asked_again() {
    let world = World::new();
    let retry = retry(seconds(9)).hint(|_: &Failed| Hint::Never);
    assert_eq!(
        stopped(retry.run_blocking_with(&world, always())),
        (Stop::Hint, 1)
    );
}

#[test]
fn a_hint_of_forever_is_the_end_even_without_a_deadline() {
    let world = World::new();
    let retry = retry(seconds(9)).hint(|_: &Failed| Hint::After(Duration::MAX));
    assert_eq!(
        stopped(retry.run_blocking_with(&world, always())),
        (Stop::Deadline, 1)
    );
}

#[test]
fn a_gate_is_waited_for_and_no_longer() {
    let world = World::new();
    let open = world.start + ms(2500);
    let retry = retry(seconds(3)).gate(|_| Admission::NotBefore(open));
    assert_eq!(stopped(retry.run_blocking_with(&world, always())).1, 3);
    assert_eq!(*world.slept.borrow(), [ms(2500), ms(2000)]);
}

#[test]
fn a_gate_that_is_shut_before_or_after_the_wait_stops_it() {
    for answers in [
        [Admission::Never, Admission::Now],
        [Admission::Now, Admission::Never],
        [
            Admission::Now,
            Admission::NotBefore(World::new().start + ms(3_600_000)),
        ],
    ] {
        let world = World::new();
        let budget = Budget::default();
        let mut answers = answers.into_iter();
        let retry = retry(seconds(9))
            .budget(&budget)
            .gate(|_| answers.next().unwrap());
        assert_eq!(
            stopped(retry.run_blocking_with(&world, always())),
            (Stop::Gate, 1)
        );
        assert_eq!(budget.balance(), 10.0);
    }
}

#[test]
fn retries_are_paid_by_the_kind_of_error_until_the_budget_is_empty() {
    let world = World::new();
    let budget = Budget::builder().capacity(4).build().unwrap();
    let retry = retry(seconds(9))
        .budget(&budget)
        .cost(|error: &Failed| match error.0 {
            1 => Cost::Timeout,
            _ => Cost::Failure,
        });
    assert_eq!(
        stopped(retry.run_blocking_with(&world, always())),
        (Stop::Budget, 4)
    );
    assert_eq!(budget.balance(), 0.0);
}

#[test]
fn a_success_deposits_once_however_many_attempts_it_took() {
    let world = World::new();
    let budget = Budget::default();
    let mut answers = [Err(Failed(1)), Err(Failed(2)), Ok(())].into_iter();
    let retry = retry(seconds(9)).budget(&budget);
    retry
        .run_blocking_with(&world, || answers.next().unwrap())
        .unwrap();
    assert_eq!(budget.balance(), 8.1);
}

#[test]
fn notify_hears_of_every_wait_and_of_nothing_else() {
    let world = World::new();
    let mut heard = Vec::new();
    let retry = retry(seconds(3)).notify(|error: &Failed, delay| heard.push((error.0, delay)));
    assert_eq!(stopped(retry.run_blocking_with(&world, always())).1, 3);
    assert_eq!(heard, [(1, ms(1000)), (2, ms(2000))]);
}

#[test]
fn a_seed_makes_a_retry_repeatable_and_no_two_share_one_by_accident() {
    let slept = |seed: Option<u64>| {
        let world = World::new();
        let policy = Policy::default();
        let retry = retry(policy);
        let retry = match seed {
            Some(seed) => retry.seed(seed),
            None => retry,
        };
        assert_eq!(stopped(retry.run_blocking_with(&world, always())).1, 3);
        world.slept.into_inner()
    };
    assert_eq!(slept(Some(7)), slept(Some(7)));
    assert_ne!(slept(Some(7)), slept(Some(8)));
    assert_ne!(slept(None), slept(None));
}

#[test]
fn time_that_goes_back_is_time_that_stands_still() {
    let world = World::new();
    let calls = Cell::new(0);
    struct Backwards<'w>(&'w World, &'w Cell<u32>);
    impl backoff::BlockingSleep for Backwards<'_> {
        fn sleep(&self, _: Duration) {}
        fn now(&self) -> std::time::Instant {
            self.1.set(self.1.get() + 1);
            self.0.start + ms(u64::from(1000 - self.1.get()))
        }
    }
    let error = retry(seconds(3))
        .deadline(world.start + ms(60_000))
        .run_blocking_with(&Backwards(&world, &calls), always())
        .unwrap_err();
    assert_eq!((error.attempts, error.elapsed), (3, Duration::ZERO));
}

#[test]
fn the_error_says_how_it_ended_and_its_source_says_why() {
    let error = retry(seconds(1))
        .run_blocking(|| Err::<(), _>(io::Error::other("no such luck")))
        .unwrap_err();
    assert!(error.to_string().starts_with("gave up after 1 attempt in "));
    assert!(error.to_string().ends_with("s: no attempt left"));
    assert_eq!(error.source().unwrap().to_string(), "no such luck");
}
