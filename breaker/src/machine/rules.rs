//! The rules of the machine, one by one, each at its boundary.

mod health;
mod shell;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::{EVENTS_KEPT, Machine};
use crate::config::{Config, Degraded, OpenTime, Slow, Window};
use crate::event::Change;
use crate::rejected::Rejected;
use crate::state::{Cause, Mode, Outcome, State};
use crate::ticket::Ticket;

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);
const OPEN: Duration = Duration::from_secs(1);

fn start(config: Config) -> (Machine, Instant) {
    let now = crate::clock::system_now();
    let config = config.open_time(OpenTime::Constant(OPEN));
    (Machine::new(config, 7, now).expect("a good config"), now)
}

/// No rule but those that a test adds.
fn plain() -> Config {
    Config::new()
        .window(Window::Count { calls: 10 })
        .minimum_calls(5)
        .consecutive(None)
        .failure_rate(None)
        .degraded(None)
}

fn degraded() -> Degraded {
    Degraded {
        enter: 0.3,
        leave: 0.2,
        hold: OPEN,
        overload: 0.05,
    }
}

fn call(machine: &mut Machine, outcome: Outcome, now: Instant) -> State {
    let ticket = machine.admit(now).expect("admitted");
    machine.settle(ticket, outcome, now);
    machine.state()
}

fn calls(machine: &mut Machine, times: usize, outcome: Outcome, now: Instant) -> State {
    for _ in 0..times {
        call(machine, outcome, now);
    }
    machine.state()
}

fn admit(machine: &mut Machine, times: usize, now: Instant) -> Vec<Ticket> {
    let admitted = (0..times).map(|_| machine.admit(now).expect("admitted"));
    admitted.collect()
}

/// A machine that was opened at the time given, and whose open time is just over.
fn opened(config: Config) -> (Machine, Instant) {
    let (mut machine, now) = start(config.consecutive(1));
    assert_eq!(call(&mut machine, Outcome::Failure, now), State::Open);
    (machine, now + OPEN)
}

fn cause(machine: &mut Machine) -> Option<Cause> {
    let mut last = None;
    while let Some(event) = machine.next_event() {
        if let Change::Transition { cause, .. } = event.change {
            last = Some(cause);
        }
    }
    last
}

#[test]
fn open_times_double_up_to_the_longest_and_are_random_in_their_upper_half() {
    let time = OpenTime::Exponential {
        first: MS * 100,
        max: MS * 300,
    };
    let config = plain().consecutive(1).half_open(1, 1).open_time(time);
    let (mut shortest, mut longest) = ([1.0_f64; 4], [0.0_f64; 4]);
    for seed in 0..64 {
        let mut now = crate::clock::system_now();
        let mut machine = Machine::new(config, seed, now).unwrap();
        now += OPEN;
        for (opening, most) in [100, 200, 300, 300].into_iter().enumerate() {
            assert_eq!(call(&mut machine, Outcome::Failure, now), State::Open);
            let left = machine.snapshot(now).remaining.unwrap();
            let share = left.as_secs_f64() / (MS * most).as_secs_f64();
            assert!((0.5..=1.0).contains(&share), "{left:?} of {most} ms");
            shortest[opening] = shortest[opening].min(share);
            longest[opening] = longest[opening].max(share);
            let told = std::iter::from_fn(|| machine.next_event()).last();
            let Some(Change::Transition { open_for, .. }) = told.map(|event| event.change) else {
                panic!("it tells when it opens");
            };
            assert_eq!(open_for, Some(left));
            let openings = machine.snapshot(now).totals.openings;
            assert_eq!(openings, opening as u64 + 1);
            now += left;
        }
    }
    assert!(shortest.iter().all(|it| *it < 0.6) && longest.iter().all(|it| *it > 0.9));
}

#[test]
fn an_open_time_ends_with_its_last_nanosecond() {
    let (mut machine, over) = opened(plain());
    let Err(Rejected::Open { retry_after }) = machine.admit(over - NS) else {
        panic!("not refused");
    };
    assert_eq!(retry_after, NS);
    assert!(machine.admit(over).is_ok());
    assert_eq!(cause(&mut machine), Some(Cause::WaitOver));
}

#[test]
fn a_limit_that_hears_nothing_lets_one_more_in_with_each_deadline() {
    let config = plain().degraded(degraded()).half_open(1, 1);
    let (mut machine, now) = opened(config.half_open_deadline(OPEN));
    assert_eq!(call(&mut machine, Outcome::Success, now), State::Degraded);
    assert_eq!(machine.limit(), Some(1));
    let _hangs = machine.admit(now).unwrap();
    for round in 1..4 {
        let due = now + OPEN * round;
        assert!(matches!(
            machine.admit(due - NS),
            Err(Rejected::Limited { .. })
        ));
        let _hangs = machine.admit(due).expect("one more");
        assert!(matches!(machine.admit(due), Err(Rejected::Limited { .. })));
    }
}

