//! Many clients, one queueing backend, virtual time.
//!
//! Arrivals are Poisson, service times exponential. The backend serves first come first served and
//! finishes work whose caller has given up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use breaker::{Config, Machine, Outcome, Rejected, State, Ticket};

use super::random::Random;

#[derive(Clone, Copy)]
pub struct Setup {
    pub instances: usize,
    /// Calls in flight per instance that the demand amounts to.
    pub in_flight: f64,
    pub service_s: f64,
    pub timeout_s: f64,
    /// Share of the calls that never get an answer, at no cost to the backend.
    pub tail: f64,
    /// Share of the calls that fail at once.
    pub faults: f64,
    pub servers: usize,
    pub during: Incident,
    pub start_s: f64,
    pub stop_s: f64,
    pub end_s: f64,
    pub seed: u64,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Incident {
    None,
    Servers(usize),
    /// No work is started or finished.
    Hang,
}

#[derive(Default, Debug)]
pub struct Report {
    /// While the incident lasted.
    pub offered: u64,
    pub served: u64,
    pub refused: u64,
    pub sent: u64,
    /// From the end of the incident to the first tenth of a second that serves 95 % of the demand,
    /// and is followed by another.
    pub recovery_s: Option<f64>,
    pub transitions: u64,
    pub openings: u64,
    pub final_states: Vec<State>,
}

impl Report {
    pub fn success(&self) -> f64 {
        self.served as f64 / self.offered as f64
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Finish(usize),
    Timeout(usize),
    Arrive,
    Fail(usize),
    Change,
}

struct Call {
    instance: usize,
    ticket: Option<Ticket>,
    arrived_s: f64,
}

pub fn run(setup: &Setup, config: Option<Config>) -> Report {
    let base = Instant::now();
    let at = |seconds: f64| base + Duration::from_secs_f64(seconds);
    let mut random = Random::new(setup.seed);
    let mut breakers: Vec<Machine> = (0..setup.instances)
        .filter_map(|index| Some(Machine::new(config?, index as u64, base).expect("a good config")))
        .collect();
    let rate = setup.instances as f64 * setup.in_flight / setup.service_s;
    let mut steps: BinaryHeap<Reverse<(u64, u64, Step)>> = BinaryHeap::new();
    let mut order = 0;
    let mut plan = |steps: &mut BinaryHeap<_>, when_s: f64, step: Step| {
        order += 1;
        steps.push(Reverse(((when_s * 1e9) as u64, order, step)));
    };
    plan(&mut steps, 0.0, Step::Arrive);
    plan(&mut steps, setup.start_s, Step::Change);
    plan(&mut steps, setup.stop_s, Step::Change);
    let mut calls: Vec<Call> = Vec::new();
    let mut queue: VecDeque<usize> = VecDeque::new();
    let mut busy = 0;
    let mut hung = Vec::new();
    let mut servers = setup.servers;
    let mut report = Report::default();
    let tenths = ((setup.end_s - setup.stop_s) * 10.0) as usize + 1;
    let mut after: Vec<(u64, u64)> = vec![(0, 0); tenths];
    while let Some(Reverse((now_ns, _, step))) = steps.pop() {
        let now_s = now_ns as f64 / 1e9;
        let now = at(now_s);
        let incident = |when_s: f64| (setup.start_s..setup.stop_s).contains(&when_s);
        let hang = incident(now_s) && setup.during == Incident::Hang;
        let tenth = |when_s: f64| {
            (when_s >= setup.stop_s).then_some(((when_s - setup.stop_s) * 10.0) as usize)
        };
        match step {
            Step::Arrive => {
                if now_s < setup.end_s {
                    plan(
                        &mut steps,
                        now_s + random.exponential(1.0 / rate),
                        Step::Arrive,
                    );
                }
                report.offered += u64::from(incident(now_s));
                if let Some(slot) = tenth(now_s).and_then(|tenth| after.get_mut(tenth)) {
                    slot.0 += 1;
                }
                let instance = random.below(setup.instances);
                let ticket = match breakers.get_mut(instance).map(|breaker| breaker.admit(now)) {
                    Some(Err(rejected)) => {
                        assert!(rejected != Rejected::Forced);
                        report.refused += u64::from(incident(now_s));
                        continue;
                    }
                    Some(Ok(ticket)) => Some(ticket),
                    None => None,
                };
                report.sent += u64::from(incident(now_s));
                let call = calls.len();
                calls.push(Call {
                    instance,
                    ticket,
                    arrived_s: now_s,
                });
                if random.chance(setup.faults) {
                    plan(&mut steps, now_s + 0.001, Step::Fail(call));
                    continue;
                }
                plan(&mut steps, now_s + setup.timeout_s, Step::Timeout(call));
                if !random.chance(setup.tail) {
                    queue.push_back(call);
                }
            }
            Step::Finish(_) if hang => {
                // Noticed at the end of the hang.
                let Step::Finish(call) = step else {
                    unreachable!()
                };
                hung.push(call);
            }
            Step::Finish(call) => {
                busy -= 1;
                let known = config.is_none() || calls[call].ticket.is_some();
                let in_time = now_s - calls[call].arrived_s <= setup.timeout_s;
                if known && in_time {
                    let arrived_s = calls[call].arrived_s;
                    report.served += u64::from(incident(arrived_s));
                    if let Some(slot) = tenth(arrived_s).and_then(|tenth| after.get_mut(tenth)) {
                        slot.1 += 1;
                    }
                    let Call {
                        instance, ticket, ..
                    } = &mut calls[call];
                    if let Some(ticket) = ticket.take() {
                        breakers[*instance].settle(ticket, Outcome::Success, now);
                    }
                }
            }
            Step::Timeout(call) | Step::Fail(call) => {
                let outcome = if matches!(step, Step::Fail(_)) {
                    Outcome::Failure
                } else {
                    Outcome::Overload
                };
                let Call {
                    instance, ticket, ..
                } = &mut calls[call];
                if let Some(ticket) = ticket.take() {
                    breakers[*instance].settle(ticket, outcome, now);
                }
            }
            Step::Change => {
                if let Incident::Servers(fewer) = setup.during {
                    servers = if incident(now_s) {
                        fewer
                    } else {
                        setup.servers
                    };
                }
                for call in hung.drain(..) {
                    plan(&mut steps, now_s + 1e-6, Step::Finish(call));
                }
            }
        }
        let hang = incident(now_s) && setup.during == Incident::Hang;
        while busy < servers && !hang {
            let Some(call) = queue.pop_front() else { break };
            busy += 1;
            plan(
                &mut steps,
                now_s + random.exponential(setup.service_s),
                Step::Finish(call),
            );
        }
    }
    let good = |slot: &(u64, u64)| slot.0 == 0 || slot.1 as f64 >= 0.95 * slot.0 as f64;
    report.recovery_s = after
        .windows(3)
        .position(|three| three.iter().all(good))
        .map(|tenth| tenth as f64 / 10.0);
    for breaker in &breakers {
        let snapshot = breaker.snapshot(at(setup.end_s));
        report.transitions += snapshot.sequence;
        report.openings += snapshot.totals.openings;
        report.final_states.push(snapshot.state);
    }
    report
}
