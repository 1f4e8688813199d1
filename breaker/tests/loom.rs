//! The packed word and the stripes, in every interleaving that loom can find.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p breaker --release --test loom`
#![cfg(loom)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use breaker::{Breaker, Config, Outcome, State, Window};
use loom::thread;

fn config() -> Config {
    Config::new()
        .window(Window::Time {
            buckets: 2,
            width: Duration::from_millis(100),
        })
        .minimum_calls(2)
        .failure_rate(1.0)
        .consecutive(None)
        .half_open(1, 1)
}

fn explore(body: impl Fn(Instant) + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    let base = Instant::now();
    model.check(move || body(base));
}

fn breaker(config: Config, base: Instant) -> Arc<Breaker> {
    Arc::new(
        Breaker::builder(config)
            .seed(1)
            .clock(move || base)
            .build()
            .unwrap(),
    )
}

#[test]
fn no_success_is_lost_whatever_shuts_the_stripe() {
    explore(|base| {
        let breaker = breaker(config().failure_rate(None).degraded(None), base);
        let permits = [
            breaker.admit_at(base).unwrap(),
            breaker.admit_at(base).unwrap(),
        ];
        drop(permits);
        let other = Arc::clone(&breaker);
        let thread = thread::spawn(move || {
            other
                .admit_at(base)
                .unwrap()
                .settle_at(Outcome::Success, base);
            other
                .admit_at(base)
                .unwrap()
                .settle_at(Outcome::Success, base);
        });
        breaker
            .admit_at(base)
            .unwrap()
            .settle_at(Outcome::Failure, base);
        thread.join().unwrap();
        let counts = breaker.snapshot_at(base).counts;
        assert_eq!((counts.successes, counts.failures), (2, 1));
    });
}

#[test]
fn a_success_that_is_told_before_the_last_failure_ends_prevents_opening() {
    explore(|base| {
        let breaker = breaker(config(), base);
        let other = Arc::clone(&breaker);
        let thread = thread::spawn(move || {
            if let Ok(permit) = other.admit_at(base) {
                permit.settle_at(Outcome::Success, base);
            }
            other.state()
        });
        for _ in 0..2 {
            if let Ok(permit) = breaker.admit_at(base) {
                permit.settle_at(Outcome::Failure, base);
            }
        }
        thread.join().unwrap();
        let snapshot = breaker.snapshot_at(base);
        // Either the success was in the window, which then stays shut of opening, or it is stale or
        // was refused: never both open and counted.
        assert_eq!(snapshot.in_flight, Some(0));
        match snapshot.state {
            State::Open => assert_eq!(snapshot.counts.successes, 0),
            _ => assert_eq!(
                (snapshot.counts.successes, snapshot.counts.failures),
                (1, 2)
            ),
        }
    });
}

#[test]
fn late_successes_never_enter_the_new_epoch() {
    explore(|base| {
        let breaker = breaker(config(), base);
        let late = breaker.admit_owned_at(base).unwrap();
        let thread = thread::spawn(move || late.settle_at(Outcome::Success, base));
        breaker.reset();
        thread.join().unwrap();
        let snapshot = breaker.snapshot_at(base);
        assert_eq!(snapshot.counts.successes, 0);
        assert_eq!(snapshot.totals.successes + snapshot.totals.stale, 1);
        assert_eq!((snapshot.in_flight, snapshot.stale_in_flight), (Some(0), 0));
    });
}

#[test]
fn one_probe_is_admitted_and_one_thread_half_opens() {
    explore(|base| {
        let breaker = breaker(config(), base);
        for _ in 0..2 {
            breaker
                .admit_at(base)
                .unwrap()
                .settle_at(Outcome::Failure, base);
        }
        assert_eq!(breaker.state(), State::Open);
        let later = base + Duration::from_secs(1);
        let other = Arc::clone(&breaker);
        let thread = thread::spawn(move || {
            let permit = other.admit_at(later);
            let admitted = permit.is_ok();
            std::mem::forget(permit);
            admitted
        });
        let permit = breaker.admit_at(later);
        let admitted = usize::from(permit.is_ok()) + usize::from(thread.join().unwrap());
        std::mem::forget(permit);
        assert_eq!(admitted, 1);
        assert_eq!(breaker.snapshot_at(later).sequence, 2);
    });
}
