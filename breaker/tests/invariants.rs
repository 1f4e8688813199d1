//! Rules that hold whatever the configuration, one test each, through the public interface.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use breaker::{
    Breaker, Config, Degraded, Machine, Mode, OpenTime, Outcome, Permit, Rejected, Slow, State,
    Window,
};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
/// Longer than the default's longest open time.
const OPEN: Duration = Duration::from_secs(9);

fn fixed(config: Config) -> (Breaker, Instant) {
    let base = Instant::now();
    (
        Breaker::builder(config)
            .seed(1)
            .clock(move || base)
            .build()
            .unwrap(),
        base,
    )
}

fn fail(breaker: &Breaker, times: usize, now: Instant) {
    for _ in 0..times {
        breaker
            .admit_at(now)
            .unwrap()
            .settle_at(Outcome::Failure, now);
    }
}

/// From closed to half-open, with one probe admitted.
fn probe(breaker: &Breaker, now: Instant) -> Permit<&Breaker> {
    fail(breaker, 5, now);
    breaker.admit_at(now + OPEN).unwrap()
}

#[test]
fn one_failure_less_than_the_row_does_not_open_and_the_row_does() {
    let (breaker, now) = fixed(Config::new());
    fail(&breaker, 4, now);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1, now);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_success_that_completes_the_minimum_opens() {
    let config = Config::new()
        .failure_rate(0.5)
        .consecutive(None)
        .minimum_calls(4)
        .degraded(None);
    let (breaker, now) = fixed(config);
    breaker
        .admit_at(now)
        .unwrap()
        .settle_at(Outcome::Success, now);
    fail(&breaker, 2, now);
    assert_eq!(breaker.state(), State::Closed);
    breaker
        .admit_at(now)
        .unwrap()
        .settle_at(Outcome::Success, now);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn retry_after_is_what_is_left_and_does_not_grow() {
    let (breaker, now) = fixed(Config::classic(1, 100 * MS, 1));
    fail(&breaker, 1, now);
    for passed in 0..100 {
        let retry_after = breaker
            .admit_at(now + passed * MS)
            .unwrap_err()
            .retry_after();
        assert_eq!(retry_after, Some((100 - passed) * MS));
    }
    assert!(breaker.admit_at(now + 100 * MS).is_ok());
}

#[test]
fn late_results_neither_close_nor_lengthen_an_open_breaker() {
    let (breaker, now) = fixed(Config::classic(1, 100 * MS, 1));
    let late: Vec<_> = (0..4).map(|_| breaker.admit_at(now).unwrap()).collect();
    fail(&breaker, 1, now);
    for (permit, outcome) in late
        .into_iter()
        .zip([Outcome::Success, Outcome::Failure].repeat(2))
    {
        permit.settle_at(outcome, now + 50 * MS);
    }
    let snapshot = breaker.snapshot_at(now + 50 * MS);
    assert_eq!(
        (snapshot.state, snapshot.remaining),
        (State::Open, Some(50 * MS))
    );
    assert_eq!((snapshot.sequence, snapshot.totals.stale), (1, 4));
}

#[test]
fn cancelled_and_ignored_probes_give_their_slots_back() {
    let (breaker, now) = fixed(Config::new());
    let later = now + OPEN;
    drop(probe(&breaker, now));
    for _ in 0..3 {
        let probes: Vec<_> = (0..5).map(|_| breaker.admit_at(later).unwrap()).collect();
        let busy = breaker.admit_at(later).unwrap_err();
        assert_eq!(
            busy,
            Rejected::ProbesBusy {
                retry_after: Duration::from_secs(5)
            }
        );
        for (index, permit) in probes.into_iter().enumerate() {
            if index % 2 == 0 {
                drop(permit)
            } else {
                permit.ignore()
            }
        }
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn probes_that_hang_end_at_the_deadline_as_failed() {
    let (breaker, now) = fixed(Config::new());
    let _hanging = probe(&breaker, now);
    let at_deadline = now + OPEN + Duration::from_secs(5);
    breaker.tick_at(at_deadline - MS);
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.tick_at(at_deadline);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn enough_successes_start_the_ramp_and_never_close_at_once() {
    let (breaker, now) = fixed(Config::new());
    let later = now + OPEN;
    probe(&breaker, now).settle_at(Outcome::Success, later);
    breaker
        .admit_at(later)
        .unwrap()
        .settle_at(Outcome::Success, later);
    assert_eq!(
        (breaker.state(), breaker.limit()),
        (State::Degraded, Some(2))
    );
    let permits = [
        breaker.admit_at(later).unwrap(),
        breaker.admit_at(later).unwrap(),
    ];
    assert!(permits.iter().all(Permit::degraded));
    assert!(matches!(
        breaker.admit_at(later),
        Err(Rejected::Limited { .. })
    ));
}

#[test]
fn a_panic_under_a_permit_is_a_failure_and_a_drop_is_nothing() {
    let (breaker, _now) = fixed(Config::new());
    let before = breaker.snapshot();
    drop(breaker.admit().unwrap());
    assert_eq!(breaker.snapshot().counts, before.counts);
    let result = catch_unwind(AssertUnwindSafe(|| {
        breaker.call(Outcome::of, || -> Result<(), ()> { panic!("on purpose") })
    }));
    assert!(result.is_err());
    let counts = breaker.snapshot().counts;
    assert_eq!(
        (counts.failures, breaker.snapshot().totals.cancelled),
        (1, 1)
    );
}

#[test]
fn a_panic_that_was_there_before_the_permit_fails_nothing() {
    struct CallsInDrop<'a>(&'a Breaker);
    impl Drop for CallsInDrop<'_> {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            drop(self.0.admit().unwrap());
            self.0.admit().unwrap().success();
        }
    }
    let (breaker, _now) = fixed(Config::new());
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _last_call = CallsInDrop(&breaker);
        std::panic::resume_unwind(Box::new("somebody else's panic"));
    }));
    assert!(result.is_err());
    let totals = breaker.snapshot().totals;
    assert_eq!(
        (totals.successes, totals.failures, totals.cancelled),
        (1, 0, 1)
    );
}