/// Only overload moves it: for all other rules the results are too few.
fn limited() -> Config {
    let degraded = Degraded {
        enter: 0.9,
        ..degraded()
    };
    let window = Window::Count { calls: 1000 };
    let rules = plain().window(window).minimum_calls(1000);
    rules.failure_rate(1.0).degraded(degraded)
}

#[test]
fn three_failures_in_a_row_under_the_least_limit_open() {
    let (mut machine, now) = start(limited());
    calls(&mut machine, 2, Outcome::Overload, now);
    assert_eq!(machine.limit(), Some(1));
    calls(&mut machine, 2, Outcome::Failure, now);
    assert_eq!(call(&mut machine, Outcome::Success, now), State::Degraded);
    calls(&mut machine, 2, Outcome::Failure, now);
    assert_eq!(machine.state(), State::Degraded);
    assert_eq!(call(&mut machine, Outcome::Overload, now), State::Open);
    assert_eq!(cause(&mut machine), Some(Cause::LimitFutile));
}

#[test]
fn calls_from_before_the_limit_do_not_make_it_futile_though_time_stands_still() {
    let (mut machine, now) = start(limited());
    let mut before = admit(&mut machine, 150, now);
    let late = before.split_off(140);
    for ticket in before {
        machine.settle(ticket, Outcome::Overload, now);
    }
    assert_eq!(machine.limit(), Some(1));
    for ticket in late {
        machine.settle(ticket, Outcome::Failure, now);
    }
    assert_eq!(machine.state(), State::Degraded);
}

#[test]
fn probes_are_judged_by_their_results_and_their_deadline_alone() {
    let config = plain().minimum_calls(1).slow(Slow::new(MS * 100, 0.1));
    let (mut machine, now) = opened(config.half_open_deadline(OPEN * 10));
    let _hang = admit(&mut machine, 5, now);
    machine.tick(now + OPEN);
    assert_eq!(machine.snapshot(now).overdue, 5);
    assert_eq!(machine.state(), State::HalfOpen);
    machine.tick(now + OPEN * 10 - NS);
    assert_eq!(machine.state(), State::HalfOpen);
    machine.tick(now + OPEN * 10);
    assert_eq!(machine.state(), State::Open);
    assert_eq!(cause(&mut machine), Some(Cause::ProbesLate));
}

#[test]
fn the_degraded_state_is_entered_at_its_rate_by_enough_results_and_left_when_calm() {
    let (mut machine, now) = start(plain().degraded(degraded()));
    assert_eq!(calls(&mut machine, 2, Outcome::Success, now), State::Closed);
    assert_eq!(calls(&mut machine, 2, Outcome::Failure, now), State::Closed);
    let (mut machine, now) = start(plain().degraded(degraded()));
    calls(&mut machine, 7, Outcome::Success, now);
    assert_eq!(calls(&mut machine, 2, Outcome::Failure, now), State::Closed);
    assert_eq!(call(&mut machine, Outcome::Failure, now), State::Degraded);
    assert_eq!(cause(&mut machine), Some(Cause::ManyFailures));
    // Two failures in ten are still too many to be calm.
    calls(&mut machine, 8, Outcome::Success, now);
    calls(&mut machine, 1, Outcome::Success, now + OPEN);
    let calm = now + OPEN;
    assert_eq!(
        calls(&mut machine, 3, Outcome::Success, calm),
        State::Degraded
    );
    assert_eq!(
        call(&mut machine, Outcome::Failure, calm + OPEN),
        State::Degraded
    );
    assert_eq!(
        call(&mut machine, Outcome::Success, calm + OPEN - NS),
        State::Degraded
    );
    assert_eq!(
        call(&mut machine, Outcome::Success, calm + OPEN),
        State::Closed
    );
    assert_eq!(cause(&mut machine), Some(Cause::Calm));
}

#[test]
fn calm_takes_as_many_results_as_any_judgement() {
    let (mut machine, now) = start(plain().half_open(1, 1).degraded(degraded()));
    calls(&mut machine, 5, Outcome::Failure, now);
    assert_eq!(machine.state(), State::Degraded);
    calls(&mut machine, 9, Outcome::Success, now);
    let later = now + OPEN * 9;
    assert_eq!(
        calls(&mut machine, 3, Outcome::Success, later),
        State::Degraded
    );
    assert_eq!(call(&mut machine, Outcome::Success, later), State::Closed);
}

#[test]
fn slow_calls_degrade_and_keep_from_calm() {
    let slow = Slow::new(MS * 100, 0.9).degrade(0.5);
    let (mut machine, now) = start(plain().slow(slow).degraded(degraded()));
    let tickets = admit(&mut machine, 5, now);
    let later = now + MS * 100;
    calls(&mut machine, 4, Outcome::Success, later);
    let mut tickets = tickets.into_iter();
    for (ticket, state) in tickets.by_ref().take(4).zip([State::Closed; 4]) {
        machine.settle(ticket, Outcome::Success, later);
        if machine.snapshot(later).counts.slow < 4 {
            assert_eq!(machine.state(), state);
        }
    }
    assert_eq!(machine.state(), State::Degraded);
    assert_eq!(cause(&mut machine), Some(Cause::ManySlow));
    let mut now = later;
    for _ in 0..8 {
        now += OPEN;
        assert_eq!(machine.state(), State::Degraded);
        let slow = machine.admit(now).expect("admitted");
        machine.settle(slow, Outcome::Success, now + MS * 100);
        calls(&mut machine, 1, Outcome::Success, now + MS * 100);
    }
}

