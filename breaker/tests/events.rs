//! Events come once each, in order, whatever the threads do and the listener thinks of it.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use breaker::{Breaker, Cause, Change, Config, Mode, Outcome, State};

#[test]
fn every_transition_is_told_with_its_cause_and_evidence() {
    let base = Instant::now();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let breaker = Breaker::builder(Config::classic(2, Duration::from_secs(1), 1))
        .clock(move || base)
        .listener(move |event| told.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    for _ in 0..2 {
        breaker.admit().unwrap().failure();
    }
    breaker
        .admit_at(base + Duration::from_secs(1))
        .unwrap()
        .settle_at(Outcome::Success, base);
    breaker.force(Mode::MetricsOnly);
    let heard = heard.lock().unwrap();
    let open_for = Some(Duration::from_secs(1));
    let change = |from, to, cause, open_for| Change::Transition {
        from,
        to,
        cause,
        open_for,
    };
    let expected = [
        change(State::Closed, State::Open, Cause::Consecutive, open_for),
        change(State::Open, State::HalfOpen, Cause::WaitOver, None),
        change(State::HalfOpen, State::Degraded, Cause::ProbesPassed, None),
        change(State::Degraded, State::Closed, Cause::Unlimited, None),
        Change::Mode {
            from: Mode::Automatic,
            to: Mode::MetricsOnly,
        },
    ];
    assert!(heard.iter().map(|event| event.change).eq(expected));
    assert_eq!(heard[0].counts.failures, 2);
    assert!(
        heard
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence + 1)
    );
}

#[test]
fn an_opening_is_told_with_the_time_that_was_decided_whatever_happens_meanwhile() {
    let base = Instant::now();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let cell: Arc<OnceLock<Arc<Breaker>>> = Arc::default();
    let own = Arc::clone(&cell);
    let config = Config::classic(1, Duration::from_secs(1), 1);
    let breaker = Breaker::builder(config)
        .clock(move || base)
        .listener(move |event| told.lock().unwrap().push(event.change))
        .open_time(move |_| {
            // Another event, while the time is not decided.
            own.get().unwrap().configure(config).unwrap();
            Duration::from_secs(7)
        })
        .build()
        .unwrap();
    assert!(cell.set(Arc::new(breaker)).is_ok());
    cell.get().unwrap().admit().unwrap().failure();
    let opened = Change::Transition {
        from: State::Closed,
        to: State::Open,
        cause: Cause::Consecutive,
        open_for: Some(Duration::from_secs(7)),
    };
    let configured = Change::Configured {
        evidence_kept: true,
    };
    assert_eq!(*heard.lock().unwrap(), [opened, configured]);
}

#[test]
fn threads_that_flap_a_breaker_together_are_heard_in_order() {
    let base = Instant::now();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let breaker = Breaker::builder(Config::classic(1, Duration::from_millis(1), 1))
        .listener(move |event| {
            told.lock().unwrap().push(event.sequence);
            if event.sequence % 7 == 0 {
                std::panic::resume_unwind(Box::new("a listener's own trouble"));
            }
        })
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let breaker = &breaker;
            scope.spawn(move || {
                for call in 0..2000_u64 {
                    let now = base + Duration::from_millis(call);
                    let Ok(permit) = breaker.admit_at(now) else {
                        continue;
                    };
                    let good = (call + thread) % 3 != 0;
                    permit.settle_at(
                        if good {
                            Outcome::Success
                        } else {
                            Outcome::Failure
                        },
                        now,
                    );
                }
            });
        }
    });
    let heard = heard.lock().unwrap();
    let lost = breaker.snapshot().totals.events_lost;
    assert!(heard.len() > 100);
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(heard.len() as u64 + lost, breaker.snapshot().sequence);
}
