//! Incidents of nodes, in virtual time: what the balancer, the breakers and the budget make of them.
//!
//! Each gate stands beside a run with the defence off that misses it. `--nocapture` prints what was
//! measured.

#![allow(clippy::print_stdout, reason = "the measured numbers are for reading")]

mod report;
mod world;

use std::time::Duration;

use report::Phase::{After, Before, During};
use report::Report;
use world::{Choice, Defences, Incident, Setup, World};

fn setup(seed: u64, incident: Incident, struck: usize) -> Setup {
    Setup {
        seed,
        nodes: 5,
        clients: 4,
        servers: 10,
        service: Duration::from_millis(10),
        load: 0.5,
        timeout: Duration::from_secs(1),
        defences: Defences::ALL,
        incident,
        struck,
        start: Duration::from_secs(3),
        stop: Duration::from_secs(13),
        end: Duration::from_secs(20),
    }
}

fn by(choice: Choice) -> Defences {
    Defences {
        choice,
        ..Defences::ALL
    }
}

fn play(what: &str, setup: Setup) -> Report {
    let report = World::play(setup);
    println!(
        "{:?} of {} nodes, seed {}, {what}: p99 {:.1} / {:.1} / {:.1} ms, success {:.5}, \
         attempts {:.3}, {:.2} % of them to the first node, back after {:?} s, {} changes",
        setup.incident,
        setup.struck,
        setup.seed,
        report.quantile_ms(Before, 0.99),
        report.quantile_ms(During, 0.99),
        report.quantile_ms(After, 0.99),
        report.success(During),
        report.attempts_per_request(During),
        report.share(During, 0) * 100.0,
        report.back_after_s(0, 0.5),
        report.changes,
    );
    report
}

#[test]
fn one_of_five_nodes_ten_times_slower_hardly_shows() {
    for (seed, load) in [(1, 0.5), (2, 0.5), (3, 0.7)] {
        hardly_shows(Setup {
            load,
            ..setup(seed, Incident::Slow(10.0), 1)
        });
    }
}

#[test]
fn one_of_three_nodes_ten_times_slower_hardly_shows_to_a_single_client() {
    for seed in [1, 2] {
        hardly_shows(Setup {
            nodes: 3,
            clients: 1,
            servers: 100,
            load: 0.03,
            ..setup(seed, Incident::Slow(10.0), 1)
        });
    }
}

fn hardly_shows(slow: Setup) {
    let healthy = Setup {
        incident: Incident::None,
        ..slow
    };
    let healthy = play("as ever", healthy).quantile_ms(During, 0.99);
    let ours = play("ours", slow);
    assert!(ours.quantile_ms(During, 0.99) <= 1.2 * healthy);
    assert!(ours.share(During, 0) <= 0.01);
    assert!(ours.back_after_s(0, 0.5).is_some_and(|it| it <= 5.0));
}

#[test]
fn a_slow_node_shows_where_only_calls_in_flight_count() {
    let slow = setup(1, Incident::Slow(10.0), 1);
    for choice in [Choice::LeastInFlight, Choice::RoundRobin] {
        let defences = by(choice);
        let naive = play("naive", Setup { defences, ..slow });
        let healthy = naive.quantile_ms(Before, 0.99);
        assert!(naive.quantile_ms(During, 0.99) > 2.0 * healthy);
        assert!(naive.share(During, 0) > 0.02);
    }
}

#[test]
fn one_of_five_nodes_failing_at_once_hardly_shows() {
    for incident in [Incident::Fail(1.0), Incident::Fail(0.5), Incident::Lie] {
        for seed in [1, 2] {
            let ours = play("ours", setup(seed, incident, 1));
            assert!(ours.success(During) >= 0.999);
            assert!(ours.attempts_per_request(During) <= 1.1);
        }
    }
}

#[test]
fn a_node_that_failed_is_tried_again_in_five_seconds_and_trusted_in_ten() {
    for seed in [1, 2, 3] {
        let failed = Setup {
            end: Duration::from_secs(24),
            servers: 4,
            ..setup(seed, Incident::Fail(1.0), 1)
        };
        let ours = play("ours", failed);
        assert!(ours.back_after_s(0, 0.1).is_some_and(|it| it <= 5.0));
        assert!(ours.back_after_s(0, 0.5).is_some_and(|it| it <= 10.0));
    }
}

#[test]
fn without_probes_a_node_that_failed_is_not_back() {
    let failed = setup(1, Incident::Fail(1.0), 1);
    let defences = Defences {
        probes: false,
        checks: false,
        ..Defences::ALL
    };
    let silent = play("without probes", Setup { defences, ..failed });
    assert_eq!(silent.back_after_s(0, 0.1), None);
}

#[test]
fn a_failing_node_draws_calls_where_only_calls_in_flight_count() {
    let defences = Defences {
        choice: Choice::LeastInFlight,
        breakers: false,
        ..Defences::ALL
    };
    let failing = setup(1, Incident::Fail(1.0), 1);
    let naive = play(
        "naive",
        Setup {
            defences,
            ..failing
        },
    );
    assert!(naive.success(During) < 0.9);
    assert!(naive.share(During, 0) > 0.3);
}

/// Everything that can befall nodes: some of them, all of them.
const INCIDENTS: [(Incident, usize); 10] = [
    (Incident::Slow(10.0), 1),
    (Incident::Slow(10.0), 5),
    (Incident::Fail(1.0), 1),
    (Incident::Fail(0.6), 5),
    (Incident::Fail(1.0), 5),
    (Incident::Lie, 3),
    (Incident::Hang, 1),
    (Incident::Hang, 5),
    (Incident::Half, 5),
    (Incident::Half, 2),
];

fn hard(incident: Incident, struck: usize) -> Setup {
    Setup {
        servers: 4,
        load: 0.8,
        timeout: Duration::from_millis(250),
        ..setup(4, incident, struck)
    }
}

#[test]
fn no_incident_makes_more_than_eleven_attempts_of_ten_requests_and_none_lasts() {
    for (incident, struck) in INCIDENTS {
        let ours = play("ours", hard(incident, struck));
        for phase in [During, After] {
            assert!(ours.attempts_per_request(phase) <= 1.1);
        }
        let last = ours.success_after_s(4.0);
        println!("    {last:.5} of the calls from 4 s after the end on");
        assert!(last >= 0.999);
    }
}

#[test]
fn without_the_budget_and_the_breakers_incidents_make_three_attempts_of_one() {
    for (incident, struck) in [
        (Incident::Fail(1.0), 5),
        (Incident::Hang, 5),
        (Incident::Half, 5),
    ] {
        let defences = Defences {
            budget: false,
            breakers: false,
            ..Defences::ALL
        };
        let setup = Setup {
            defences,
            ..hard(incident, struck)
        };
        let naive = play("without budget and breakers", setup);
        assert!(naive.attempts_per_request(During) > 1.5);
    }
}