#[test]
fn calls_in_flight_that_are_slow_already_count_with_those_that_have_ended() {
    let config = plain().minimum_calls(8).slow(Slow::new(MS * 100, 0.5));
    for (hanging, state) in [(2, State::Closed), (3, State::Open)] {
        let (mut machine, now) = start(config);
        let mut tickets = admit(&mut machine, hanging + 1, now);
        let later = now + OPEN;
        calls(&mut machine, 4, Outcome::Success, later);
        machine.settle(tickets.pop().unwrap(), Outcome::Success, later);
        machine.tick(later);
        assert_eq!(machine.state(), state, "{hanging}");
    }
}

#[test]
fn without_a_limit_overload_is_one_more_failure() {
    for (failures, overloads) in [(0, 10), (1, 9), (5, 5), (9, 1)] {
        let (mut machine, now) = start(plain().minimum_calls(10).failure_rate(1.0));
        calls(&mut machine, failures, Outcome::Failure, now);
        calls(&mut machine, overloads, Outcome::Overload, now);
        assert_eq!(machine.state(), State::Open);
        assert_eq!(cause(&mut machine), Some(Cause::FailureRate));
    }
    let config = plain().minimum_calls(4).failure_rate(1.0);
    let (mut machine, now) = start(config.degraded(degraded()));
    calls(&mut machine, 4, Outcome::Overload, now);
    assert_eq!(machine.state(), State::Degraded, "the limit is the answer");
}

#[test]
fn the_oldest_events_are_lost_first_and_are_counted() {
    let (mut machine, now) = start(plain());
    let modes = [Mode::ForcedOpen, Mode::Automatic];
    for (told, mode) in modes.into_iter().cycle().take(EVENTS_KEPT + 3).enumerate() {
        machine.force(mode, now);
        let lost = (told + 1).saturating_sub(EVENTS_KEPT) as u64;
        assert_eq!(machine.snapshot(now).totals.events_lost, lost);
    }
    let sequences = std::iter::from_fn(|| machine.next_event()).map(|event| event.sequence);
    assert!(sequences.eq(4..=EVENTS_KEPT as u64 + 3));
}

#[test]
fn chance_is_splitmix64_and_reaches_both_ends() {
    let (mut machine, _) = start(plain());
    machine.random = 1_234_567;
    // The first numbers of the reference implementation from that seed.
    let reference = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
    ];
    for number in reference {
        assert_eq!(machine.random_up_to(u64::MAX), number);
    }
    let mut seen = [false; 4];
    (0..100).for_each(|_| seen[usize::try_from(machine.random_up_to(3)).unwrap()] = true);
    assert_eq!(seen, [true; 4]);
    assert_eq!(machine.random_up_to(0), 0);
}

#[test]
fn another_mode_or_other_evidence_begins_the_probes_anew() {
    let config = plain().half_open(2, 2).half_open_deadline(OPEN);
    let (mut machine, now) = opened(config);
    let _stale = admit(&mut machine, 2, now);
    let later = now + OPEN / 2;
    assert!(machine.admit(later).is_err());
    assert_eq!(machine.snapshot(later).probes, 2);
    machine.force(Mode::MetricsOnly, later);
    machine.force(Mode::Automatic, later);
    assert_eq!(machine.snapshot(later).remaining, Some(OPEN));
    let _stale = admit(&mut machine, 2, later);
    assert!(machine.admit(later).is_err());
    let window = Window::Time {
        buckets: 1,
        width: MS,
    };
    machine
        .configure(
            config.window(window).open_time(OpenTime::Constant(OPEN)),
            later + MS,
        )
        .unwrap();
    assert_eq!(machine.snapshot(later).probes, 0);
    assert_eq!(
        machine.snapshot(later).remaining,
        Some(OPEN),
        "the deadline stays"
    );
    assert_eq!(admit(&mut machine, 2, later).len(), 2);
    machine.reset(later);
    assert_eq!(machine.snapshot(later).probes, 0);
}

#[test]
fn what_cannot_be_is_noticed() {
    let wrong: [fn(&mut Machine); 4] = [
        |it| it.state = State::Degraded,
        |it| it.epoch = it.sequence + 1,
        |it| it.limit.start(3),
        |it| {
            it.config.degraded = Some(Degraded::default());
            it.state = State::Degraded;
            it.calm = Some(super::Calm {
                since_ns: 0,
                results: 0,
            });
        },
    ];
    for spoil in wrong {
        let (mut machine, _) = start(plain());
        machine.check();
        spoil(&mut machine);
        assert!(catch_unwind(AssertUnwindSafe(|| machine.check())).is_err());
    }
}