#[test]
fn silence_never_heals() {
    let mut machine = Machine::new(Config::new(), 1, Instant::now()).unwrap();
    let now = Instant::now();
    let tickets: Vec<_> = (0..20).map(|_| machine.admit(now).unwrap()).collect();
    for (index, ticket) in tickets.into_iter().enumerate() {
        machine.settle(
            ticket,
            if index % 2 == 0 {
                Outcome::Success
            } else {
                Outcome::Failure
            },
            now,
        );
    }
    assert_eq!(machine.state(), State::Degraded);
    assert_eq!(machine.limit(), None, "fast failures never lower the limit");
    for second in 0..3600 {
        machine.tick(now + Duration::from_secs(second));
    }
    assert_eq!(machine.state(), State::Degraded);
}

#[test]
fn a_failure_rate_between_leave_and_enter_changes_nothing() {
    let mut machine = Machine::new(Config::new(), 1, Instant::now()).unwrap();
    let start = Instant::now();
    for call in 0..10_000_u32 {
        let now = start + call * MS * 10;
        let ticket = machine.admit(now).unwrap();
        let outcome = if call % 7 == 6 {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        machine.settle(ticket, outcome, now);
    }
    assert_eq!(
        (machine.state(), machine.snapshot(start).sequence),
        (State::Closed, 0)
    );
}

#[test]
fn modes_are_sticky_and_stand_beside_the_state() {
    let (breaker, now) = fixed(Config::new());
    breaker.force(Mode::ForcedOpen);
    for hour in 0..24 {
        let later = now + Duration::from_secs(3600 * hour);
        assert_eq!(breaker.admit_at(later).unwrap_err(), Rejected::Forced);
    }
    breaker.reset();
    assert_eq!(breaker.admit().unwrap_err().retry_after(), None);
    breaker.force(Mode::ForcedClosed);
    fail(&breaker, 1000, now);
    assert_eq!(breaker.state(), State::Closed);
    breaker.force(Mode::Automatic);
    assert_eq!(
        breaker.snapshot().counts.total(),
        0,
        "evidence of another mode is not held against it"
    );
    fail(&breaker, 5, now);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn metrics_only_counts_as_a_closed_breaker_does() {
    let now = Instant::now();
    let [watched, closed] = [
        Config::new(),
        Config::new()
            .failure_rate(None)
            .consecutive(None)
            .degraded(None),
    ]
    .map(|config| Breaker::builder(config).clock(move || now).build().unwrap());
    watched.force(Mode::MetricsOnly);
    for step in 0..500_u32 {
        for breaker in [&watched, &closed] {
            let now = now + step * 7 * MS;
            let outcome = if step % 3 == 0 {
                Outcome::Success
            } else {
                Outcome::Failure
            };
            breaker.admit_at(now).unwrap().settle_at(outcome, now);
        }
    }
    let now = now + 3500 * MS;
    assert_eq!(
        watched.snapshot_at(now).counts,
        closed.snapshot_at(now).counts
    );
}

#[test]
fn reset_closes_and_forgets_and_makes_permits_stale() {
    let (breaker, now) = fixed(Config::new());
    let permit = breaker.admit_at(now).unwrap();
    fail(&breaker, 5, now);
    breaker.reset();
    permit.settle_at(Outcome::Failure, now);
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.state, snapshot.openings_remembered),
        (State::Closed, 0)
    );
    assert_eq!((snapshot.counts.total(), snapshot.totals.stale), (0, 1));
}

