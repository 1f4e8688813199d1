//! Every state that a small breaker can reach, visited; from each, a healthy backend leads to
//! closed, whatever probes hang.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::{Machine, Stamp};
use crate::config::{Config, Degraded, OpenTime, Window};
use crate::state::{Outcome, State};

const STEP_MS: u64 = 10;

fn small(degraded: bool) -> Config {
    let mut policy = Degraded::default();
    policy.hold = Duration::from_millis(2 * STEP_MS);
    policy.enter = 0.5;
    policy.leave = 0.3;
    Config::new()
        .window(Window::Time { buckets: 2, width: Duration::from_millis(STEP_MS) })
        .minimum_calls(2)
        .failure_rate(0.9)
        .consecutive(3)
        .open_time(OpenTime::Constant(Duration::from_millis(2 * STEP_MS)))
        .half_open(2, 1)
        .half_open_deadline(Duration::from_millis(3 * STEP_MS))
        .degraded(degraded.then_some(policy))
}

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
            for outcome in [None, Some(Outcome::Success), Some(Outcome::Failure), Some(Outcome::Overload)] {
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

    /// What decides the future: everything but absolute time, numbers of epochs and totals.
    fn key(&self) -> String {
        let machine = &self.machine;
        let now_ns = self.now_ms * 1_000_000;
        let mut evidence = machine.evidence.clone();
        evidence.advance(now_ns);
        let ages: Vec<u64> = (0..2).map(|age| evidence.recent_overload((age + 1) * STEP_MS * 1_000_000).1).collect();
        let mut current: Vec<bool> = self.running.iter().map(|stamp| stamp.epoch() == machine.epoch).collect();
        current.sort_unstable();
        let calls = machine.limit.calls();
        format!(
            "{:?} {:?} {ages:?} {current:?} {calls:?} {:?} {:?} {}",
            machine.state,
            evidence.counts(),
            machine.calm.map(|calm| (now_ns.saturating_sub(calm.since_ns).min(30_000_000), calm.results.min(2))),
            match machine.state {
                State::HalfOpen => Some((machine.probes.issued(), machine.probes, )),
                _ => None,
            }
            .map(|(issued, probes)| (issued, probes.deadline_ns().saturating_sub(now_ns), format!("{probes:?}").split("deadline").next().map(str::to_owned))),
            if machine.state == State::Open { machine.open_until_ns.saturating_sub(now_ns) } else { 0 },
        )
    }

    /// Calls keep coming, all succeed at once; what is running already never ends.
    fn heals(mut self) -> bool {
        for _ in 0..60 {
            self.now_ms += STEP_MS / 2;
            if let Ok(stamp) = self.machine.on_admission(self.now()) {
                self.machine.on_end(stamp, Some(Outcome::Success), None, self.now());
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
    let start = World { machine, running: Vec::new(), now_ms: 0 };
    let mut seen = HashSet::from([start.key()]);
    let mut queue = VecDeque::from([start]);
    let mut states = HashSet::new();
    while let Some(world) = queue.pop_front() {
        states.insert(world.machine.state);
        for next in world.successors() {
            if seen.len() < 12_000 && seen.insert(next.key()) {
                queue.push_back(next);
            }
        }
        // A limit of one, held by a call that never ends, is the one thing that no breaker heals.
        let stuck = world.machine.limit().is_some_and(|limit| limit <= world.running.len() as u64);
        assert!(stuck || world.clone().heals(), "stuck: {}", world.key());
    }
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
