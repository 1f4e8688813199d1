//! The rules of what reports of the backend's health do.

use super::{NS, OPEN, calls, cause, degraded, start};
use crate::config::Config;
use crate::state::{Cause, Mode, Outcome, State};

#[test]
fn the_healthy_share_degrades_under_one_threshold_and_recovers_over_the_other() {
    let rules = Config::for_health();
    // From closed: how many of ten are healthy, and where that leads.
    let table = [
        (10, State::Closed),
        (5, State::Closed),
        (4, State::Degraded),
        (1, State::Degraded),
        (0, State::Open),
    ];
    for (healthy, state) in table {
        let (mut machine, now) = start(rules);
        machine.report_health(healthy, 10, now);
        assert_eq!(machine.state(), state, "{healthy}");
    }
    let (mut machine, now) = start(rules.degraded(None));
    machine.report_health(4, 10, now);
    assert_eq!(
        (machine.state(), machine.next_event()),
        (State::Closed, None)
    );
    for mode in [Mode::ForcedClosed, Mode::ForcedOpen, Mode::MetricsOnly] {
        let (mut machine, now) = start(rules);
        machine.force(mode, now);
        machine.report_health(0, 10, now);
        assert_eq!(machine.state(), State::Closed, "{mode}");
    }
}

#[test]
fn a_good_report_begins_to_probe_and_counts_as_a_good_call() {
    let (mut machine, now) = start(Config::for_health());
    machine.report_health(0, 10, now);
    machine.report_health(8, 10, now);
    assert_eq!(machine.state(), State::Open);
    machine.report_health(9, 10, now);
    assert_eq!(machine.state(), State::HalfOpen);
    machine.report_health(9, 10, now);
    machine.report_health(8, 10, now);
    machine.report_health(8, 10, now);
    assert_eq!(machine.state(), State::HalfOpen);
    machine.report_health(9, 10, now);
    assert_eq!(machine.state(), State::Degraded);
    assert_eq!(cause(&mut machine), Some(Cause::ProbesPassed));
    let (mut machine, now) = start(Config::for_health());
    machine.report_health(0, 10, now);
    machine.report_health(9, 10, now);
    machine.report_health(0, 10, now);
    assert_eq!(machine.state(), State::Open);
}

#[test]
fn health_that_was_low_holds_the_degraded_state_until_it_is_over_the_upper_threshold() {
    let rules = Config::for_health().minimum_calls(3).degraded(degraded());
    for (healthy, state) in [(8, State::Degraded), (9, State::Closed)] {
        let (mut machine, now) = start(rules);
        machine.report_health(4, 10, now);
        machine.report_health(healthy, 10, now);
        calls(&mut machine, 3, Outcome::Success, now);
        calls(&mut machine, 1, Outcome::Success, now + OPEN);
        assert_eq!(machine.state(), state, "{healthy}");
    }
    // Only what is over the upper threshold is worth a good call.
    let (mut machine, now) = start(rules);
    for (healthy, state) in [
        (4, State::Degraded),
        (9, State::Degraded),
        (8, State::Degraded),
        (7, State::Degraded),
        (8, State::Degraded),
    ] {
        machine.report_health(healthy, 10, now + OPEN * (10 - healthy));
        assert_eq!(machine.state(), state);
    }
    let later = now + OPEN * 9;
    machine.report_health(8, 10, later);
    machine.report_health(9, 10, later);
    assert_eq!(machine.state(), State::Degraded);
    machine.report_health(9, 10, later);
    assert_eq!(machine.state(), State::Closed);
    let (mut machine, now) = start(rules);
    machine.report_health(4, 10, now);
    for later in [now, now + OPEN, now + OPEN * 2] {
        machine.report_health(6, 10, later);
        calls(&mut machine, 3, Outcome::Success, later);
        assert_eq!(
            machine.state(),
            State::Degraded,
            "not low and not recovered"
        );
    }
    // Reports alone suffice: three that are good, held for a second.
    let (mut machine, now) = start(rules);
    machine.report_health(4, 10, now);
    for (later, state) in [
        (now, State::Degraded),
        (now + OPEN - NS, State::Degraded),
        (now + OPEN, State::Closed),
    ] {
        machine.report_health(9, 10, later);
        assert_eq!(machine.state(), state);
    }
    assert_eq!(cause(&mut machine), Some(Cause::Calm));
}