#[test]
fn slow_calls_still_in_flight_open_the_breaker_by_tick() {
    let config = Config::new()
        .slow(Slow::new(800 * MS, 0.5))
        .minimum_calls(4);
    let (breaker, now) = fixed(config);
    let hanging: Vec<_> = (0..4).map(|_| breaker.admit_at(now).unwrap()).collect();
    breaker.tick_at(now + 799 * MS);
    assert_eq!(
        (breaker.state(), breaker.snapshot_at(now).overdue),
        (State::Closed, 0)
    );
    breaker.tick_at(now + 900 * MS);
    assert_eq!(breaker.state(), State::Open);
    hanging
        .into_iter()
        .for_each(|permit| permit.settle_at(Outcome::Success, now + 1000 * MS));
    assert_eq!(breaker.snapshot_at(now).totals.stale, 4);
}

#[test]
fn a_call_is_slow_from_the_threshold_on() {
    let (breaker, now) = fixed(Config::new().slow(Slow::new(800 * MS, 1.0)));
    breaker
        .admit_at(now)
        .unwrap()
        .settle_at(Outcome::Success, now + 799 * MS);
    assert_eq!(breaker.snapshot_at(now).counts.slow, 0);
    let now = now + 800 * MS;
    breaker
        .admit_at(now)
        .unwrap()
        .settle_at(Outcome::Success, now + 800 * MS);
    assert_eq!(breaker.snapshot_at(now).counts.slow, 1);
}

#[test]
fn a_hint_lengthens_the_open_time_up_to_the_longest() {
    for (hint, expected) in [(1, 100), (5_000, 5_000), (500_000, 60_000)] {
        let (breaker, now) = fixed(Config::classic(1, 100 * MS, 1));
        let permit = breaker.admit_at(now).unwrap();
        permit.settle_with_hint_at(Outcome::Failure, hint * MS, now);
        assert_eq!(breaker.snapshot_at(now).remaining, Some(expected * MS));
    }
}

