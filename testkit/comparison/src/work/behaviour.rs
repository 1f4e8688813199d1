//! Incidents in virtual time, by the simulations of the crates concerned: ours beside the naive.

use std::time::Duration;

use anyhow::Result;
use breaker::{Config, OpenTime, Window};

use super::rigs::report::Phase::{After, During};
use super::rigs::report::Report;
use super::rigs::simulation::{self, Setup, run};
use super::rigs::world::{self, Choice, Defences, Incident, World};
use crate::figures::{Figure, Figures, Kind};
use crate::row::Bound;
use crate::session::{Case, Session};

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

/// Who guards the calls.
fn guards() -> [(&'static str, Kind, Option<Config>); 3] {
    [
        ("ours", Kind::Ours, Some(Config::new())),
        ("a binary breaker", Kind::Peer, Some(binary())),
        ("none", Kind::Peer, None),
    ]
}

fn cell(service_s: f64, in_flight: f64, tail: f64) -> Setup {
    let instances = if in_flight > 1.0 { 5 } else { 20 };
    let servers = (instances as f64 * in_flight / 0.69 / 2.0) as usize * 2;
    let (fast, dense) = (service_s < 0.05, in_flight > 1.0);
    let stop_s = if fast && dense { 13.0 } else { 63.0 };
    Setup {
        instances,
        in_flight,
        service_s,
        timeout_s: if fast { 0.25 } else { 1.0 },
        tail,
        faults: 0.0,
        servers,
        during: simulation::Incident::Servers(servers / 2),
        start_s: 3.0,
        stop_s,
        end_s: stop_s + 3.0,
        seed: 1,
    }
}

/// Half of the capacity goes away: what is still served, of what could be.
pub(crate) fn halved(session: &mut Session) -> Result<()> {
    for (service_s, in_flight) in [(0.01, 0.5), (0.01, 40.0), (0.1, 0.5), (0.1, 40.0)] {
        for tail in [0.0, 0.01] {
            let setup = cell(service_s, in_flight, tail);
            let demand = setup.instances as f64 * in_flight;
            let possible = (setup.servers as f64 / 2.0 / demand).min(1.0) * (1.0 - tail);
            let workload = format!(
                "calls of {} ms, {in_flight} in flight each, {} % never answered",
                service_s * 1e3,
                tail * 100.0
            );
            let case = Case::new("behaviour.halved", workload, "served of the possible", "");
            let figures = guards().map(|(name, kind, config)| Figure {
                name,
                kind,
                rounds: vec![run(&setup, config).success() / possible],
            });
            let figures = Figures(figures.into());
            session.show(&case, &figures);
            let first = (service_s, in_flight, tail) == (0.01, 0.5, 0.0);
            let bound = Bound::AtLeast(if first { 0.93 } else { 0.95 });
            let ours = &figures.ours().rounds;
            session.judge(&case, "of the possible", bound, ours, None);
        }
    }
    let calm = Setup {
        during: simulation::Incident::None,
        ..cell(0.01, 0.5, 0.01)
    };
    let case = Case::new(
        "behaviour.halved",
        "no overload, 1 % never answered",
        "served",
        "",
    );
    let figures = guards().map(|(name, kind, config)| Figure {
        name,
        kind,
        rounds: vec![run(&calm, config).success()],
    });
    let figures = Figures(figures.into());
    session.show(&case, &figures);
    let ours = &figures.ours().rounds;
    session.judge(&case, "served", Bound::AtLeast(0.98), ours, None);
    Ok(())
}

/// Nothing is answered for ten seconds: how long until nearly all is again.
pub(crate) fn recovery(session: &mut Session) -> Result<()> {
    let back_s = |seed, config| {
        let hang = Setup {
            during: simulation::Incident::Hang,
            stop_s: 13.0,
            end_s: 40.0,
            seed,
            ..cell(0.01, 0.5, 0.0)
        };
        run(&hang, config).recovery_s.unwrap_or(f64::NAN)
    };
    let case = Case::new("behaviour.recovery", "a hang of 10 s", "back after", "s");
    let figures = guards().map(|(name, kind, config)| Figure {
        name,
        kind,
        rounds: (1..=5).map(|seed| back_s(seed, config)).collect(),
    });
    let figures = Figures(figures.into());
    session.show(&case, &figures);
    let ours = &figures.ours().rounds;
    let worst = [ours.iter().copied().fold(0.0, f64::max)];
    session.judge(
        &case,
        "the worst of five (s)",
        Bound::AtMost(3.0),
        &worst,
        None,
    );
    Ok(())
}

fn nodes(seed: u64, incident: Incident, struck: usize, defences: Defences) -> world::Setup {
    world::Setup {
        seed,
        nodes: 5,
        clients: 4,
        servers: 10,
        service: Duration::from_millis(10),
        load: 0.5,
        timeout: Duration::from_secs(1),
        defences,
        incident,
        struck,
        start: Duration::from_secs(3),
        stop: Duration::from_secs(13),
        end: Duration::from_secs(20),
    }
}

/// Who chooses the node, and with what other defences.
fn choosers() -> [(&'static str, Kind, Defences); 3] {
    let by = |choice| Defences {
        choice,
        breakers: false,
        budget: false,
        ..Defences::ALL
    };
    [
        ("ours", Kind::Ours, Defences::ALL),
        ("least in flight", Kind::Peer, by(Choice::LeastInFlight)),
        ("round robin", Kind::Peer, by(Choice::RoundRobin)),
    ]
}

/// What each chooser makes of an incident, seed by seed.
fn incident(
    session: &mut Session,
    case: &Case,
    kind: Incident,
    value: impl Fn(u64, &Report) -> f64,
) -> Figures {
    let figures = choosers().map(|(name, who, defences)| Figure {
        name,
        kind: who,
        rounds: SEEDS
            .map(|seed| value(seed, &World::play(nodes(seed, kind, 1, defences))))
            .into(),
    });
    let figures = Figures(figures.into());
    session.show(case, &figures);
    figures
}

pub(crate) fn slow_node(session: &mut Session) -> Result<()> {
    let slow = Incident::Slow(10.0);
    let healthy = SEEDS.map(|seed| {
        let calm = nodes(seed, Incident::None, 0, Defences::ALL);
        World::play(calm).quantile_ms(During, 0.99)
    });
    let of_healthy = |seed, report: &Report| {
        let place = SEEDS.iter().position(|it| *it == seed).unwrap_or_default();
        report.quantile_ms(During, 0.99) / healthy[place]
    };
    let workload = "one of five nodes ten times slower";
    let case = Case::new("behaviour.slow-node", workload, "p99, of all healthy", "");
    let figures = incident(session, &case, slow, of_healthy);
    let ours = &figures.ours().rounds;
    session.judge(&case, "p99 of all healthy", Bound::AtMost(1.2), ours, None);
    let case = Case::new("behaviour.slow-node", workload, "of the traffic to it", "%");
    let share = |_, report: &Report| report.share(During, 0) * 100.0;
    let figures = incident(session, &case, slow, share);
    let ours = &figures.ours().rounds;
    session.judge(&case, "% of the traffic", Bound::AtMost(1.0), ours, None);
    let case = Case::new("behaviour.slow-node", workload, "back after", "s");
    let back = |_, report: &Report| report.back_after_s(0, 0.5).unwrap_or(f64::NAN);
    let figures = incident(session, &case, slow, back);
    let ours = &figures.ours().rounds;
    session.judge(&case, "back after (s)", Bound::AtMost(5.0), ours, None);
    Ok(())
}

pub(crate) fn failing_node(session: &mut Session) -> Result<()> {
    let id = "behaviour.failing-node";
    let case = Case::new(id, "one of five nodes fails every call", "success", "");
    let success = |_, report: &Report| report.success(During);
    let figures = incident(session, &case, Incident::Fail(1.0), success);
    let ours = &figures.ours().rounds;
    session.judge(&case, "success", Bound::AtLeast(0.999), ours, None);
    Ok(())
}

/// Attempts for each request, in everything that can befall nodes.
pub(crate) fn attempts(session: &mut Session) -> Result<()> {
    let incidents = [
        ("one slow", Incident::Slow(10.0), 1),
        ("all slow", Incident::Slow(10.0), 5),
        ("one fails", Incident::Fail(1.0), 1),
        ("all fail, 60 %", Incident::Fail(0.6), 5),
        ("all fail", Incident::Fail(1.0), 5),
        ("one hangs", Incident::Hang, 1),
        ("all hang", Incident::Hang, 5),
        ("all at half capacity", Incident::Half, 5),
    ];
    for (what, kind, struck) in incidents {
        let workload = format!("five nodes, {what}");
        let case = Case::new("behaviour.attempts", workload, "attempts per request", "");
        let figures = choosers().map(|(name, who, defences)| {
            let hard = world::Setup {
                servers: 4,
                load: 0.8,
                timeout: Duration::from_millis(250),
                ..nodes(4, kind, struck, defences)
            };
            let report = World::play(hard);
            Figure {
                name,
                kind: who,
                rounds: [During, After]
                    .map(|phase| report.attempts_per_request(phase))
                    .into(),
            }
        });
        let figures = Figures(figures.into());
        session.show(&case, &figures);
        let ours = figures.ours().rounds.iter().copied();
        let worst = [ours.fold(0.0, f64::max)];
        session.judge(
            &case,
            "at most, then and after",
            Bound::AtMost(1.1),
            &worst,
            None,
        );
    }
    Ok(())
}

/// What nothing can be held to yet.
pub(crate) fn later(session: &mut Session) -> Result<()> {
    for (id, bar, reason) in LATER {
        session.not_yet(id, bar, reason);
    }
    Ok(())
}

const SEEDS: [u64; 3] = [1, 2, 3];

const LATER: [(&str, &str, &str); 7] = [
    (
        "behaviour.bursts",
        "<= 100 ms and <= 1/15",
        "not built yet: F4, sizing",
    ),
    (
        "behaviour.recurring",
        "p99 <= 20 ms",
        "not built yet: F4, sizing",
    ),
    ("behaviour.seconds", "<= 60 %", "not built yet: F4, sizing"),
    (
        "behaviour.overload",
        ">= 98 %, <= 0.1 % lost",
        "not built yet: C8, the overload queue",
    ),
    (
        "behaviour.classes",
        "<= 20 ms",
        "not built yet: F5, query classes",
    ),
    (
        "behaviour.fleet",
        "0 s, <= 2 %",
        "not built yet: F7, the fleet budget",
    ),
    (
        "behaviour.untuned",
        "within 10 %",
        "not built yet: F4, sizing",
    ),
];
