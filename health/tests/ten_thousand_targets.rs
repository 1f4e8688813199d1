//! Ten thousand targets in virtual time: no lockstep, and a slow target delays nobody.
#![allow(
    clippy::disallowed_methods,
    reason = "a simulation needs some instant to begin with"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use health::{Group, GroupAction, GroupPolicy, Report, TargetProbe};

const TARGETS: usize = 10_000;
const MINUTES: u64 = 1;

struct Simulation {
    /// The starts of each target.
    starts: Vec<Vec<Duration>>,
    most_in_flight: usize,
}

/// Each answers after 5 ms, the slow ones never.
fn simulate(slow: impl Fn(usize) -> bool) -> Simulation {
    let begin = Instant::now();
    let mut now = begin;
    let policy = GroupPolicy::new().parallel(256);
    let mut group = Group::<usize>::with_seed(policy, 42, now).expect("valid");
    for key in 0..TARGETS {
        group.insert(key, now);
    }
    let mut starts = vec![Vec::new(); TARGETS];
    let mut most_in_flight = 0;
    let mut answers: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    let mut asked: Vec<Option<TargetProbe>> = vec![None; TARGETS];
    while now < begin + Duration::from_secs(60 * MINUTES) {
        let until = loop {
            match group.poll(now) {
                GroupAction::Probe(probe) => {
                    let key = *group.key(probe.target).expect("nobody is removed");
                    starts[key].push(now - begin);
                    most_in_flight = most_in_flight.max(group.in_flight());
                    if !slow(key) {
                        asked[key] = Some(probe);
                        answers.push(Reverse((now + Duration::from_millis(5), key)));
                    }
                }
                GroupAction::Event(_) => {}
                GroupAction::WaitUntil(until) => break until.expect("there are targets"),
            }
        };
        let answer_at = answers.peek().map(|Reverse((at, _))| *at);
        now = answer_at.map_or(until, |at| at.min(until));
        while let Some(Reverse((at, key))) = answers.pop() {
            if at > now {
                answers.push(Reverse((at, key)));
                break;
            }
            let probe = asked[key].take().expect("one question at a time");
            group.on_result(probe, Report::up(), now);
        }
    }
    Simulation {
        starts,
        most_in_flight,
    }
}

#[test]
fn probes_are_spread_over_the_interval_and_stay_so() {
    let simulation = simulate(|_| false);
    // After the first two intervals, by tenths of a second: 100 on average.
    let mut tenths = vec![0_u32; 10 * 60 * MINUTES as usize];
    for at in simulation.starts.iter().flatten() {
        tenths[at.as_millis() as usize / 100] += 1;
    }
    let steady = &tenths[200..590];
    let busiest = steady.iter().max().expect("not empty");
    let idlest = steady.iter().min().expect("not empty");
    assert!(
        *busiest <= 170 && *idlest >= 40,
        "from {idlest} to {busiest} in 100 ms"
    );
    assert!(simulation.most_in_flight <= 256);
}

#[test]
fn targets_that_never_answer_delay_nobody() {
    let simulation = simulate(|key| key % 1_000 == 7);
    for (key, starts) in simulation
        .starts
        .iter()
        .enumerate()
        .filter(|(key, _)| key % 1_000 != 7)
    {
        assert!(
            starts[0] <= Duration::from_millis(1_001),
            "{key} waits for its first probe"
        );
        for (position, pair) in starts.windows(2).enumerate() {
            let apart = pair[1] - pair[0];
            // The first wait spreads the phases; all others keep to the interval.
            let least = if position == 0 { 1_000 } else { 9_000 };
            let range = Duration::from_millis(least)..=Duration::from_millis(11_000);
            assert!(
                range.contains(&apart),
                "{key}: {apart:?} apart at {:?}",
                pair[0]
            );
        }
    }
}