#[test]
fn open_times_double_with_equal_jitter_and_are_forgotten_by_healthy_intervals() {
    let config = Config::new().forget_opening(Duration::from_secs(10));
    let (breaker, mut now) = fixed(config);
    for full in [250, 500, 1000, 2000, 2000] {
        if breaker.state() == State::Closed {
            fail(&breaker, 5, now);
        } else {
            now += OPEN;
            (0..4).for_each(|_| {
                breaker
                    .admit_at(now)
                    .unwrap()
                    .settle_at(Outcome::Failure, now)
            });
        }
        let wait = breaker.snapshot_at(now).remaining.unwrap();
        assert!(
            wait >= full * MS / 2 && wait <= full * MS,
            "{wait:?} of {full}"
        );
    }
    assert_eq!(breaker.snapshot_at(now).openings_remembered, 5);
    now += OPEN;
    while breaker.state() != State::Closed {
        now += 50 * MS;
        breaker
            .admit_at(now)
            .unwrap()
            .settle_at(Outcome::Success, now);
    }
    now += Duration::from_secs(35);
    fail(&breaker, 5, now);
    assert_eq!(breaker.snapshot_at(now).openings_remembered, 5 - 3 + 1);
}

#[test]
fn health_reports_alone_open_degrade_and_heal() {
    let (breaker, mut now) = fixed(Config::for_health());
    breaker.report_health_at(4, 10, now);
    assert_eq!((breaker.state(), breaker.limit()), (State::Degraded, None));
    breaker.report_health_at(0, 10, now);
    assert_eq!(breaker.state(), State::Open);
    breaker.report_health_at(7, 10, now);
    assert_eq!(breaker.state(), State::Open);
    for expected in [State::HalfOpen, State::HalfOpen, State::Degraded] {
        breaker.report_health_at(9, 10, now);
        assert_eq!(breaker.state(), expected);
    }
    for _ in 0..11 {
        now += 600 * MS;
        breaker.report_health_at(10, 10, now);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn reconfiguration_keeps_evidence_that_still_means_something() {
    let count = |calls| {
        Config::new()
            .window(Window::Count { calls })
            .minimum_calls(5)
            .degraded(None)
    };
    let (breaker, now) = fixed(count(20));
    (0..10).for_each(|_| {
        breaker
            .admit_at(now)
            .unwrap()
            .settle_at(Outcome::Success, now)
    });
    fail(&breaker, 4, now);
    breaker.configure(count(8)).unwrap();
    let counts = breaker.snapshot().counts;
    assert_eq!((counts.successes, counts.failures), (4, 4));
    breaker.configure(count(8).failure_rate(0.5)).unwrap();
    assert_eq!(
        breaker.state(),
        State::Open,
        "the new threshold is held against the old evidence"
    );
    let (breaker, now) = fixed(count(20));
    fail(&breaker, 4, now);
    breaker.configure(Config::new()).unwrap();
    assert_eq!(breaker.snapshot().counts.total(), 0);
}

#[test]
fn a_confidence_bound_needs_more_than_a_lucky_few() {
    let plain = Config::new()
        .failure_rate(0.6)
        .consecutive(None)
        .minimum_calls(5)
        .degraded(None);
    let sure = plain.confidence(1.64);
    let [plain, sure] = [plain, sure].map(fixed);
    fail(&plain.0, 5, plain.1);
    assert_eq!(plain.0.state(), State::Open);
    // Five of five prove 0.65 at 1.64 deviations; four of five do not prove 0.6.
    sure.0
        .admit_at(sure.1)
        .unwrap()
        .settle_at(Outcome::Success, sure.1);
    fail(&sure.0, 4, sure.1);
    assert_eq!(sure.0.state(), State::Closed);
    let more = (0..20).take_while(|_| {
        let permit = sure.0.admit_at(sure.1);
        permit
            .map(|permit| permit.settle_at(Outcome::Failure, sure.1))
            .is_ok()
    });
    assert_eq!((more.count(), sure.0.state()), (4, State::Open));
}

#[test]
fn owned_permits_outlive_the_borrow() {
    let breaker = Arc::new(Breaker::new(Config::new()).unwrap());
    let permit = breaker.admit_owned().unwrap();
    std::thread::spawn(move || permit.success()).join().unwrap();
    assert_eq!(breaker.snapshot().totals.successes, 1);
}

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::MAX),
        (0..5_000_000_000_u64).prop_map(Duration::from_nanos),
    ]
}

fn counts() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), 2..40_u32]
}

fn rates() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(0.0),
        Just(1.0),
        0.0..1.0
    ]
}

