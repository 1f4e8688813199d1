//! The rules of what the breaker asks its machine.

use super::{MS, OPEN, admit, call, calls, degraded, opened, plain, start};
use crate::config::{Slow, Window};
use crate::event::Change;
use crate::machine::Machine;
use crate::state::{Mode, Outcome, State};

/// What the events tell of the open time, last first.
fn told(machine: &mut Machine) -> Vec<std::time::Duration> {
    let changes = std::iter::from_fn(|| machine.next_event()).map(|event| event.change);
    let mut told: Vec<_> = changes
        .filter_map(|change| match change {
            Change::Transition { open_for, .. } => open_for,
            _ => None,
        })
        .collect();
    told.reverse();
    told
}

#[test]
fn an_opening_tells_what_opened_it_and_what_the_server_asked_for() {
    for hint in [None, Some(OPEN * 3)] {
        let (mut machine, now) = start(plain().consecutive(2));
        assert!(!machine.has_events());
        call(&mut machine, Outcome::Failure, now);
        let now = now + OPEN;
        let ticket = admit(&mut machine, 1, now).pop().unwrap();
        match hint {
            Some(hint) => machine.settle_with_hint(ticket, Outcome::Failure, hint, now),
            None => machine.settle(ticket, Outcome::Failure, now),
        }
        assert!(machine.has_events());
        machine.force(Mode::MetricsOnly, now);
        let opening = machine.opening();
        assert_eq!((opening.openings, opening.hint), (1, hint));
        assert_eq!(opening.counts.failures, 2);
        let until = OPEN + hint.unwrap_or(OPEN);
        assert_eq!(machine.open_until_ns(), crate::config::nanos(until));
    }
}

#[test]
fn an_open_time_made_elsewhere_is_taken_by_the_opening_it_was_made_for() {
    let (mut machine, now) = opened(plain());
    let opened = now - OPEN;
    machine.on_open_time(machine.epoch() - 1, OPEN * 5);
    assert_eq!(machine.snapshot(opened).remaining, Some(OPEN));
    machine.on_open_time(machine.epoch(), OPEN * 4);
    assert_eq!(machine.snapshot(opened).remaining, Some(OPEN * 4));
    machine.force(Mode::ForcedOpen, now);
    machine.force(Mode::Automatic, now);
    machine.on_open_time(machine.epoch(), OPEN * 2);
    assert_eq!(machine.snapshot(opened).remaining, Some(OPEN * 2));
    assert_eq!(told(&mut machine), [OPEN * 2]);
    call(&mut machine, Outcome::Ignored, now + OPEN);
    assert_eq!(machine.state(), State::HalfOpen);
    let deadline = machine.snapshot(now).remaining;
    let until_ns = machine.open_until_ns();
    machine.on_open_time(machine.epoch(), OPEN * 9);
    assert_eq!(machine.open_until_ns(), until_ns);
    assert_eq!(machine.snapshot(now).remaining, deadline);
}

#[test]
fn a_machine_need_not_be_asked_while_it_admits_all() {
    let rules = plain().consecutive(1);
    let slow = Slow::new(MS, 0.5);
    for (mode, closed, open) in [
        (Mode::Automatic, true, false),
        (Mode::ForcedClosed, true, true),
        (Mode::MetricsOnly, true, true),
        (Mode::ForcedOpen, false, false),
    ] {
        let (mut machine, now) = start(rules);
        machine.force(mode, now);
        assert_eq!(machine.admits_all(), closed, "{mode}");
        machine.force(Mode::Automatic, now);
        assert_eq!(call(&mut machine, Outcome::Failure, now), State::Open);
        machine.force(mode, now);
        assert_eq!(machine.admits_all(), open, "{mode}");
        let (mut machine, now) = start(rules.slow(slow));
        machine.force(mode, now);
        assert!(!machine.admits_all(), "a slow call has to be timed");
    }
    assert!(!start(plain()).0.counts_calls());
    assert!(start(plain().degraded(degraded())).0.counts_calls());
}

#[test]
fn a_success_may_be_told_later_unless_it_completes_the_minimum_of_a_window_with_failures() {
    // Successes, failures, and whether the next success may wait, of at least five.
    let table = [
        (0, 0, true),
        (4, 0, true),
        (0, 1, false),
        (3, 1, false),
        (4, 1, true),
        (5, 1, true),
    ];
    for (successes, failures, defers) in table {
        for mode in [Mode::Automatic, Mode::MetricsOnly, Mode::ForcedOpen] {
            let (mut machine, now) = start(plain());
            machine.force(mode, now);
            if mode != Mode::ForcedOpen {
                calls(&mut machine, successes, Outcome::Success, now);
                calls(&mut machine, failures, Outcome::Failure, now);
            }
            let expected = match mode {
                Mode::Automatic => defers,
                mode => mode == Mode::MetricsOnly,
            };
            assert_eq!(
                machine.defers_success(),
                expected,
                "{successes}, {failures}"
            );
        }
    }
}

#[test]
fn a_period_ends_where_the_next_begins() {
    let (machine, _) = start(plain());
    assert_eq!(machine.period_end_ns(), u64::MAX);
    let window = Window::Time {
        buckets: 10,
        width: MS,
    };
    let (mut machine, now) = start(plain().window(window));
    assert_eq!(machine.period_end_ns(), 1_000_000);
    machine.tick(now + MS * 7);
    assert_eq!(machine.period_end_ns(), 8_000_000);
}
