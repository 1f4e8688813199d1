//! What a breaker weighs, and that calls and changes of state leave nothing behind.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]
#![allow(clippy::print_stdout, reason = "the measured numbers are for reading")]

use std::time::{Duration, Instant};

use allocation_counter::measure;
use breaker::{Breaker, Config, Outcome};

/// One call that fails, then probes that succeed, until it is closed again.
fn flap(breaker: &Breaker, now: &mut Instant) {
    breaker
        .admit_at(*now)
        .unwrap()
        .settle_at(Outcome::Failure, *now);
    *now += Duration::from_secs(1);
    breaker
        .admit_at(*now)
        .unwrap()
        .settle_at(Outcome::Success, *now);
}

#[test]
fn a_breaker_weighs_what_is_said_of_it() {
    let stripes = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .next_power_of_two()
        .min(8) as u64;
    let mut kept = None;
    let heap = measure(|| kept = Some(Breaker::new(Config::new()).unwrap()));
    let bytes = size_of::<Breaker>() as u64 + heap.bytes_current as u64;
    println!(
        "{bytes} bytes with {stripes} stripes, {} of them not on the heap",
        size_of::<Breaker>()
    );
    assert!(bytes <= 1024 + 128 * stripes);
}

#[test]
fn a_call_allocates_nothing() {
    let now = Instant::now();
    let breaker = Breaker::new(Config::new()).unwrap();
    let open = Breaker::new(Config::classic(1, Duration::from_secs(9), 1)).unwrap();
    open.admit_at(now).unwrap().settle_at(Outcome::Failure, now);
    let calls = || {
        let outcomes = [Outcome::Success; 20];
        for outcome in outcomes
            .into_iter()
            .chain([Outcome::Failure, Outcome::Ignored])
        {
            breaker.admit_at(now).unwrap().settle_at(outcome, now);
        }
        drop(breaker.admit_at(now).unwrap());
        assert!(open.admit_at(now).is_err());
    };
    calls();
    assert_eq!(measure(|| (0..100).for_each(|_| calls())).count_total, 0);
}

/// recloser: replaced states and dropped breakers were never freed.
#[test]
fn nothing_is_left_of_changes_of_state_or_of_a_dropped_breaker() {
    let base = Instant::now();
    let breaker = || {
        let config = Config::classic(1, Duration::from_millis(1), 1);
        Breaker::builder(config)
            .clock(move || base)
            .build()
            .unwrap()
    };
    let flapping = breaker();
    let mut now = base;
    flap(&flapping, &mut now);
    let left = measure(|| (0..1000).for_each(|_| flap(&flapping, &mut now)));
    assert_eq!(left.bytes_current, 0);
    let left = measure(|| {
        for _ in 0..100 {
            flap(&breaker(), &mut base.clone());
        }
    });
    assert_eq!((left.bytes_current, left.count_current), (0, 0));
}