proptest! {
    #[test]
    fn any_value_is_refused_at_build_or_never_panics(
        (window, count, row) in ((counts(), spans(), any::<bool>()), counts(), counts()),
        (open, max, deadline, forget, hold) in (spans(), spans(), spans(), spans(), spans()),
        (slow, rate, enter, leave) in (spans(), rates(), rates(), rates()),
        (probes, successes) in (counts(), counts()),
        steps in proptest::collection::vec((0..8_u8, spans()), 0..60),
    ) {
        let mut degraded = Degraded::default();
        (degraded.enter, degraded.leave, degraded.hold) = (enter, leave, hold);
        let window = if window.2 {
            Window::Count { calls: window.0 }
        } else {
            Window::Time { buckets: window.0, width: window.1 }
        };
        let config = Config::new()
            .window(window)
            .minimum_calls(count)
            .consecutive(row)
            .failure_rate(rate)
            .open_time(OpenTime::Exponential { first: open, max })
            .longest_hint(max)
            .half_open(probes, successes)
            .half_open_deadline(deadline)
            .forget_opening(forget)
            .degraded(degraded)
            .slow(Slow::new(slow, 0.5));
        let base = Instant::now();
        let Ok(mut machine) = Machine::new(config, 1, base) else { return Ok(()) };
        let mut tickets = Vec::new();
        let mut now = base;
        for (step, span) in steps {
            match (step, tickets.pop()) {
                (0, _) => now = now.checked_add(span).unwrap_or(now),
                (1, _) => now = now.checked_sub(span).unwrap_or(now),
                (2, Some(ticket)) => machine.settle(ticket, Outcome::Success, now),
                (3, Some(ticket)) => machine.settle_with_hint(ticket, Outcome::Failure, span, now),
                (4, Some(ticket)) => machine.settle(ticket, Outcome::Overload, now),
                (5, _) => machine.tick(now),
                _ => tickets.extend(machine.admit(now)),
            }
            let _number = machine.snapshot(now);
        }
    }

    /// Shifting all times by the same amount changes nothing.
    #[test]
    fn only_differences_of_time_matter(shift in 0..100_000_u64, steps in proptest::collection::vec((0..30_u64, any::<bool>()), 1..80)) {
        let history = |base: Instant| {
            let mut machine = Machine::new(Config::new().minimum_calls(3), 1, base).unwrap();
            let mut now = base;
            steps.iter().map(|&(millis, good)| {
                now += Duration::from_millis(millis);
                if let Ok(ticket) = machine.admit(now) {
                    machine.settle(ticket, if good { Outcome::Success } else { Outcome::Failure }, now);
                }
                (machine.state(), machine.snapshot(now).counts)
            }).collect::<Vec<_>>()
        };
        let base = Instant::now();
        prop_assert_eq!(history(base), history(base + Duration::from_millis(shift)));
    }

    /// Turning a success into a failure never delays the first opening; ignoring calls in between
    /// never changes it.
    #[test]
    fn more_failures_open_no_later_and_ignored_calls_decide_nothing(
        steps in proptest::collection::vec(any::<bool>(), 1..60),
        flip in any::<prop::sample::Index>(),
    ) {
        let opens_at = |steps: &[bool], ignored: bool| {
            let now = Instant::now();
            let config = Config::new().failure_rate(0.7).degraded(None).window(Window::Count { calls: 12 });
            let mut machine = Machine::new(config, 1, now).unwrap();
            steps.iter().position(|good| {
                if ignored {
                    let ticket = machine.admit(now).unwrap();
                    machine.settle(ticket, Outcome::Ignored, now);
                }
                let ticket = machine.admit(now).unwrap();
                machine.settle(ticket, if *good { Outcome::Success } else { Outcome::Failure }, now);
                machine.state() == State::Open
            }).unwrap_or(usize::MAX)
        };
        let mut worse = steps.clone();
        worse[flip.index(steps.len())] = false;
        prop_assert!(opens_at(&worse, false) <= opens_at(&steps, false));
        prop_assert_eq!(opens_at(&steps, true), opens_at(&steps, false));
    }
}
