//! Defects that circuit breakers on crates.io had when this one was written, as rules.
//!
//! Each was reproduced there or read in the source; the crate is named in the test.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use breaker::{Breaker, Config, OpenTime, Outcome, Permit, Rejected, State, Window};

fn fixed(config: Config) -> (Arc<Breaker>, Instant) {
    let base = Instant::now();
    (
        Arc::new(
            Breaker::builder(config)
                .seed(1)
                .clock(move || base)
                .build()
                .unwrap(),
        ),
        base,
    )
}

fn settle(breaker: &Breaker, times: usize, outcome: Outcome, now: Instant) {
    for _ in 0..times {
        if let Ok(permit) = breaker.admit_at(now) {
            permit.settle_at(outcome, now);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// failsafe, recloser: half-open admitted everybody, 500 of 500.
#[test]
fn half_open_admits_its_probes_and_nobody_else() {
    let (breaker, now) = fixed(Config::new());
    settle(&breaker, 5, Outcome::Failure, now);
    let admitted: Vec<_> = (0..64).map(|_| breaker.admit_at(now + SECOND)).collect();
    assert_eq!(admitted.iter().filter(|permit| permit.is_ok()).count(), 5);
    let busy = |permit: &&Result<Permit<&Breaker>, Rejected>| {
        matches!(permit, Err(Rejected::ProbesBusy { .. }))
    };
    assert_eq!(admitted.iter().filter(busy).count(), 59);
}

/// failsafe: with a window of 900 ms, 1125 successes and one failure opened; 4 ms panicked.
#[test]
fn windows_below_a_second_are_exact() {
    for millis in [4, 900] {
        let width = Duration::from_millis(millis);
        let config = Config::new()
            .window(Window::Time { buckets: 1, width })
            .failure_rate(0.5)
            .degraded(None);
        let (breaker, now) = fixed(config);
        settle(&breaker, 1125, Outcome::Success, now);
        settle(&breaker, 1, Outcome::Failure, now);
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.snapshot_at(now).counts.total(), 1126);
    }
}

/// failsafe: expiry set "elapsed = now", which stretched the window up to twice.
#[test]
fn a_time_window_forgets_on_its_grid_not_on_the_last_call() {
    let (breaker, start) = fixed(Config::new().consecutive(None));
    settle(&breaker, 3, Outcome::Failure, start);
    for step in 1..10 {
        settle(
            &breaker,
            1,
            Outcome::Success,
            start + step * Duration::from_millis(99),
        );
    }
    assert_eq!(
        breaker
            .snapshot_at(start + Duration::from_millis(999))
            .counts
            .failures,
        3
    );
    assert_eq!(
        breaker
            .snapshot_at(start + Duration::from_millis(1000))
            .counts
            .failures,
        0
    );
}

/// recloser: nothing was evaluated before the ring was full, plus one.
#[test]
fn the_minimum_is_enough_for_a_verdict() {
    let config = Config::new()
        .window(Window::Count { calls: 100 })
        .consecutive(None);
    let (breaker, now) = fixed(config);
    settle(&breaker, 10, Outcome::Failure, now);
    assert_eq!(breaker.state(), State::Open);
}

/// recloser: `open_wait(Duration::MAX)` and `closed_len(0)` panicked.
#[test]
fn the_longest_wait_is_a_wait_and_no_window_is_refused() {
    let config = Config::new().open_time(OpenTime::Constant(Duration::MAX));
    let (breaker, now) = fixed(config);
    settle(&breaker, 5, Outcome::Failure, now);
    assert!(breaker.admit_at(now + 1_000_000 * SECOND).is_err());
    assert!(
        Config::new()
            .window(Window::Count { calls: 0 })
            .check()
            .is_err()
    );
}

/// recloser, gobreaker's ancestors: results of the closed epoch landed in the half-open ring.
#[test]
fn results_of_the_closed_epoch_do_not_decide_half_open() {
    let (breaker, now) = fixed(Config::new());
    let late: Vec<_> = (0..10).map(|_| breaker.admit_at(now).unwrap()).collect();
    settle(&breaker, 5, Outcome::Failure, now);
    let _probe = breaker.admit_at(now + SECOND).unwrap();
    for (index, permit) in late.into_iter().enumerate() {
        permit.settle_at(
            [Outcome::Success, Outcome::Failure][index % 2],
            now + SECOND,
        );
    }
    let snapshot = breaker.snapshot_at(now + SECOND);
    assert_eq!(
        (snapshot.state, snapshot.counts.total()),
        (State::HalfOpen, 0)
    );
}

/// tower-resilience: after 11 000 successes it took 11 000 failures to open, since the count window
/// did not slide. circuitbreaker-rs: the same, over the whole life.
#[test]
fn a_long_healthy_life_does_not_delay_opening() {
    for window in [
        Window::Count { calls: 10 },
        Window::Time {
            buckets: 10,
            width: Duration::from_millis(100),
        },
    ] {
        let config = Config::new()
            .window(window)
            .failure_rate(0.5)
            .consecutive(None)
            .degraded(None);
        let (breaker, now) = fixed(config);
        settle(&breaker, 11_000, Outcome::Success, now);
        let later = now + 2 * SECOND;
        settle(&breaker, 10, Outcome::Failure, later);
        assert_eq!(breaker.state(), State::Open);
    }
}

/// tower-resilience: N hung probes wedged it, there being no deadline. circuitbreaker-rs: probes
/// were never replenished, 1407 of 1407 refused; each cancelled one was lost for good.
#[test]
fn nothing_wedges_half_open() {
    let (breaker, now) = fixed(Config::new());
    settle(&breaker, 5, Outcome::Failure, now);
    let mut later = now + SECOND;
    let _hung: Vec<_> = (0..5).map(|_| breaker.admit_at(later).unwrap()).collect();
    (0..100).for_each(|_| drop(breaker.admit_at(later)));
    for _ in 0..400 {
        later += Duration::from_millis(100);
        settle(&breaker, 1, Outcome::Success, later);
    }
    assert_eq!(breaker.state(), State::Closed);
}

/// Polly, and crates with no third outcome: a cancelled or unhandled probe closed the circuit.
#[test]
fn a_cancelled_or_ignored_probe_closes_nothing() {
    let (breaker, now) = fixed(Config::classic(1, SECOND, 1));
    settle(&breaker, 1, Outcome::Failure, now);
    drop(breaker.admit_at(now + SECOND).unwrap());
    breaker
        .admit_at(now + SECOND)
        .unwrap()
        .settle_at(Outcome::Ignored, now + SECOND);
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// failsafe, gobreaker: a hook that asked the breaker deadlocked, being called under its lock.
#[test]
fn a_listener_may_call_the_breaker_and_may_panic() {
    use std::sync::{Mutex, OnceLock};
    let cell: Arc<OnceLock<Arc<Breaker>>> = Arc::default();
    let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
    let base = Instant::now();
    let (own, told) = (Arc::clone(&cell), Arc::clone(&seen));
    let builder = Breaker::builder(Config::classic(1, SECOND, 1))
        .clock(move || base)
        .listener(move |event| {
            told.lock().unwrap().push(event.sequence);
            let breaker = own.get().unwrap();
            let _number = breaker.snapshot();
            if event.sequence == 1 {
                breaker.reset();
                std::panic::resume_unwind(Box::new("a listener's own trouble"));
            }
        });
    let breaker = Arc::new(builder.build().unwrap());
    cell.set(Arc::clone(&breaker)).unwrap();
    settle(&breaker, 1, Outcome::Failure, base);
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
    assert_eq!(breaker.state(), State::Closed);
}

/// resilience4j: a read-only look consumed a permit.
#[test]
fn looking_takes_no_probe() {
    let (breaker, now) = fixed(Config::classic(1, SECOND, 1));
    settle(&breaker, 1, Outcome::Failure, now);
    for _ in 0..10 {
        let _looks = (
            breaker.state(),
            breaker.snapshot_at(now + SECOND),
            breaker.limit(),
        );
    }
    assert!(breaker.admit_at(now + SECOND).is_ok());
}

/// circuitbreaker-rs and others: an open time of the caller's making of zero, for ever, or a panic.
#[test]
fn any_open_time_of_the_callers_making_is_survived() {
    let base = Instant::now();
    for (wait, expected) in [
        (Some(Duration::ZERO), 0),
        (Some(Duration::MAX), u64::MAX),
        (None, 250),
    ] {
        let breaker = Breaker::builder(Config::classic(1, Duration::from_millis(250), 1))
            .clock(move || base)
            .open_time(move |opening| {
                assert_eq!((opening.openings, opening.counts.failures), (1, 1));
                wait.unwrap_or_else(|| std::panic::resume_unwind(Box::new("no idea")))
            })
            .build()
            .unwrap();
        settle(&breaker, 1, Outcome::Failure, base);
        let remaining = breaker.snapshot_at(base).remaining.unwrap();
        assert_eq!(
            remaining,
            if expected == u64::MAX {
                Duration::from_nanos(u64::MAX)
            } else {
                Duration::from_millis(expected)
            }
        );
    }
}

/// Hystrix, circuitbreaker-rs: two atomics for one state let two threads half-open.
#[test]
fn threads_together_never_admit_more_probes_and_never_lose_a_call() {
    let base = Instant::now();
    let breaker = Arc::new(Breaker::new(Config::new().half_open_deadline(SECOND * 3600)).unwrap());
    let admitted: u64 = std::thread::scope(|scope| {
        let work = |thread: u64| {
            let breaker = &breaker;
            move || {
                let mut admitted = 0;
                for call in 0..20_000_u64 {
                    let now = base + Duration::from_micros(call * 100);
                    let Ok(permit) = breaker.admit_at(now) else {
                        continue;
                    };
                    admitted += 1;
                    match (call / 64 + thread) % 5 {
                        0 => permit.settle_at(Outcome::Failure, now),
                        1 => permit.settle_at(Outcome::Overload, now),
                        2 if call % 7 == 0 => permit.cancel_at(now),
                        2 if call % 5 == 0 => permit.settle_at(Outcome::Ignored, now),
                        _ => permit.settle_at(Outcome::Success, now),
                    }
                    let snapshot = (call % 512 == 0).then(|| breaker.snapshot_at(now));
                    assert!(snapshot.is_none_or(|snapshot| snapshot.probes <= 5));
                }
                admitted
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(work(thread))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let snapshot = breaker.snapshot();
    let totals = snapshot.totals;
    let settled =
        totals.successes + totals.failures + totals.overloads + totals.ignored + totals.cancelled;
    assert_eq!(settled + totals.stale, admitted);
    assert_eq!(snapshot.in_flight, Some(0));
    let refused = totals.rejected_open + totals.rejected_limited + totals.rejected_probes_busy;
    assert_eq!(admitted + refused, 80_000);
}
