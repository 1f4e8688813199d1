//! Every state that a small breaker can reach, visited.
//!
//! From each, a healthy backend leads to closed, whatever hangs. States that differ in the fraction of the limit alone count as one.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::Machine;
use crate::config::{Config, Degraded, OpenTime, Window};
use crate::state::{Outcome, State};
use crate::ticket::Stamp;
use crate::window::Kind;

const STEP_MS: u64 = 10;

fn small(degraded: bool) -> Config {
    let hold = Duration::from_millis(2 * STEP_MS);
    let policy = Degraded {
        enter: 0.5,
        leave: 0.3,
        hold,
        ..Degraded::default()
    };
    Config::new()
        .window(Window::Count { calls: 3 })
        .minimum_calls(2)
        .failure_rate(0.9)
        .consecutive(3)
        .open_time(OpenTime::Constant(Duration::from_millis(2 * STEP_MS)))
        .half_open(2, 1)
        .half_open_deadline(Duration::from_millis(3 * STEP_MS))
        .degraded(degraded.then_some(policy))
}

type Key = (
    State,
    Vec<(Kind, bool)>,
    Vec<(bool, bool)>,
    Option<(u32, (u32, u32))>,
    Vec<u64>,
);

#[derive(Clone)]
struct World {
    machine: Machine,
    running: Vec<Stamp>,
    now_ms: u64,
}

impl World {
    fn now(&self) -> Instant {
        self.machine.base + Duration::from_millis(self.now_ms)
    }

    fn successors(&self) -> Vec<Self> {
        let mut found = Vec::new();
        let mut later = self.clone();
        later.now_ms += STEP_MS;
        later.machine.tick(later.now());
        found.push(later);
        if self.running.len() < 2 {
            let mut asked = self.clone();
            if let Ok(stamp) = asked.machine.on_admission(self.now()) {
                asked.running.push(stamp);
            }
            found.push(asked);
        }
        for index in 0..self.running.len() {
            for outcome in [
                None,
                Some(Outcome::Success),
                Some(Outcome::Failure),
                Some(Outcome::Overload),
            ] {
                let mut ended = self.clone();
                let stamp = ended.running.swap_remove(index);
                ended.machine.on_end(stamp, outcome, None, self.now());
                found.push(ended);
            }
        }
        for world in &mut found {
            world.machine.events.clear();
        }
        found
    }

    /// What decides the future: everything but absolute time, numbers of epochs and totals. Ages
    /// are cut off where they stop mattering.
    fn key(&self) -> Key {
        let machine = &self.machine;
        let now_ns = self.now_ms * 1_000_000;
        let age = |then_ns: u64| now_ns.saturating_sub(then_ns).min(4 * STEP_MS * 1_000_000);
        let left = |until_ns: u64| until_ns.saturating_sub(now_ns);
        let mut current: Vec<(bool, bool)> = self
            .running
            .iter()
            .map(|stamp| {
                let mut limit = machine.limit.clone();
                limit.on_failed(stamp.started_ns);
                (stamp.epoch() == machine.epoch, limit != machine.limit)
            })
            .collect();
        current.sort_unstable();
        let probes = (machine.state == State::HalfOpen).then_some(machine.probes);
        let numbers = vec![
            machine.evidence.counts().streak.min(3),
            machine.current_calls(),
            machine.limit.calls().unwrap_or(0),
            u64::from(machine.limit.futile()),
            machine.calm.map_or(99, |calm| age(calm.since_ns)),
            machine
                .calm
                .map_or(0, |calm| u64::from(calm.results.min(2))),
            if machine.state == State::Degraded {
                age(machine.heard_ns)
            } else {
                0
            },
            if machine.state == State::Open {
                left(machine.open_until_ns)
            } else {
                0
            },
            probes.map_or(0, |probes| left(probes.deadline_ns())),
        ];
        let probed = probes.map(|probes| (probes.issued(), probes.results()));
        (
            machine.state,
            machine.evidence.results(),
            current,
            probed,
            numbers,
        )
    }

    /// Calls keep coming, all succeed at once; what is running already never ends.
    fn heals(mut self) -> bool {
        for _ in 0..200 {
            self.now_ms += STEP_MS / 2;
            if let Ok(stamp) = self.machine.on_admission(self.now()) {
                self.machine
                    .on_end(stamp, Some(Outcome::Success), None, self.now());
            }
            if self.machine.state == State::Closed {
                return true;
            }
        }
        false
    }
}

fn explore(degraded: bool) {
    let base = crate::clock::system_now();
    let machine = Machine::new(small(degraded), 1, base).expect("a good config");
    let start = World {
        machine,
        running: Vec::new(),
        now_ms: 0,
    };
    let mut seen = HashSet::from([start.key()]);
    let mut queue = VecDeque::from([start]);
    let mut states = HashSet::new();
    while let Some(world) = queue.pop_front() {
        states.insert(world.machine.state);
        for next in world.successors() {
            if seen.insert(next.key()) {
                queue.push_back(next);
            }
            assert!(seen.len() < 200_000, "the search no longer ends");
        }
        assert!(world.clone().heals(), "stuck: {:?}", world.key());
    }
    assert!(seen.len() > 150, "only {} states were found", seen.len());
    assert_eq!(states.len(), if degraded { 4 } else { 3 });
}

#[test]
fn every_reachable_state_heals() {
    explore(true);
}

#[test]
fn every_reachable_state_heals_without_the_degraded_state() {
    explore(false);
}
