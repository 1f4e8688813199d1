//! Incidents in virtual time: many clients and one queueing backend.
//!
//! Ours stands beside a binary breaker and none. All numbers are inequalities; `--nocapture` prints what was measured.
#![cfg(not(loom))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::print_stdout, reason = "the measured numbers are for reading")]

mod support;

use std::time::Duration;

use breaker::{Config, OpenTime, State, Window};
use support::simulation::{Incident, Setup, run};

/// Opens at half of the calls failing, for five seconds: what breakers usually do.
fn binary() -> Config {
    Config::new()
        .failure_rate(0.5)
        .consecutive(None)
        .window(Window::Time {
            buckets: 10,
            width: Duration::from_secs(1),
        })
        .minimum_calls(20)
        .open_time(OpenTime::Constant(Duration::from_secs(5)))
        .degraded(None)
}

fn setup(service_s: f64, in_flight: f64, tail: f64, seed: u64) -> Setup {
    let instances = if in_flight > 1.0 { 5 } else { 20 };
    let servers = (instances as f64 * in_flight / 0.69 / 2.0) as usize * 2;
    // Where calls are most frequent, fewer seconds hold as many.
    let (stop_s, end_s) = if service_s < 0.05 && in_flight > 1.0 {
        (13.0, 16.0)
    } else {
        (63.0, 73.0)
    };
    Setup {
        instances,
        in_flight,
        service_s,
        timeout_s: if service_s < 0.05 { 0.25 } else { 1.0 },
        tail,
        faults: 0.0,
        servers,
        during: Incident::Servers(servers / 2),
        start_s: 3.0,
        stop_s,
        end_s,
        seed,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// One cell: goodput during the incident as a share of the possible, and in calm weather.
///
/// A seed of the smallest cell is 4200 served calls, give or take 1.5 % by chance: so the bars are
/// held against the mean of many.
fn cell(service_s: f64, in_flight: f64, tail: f64, seeds: u64) {
    let shape = setup(service_s, in_flight, tail, 1);
    let demand = shape.instances as f64 * in_flight;
    let possible = (shape.servers as f64 / 2.0 / demand).min(1.0) * (1.0 - tail);
    let binary = run(&shape, Some(binary())).success() / possible;
    let none = run(&shape, None).success() / possible;
    let (mut shares, mut calm) = (Vec::new(), Vec::new());
    for seed in 1..=seeds {
        let halved = Setup { seed, ..shape };
        let ours = run(&halved, Some(Config::new()));
        shares.push(ours.success() / possible);
        assert_eq!(ours.openings, 0, "overload is what the limit is for");
        // Overload brings one transition down and, at most three times a minute, one up.
        assert!(ours.transitions <= 8 * shape.instances as u64);
        assert!(ours.recovery_s.is_some_and(|seconds| seconds <= 3.0));
        let fair = Setup {
            during: Incident::None,
            ..halved
        };
        calm.push(run(&fair, Some(Config::new())).success());
    }
    let (share, calm) = (mean(&shares), mean(&calm));
    println!(
        "{service_s} s, {in_flight} in flight, {tail} tail, {seeds} seeds: ours {share:.3}, \
         binary {binary:.3}, none {none:.3} of {possible:.3}; calm {calm:.4}"
    );
    assert!(share >= 0.95, "{share} of the possible");
    assert!(share >= 1.2 * binary && share >= 2.0 * none);
    assert!(shares.iter().all(|share| *share >= 0.88), "{shares:?}");
    assert!(calm >= 0.98);
}

#[test]
fn capacity_halved_10_ms_half_a_call_in_flight() {
    cell(0.01, 0.5, 0.0, 2);
}

#[test]
fn capacity_halved_10_ms_half_a_call_in_flight_with_a_tail() {
    cell(0.01, 0.5, 0.01, 2);
}

#[test]
fn capacity_halved_10_ms_40_in_flight() {
    cell(0.01, 40.0, 0.0, 1);
}

#[test]
fn capacity_halved_10_ms_40_in_flight_with_a_tail() {
    cell(0.01, 40.0, 0.01, 1);
}

#[test]
fn capacity_halved_100_ms_half_a_call_in_flight() {
    cell(0.1, 0.5, 0.0, 24);
}

#[test]
fn capacity_halved_100_ms_half_a_call_in_flight_with_a_tail() {
    cell(0.1, 0.5, 0.01, 24);
}

#[test]
fn capacity_halved_100_ms_40_in_flight() {
    cell(0.1, 40.0, 0.0, 2);
}

#[test]
fn capacity_halved_100_ms_40_in_flight_with_a_tail() {
    cell(0.1, 40.0, 0.01, 2);
}

#[test]
fn after_a_hang_of_ten_seconds_service_is_back_within_three() {
    for seed in 1..=5 {
        let hang = Setup {
            during: Incident::Hang,
            stop_s: 13.0,
            end_s: 40.0,
            ..setup(0.01, 0.5, 0.0, seed)
        };
        let ours = run(&hang, Some(Config::new()));
        println!(
            "hang, seed {seed}: back after {:?} s, {} of {} sent",
            ours.recovery_s, ours.sent, ours.offered
        );
        assert!(ours.recovery_s.is_some_and(|seconds| seconds <= 3.0));
        assert!(
            ours.sent * 8 <= ours.offered,
            "the hung backend is left alone"
        );
        assert!(
            ours.final_states
                .iter()
                .all(|state| *state == State::Closed)
        );
    }
}

#[test]
fn failures_that_do_not_depend_on_load_cost_nothing_more() {
    for faults in [0.1, 0.3, 0.45] {
        let steady = Setup {
            faults,
            during: Incident::None,
            ..setup(0.01, 0.5, 0.0, 1)
        };
        let ours = run(&steady, Some(Config::new()));
        assert_eq!(ours.refused, 0);
        assert!(ours.success() >= 0.98 * (1.0 - faults));
    }
}
