//! Many clients, one queueing backend, virtual time.
//!
//! Arrivals are Poisson, service times exponential. The backend serves first come first served and
//! finishes work whose caller has given up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use breaker::{Config, Machine, Outcome, State, Ticket};

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
    /// and is followed by two more.
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

struct World<'a> {
    setup: &'a Setup,
    random: Random,
    base: Instant,
    now_s: f64,
    /// None when the clients have no breakers.
    breakers: Vec<Machine>,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    order: u64,
    calls: Vec<Call>,
    queue: VecDeque<usize>,
    busy: usize,
    hung: Vec<usize>,
    report: Report,
    /// Offered and served in each tenth of a second after the incident.
    after: Vec<(u64, u64)>,
}

pub fn run(setup: &Setup, config: Option<Config>) -> Report {
    let base = Instant::now();
    let breakers = (0..setup.instances)
        .filter_map(|index| Some(Machine::new(config?, index as u64, base).expect("a good config")))
        .collect();
    let tenths = ((setup.end_s - setup.stop_s) * 10.0) as usize + 1;
    let mut world = World {
        setup,
        random: Random::new(setup.seed),
        base,
        now_s: 0.0,
        breakers,
        steps: BinaryHeap::new(),
        order: 0,
        calls: Vec::new(),
        queue: VecDeque::new(),
        busy: 0,
        hung: Vec::new(),
        report: Report::default(),
        after: vec![(0, 0); tenths],
    };
    world.plan(0.0, Step::Arrive);
    world.plan(setup.start_s, Step::Change);
    world.plan(setup.stop_s, Step::Change);
    while let Some(Reverse((now_ns, _, step))) = world.steps.pop() {
        world.now_s = now_ns as f64 / 1e9;
        match step {
            Step::Arrive => world.arrive(),
            // Noticed at the end of the hang.
            Step::Finish(call) if world.hangs() => world.hung.push(call),
            Step::Finish(call) => world.finish(call),
            Step::Timeout(call) => world.settle(call, Outcome::Overload),
            Step::Fail(call) => world.settle(call, Outcome::Failure),
            Step::Change => {
                for call in std::mem::take(&mut world.hung) {
                    world.plan(world.now_s + 1e-6, Step::Finish(call));
                }
            }
        }
        world.serve();
    }
    world.report()
}

impl World<'_> {
    fn plan(&mut self, when_s: f64, step: Step) {
        self.order += 1;
        self.steps
            .push(Reverse(((when_s * 1e9) as u64, self.order, step)));
    }

    fn now(&self) -> Instant {
        self.base + Duration::from_secs_f64(self.now_s)
    }

    fn in_incident(&self, when_s: f64) -> bool {
        (self.setup.start_s..self.setup.stop_s).contains(&when_s)
    }

    fn hangs(&self) -> bool {
        self.setup.during == Incident::Hang && self.in_incident(self.now_s)
    }

    fn tenth(&mut self, when_s: f64) -> Option<&mut (u64, u64)> {
        let since_s = when_s - self.setup.stop_s;
        if since_s < 0.0 {
            None
        } else {
            self.after.get_mut((since_s * 10.0) as usize)
        }
    }

    fn arrive(&mut self) {
        let (setup, now_s) = (self.setup, self.now_s);
        if now_s < setup.end_s {
            let rate = setup.instances as f64 * setup.in_flight / setup.service_s;
            let next_s = now_s + self.random.exponential(1.0 / rate);
            self.plan(next_s, Step::Arrive);
        }
        let counted = u64::from(self.in_incident(now_s));
        self.report.offered += counted;
        if let Some(tenth) = self.tenth(now_s) {
            tenth.0 += 1;
        }
        let (now, instance) = (self.now(), self.random.below(setup.instances));
        let ticket = match self
            .breakers
            .get_mut(instance)
            .map(|breaker| breaker.admit(now))
        {
            Some(Err(_)) => {
                self.report.refused += counted;
                return;
            }
            Some(Ok(ticket)) => Some(ticket),
            None => None,
        };
        self.report.sent += counted;
        let call = self.calls.len();
        self.calls.push(Call {
            instance,
            ticket,
            arrived_s: now_s,
        });
        if self.random.chance(setup.faults) {
            self.plan(now_s + 0.001, Step::Fail(call));
            return;
        }
        self.plan(now_s + setup.timeout_s, Step::Timeout(call));
        if !self.random.chance(setup.tail) {
            self.queue.push_back(call);
        }
    }

    fn finish(&mut self, call: usize) {
        self.busy -= 1;
        let arrived_s = self.calls[call].arrived_s;
        let waited_for = self.breakers.is_empty() || self.calls[call].ticket.is_some();
        if waited_for && self.now_s - arrived_s <= self.setup.timeout_s {
            self.report.served += u64::from(self.in_incident(arrived_s));
            if let Some(tenth) = self.tenth(arrived_s) {
                tenth.1 += 1;
            }
            self.settle(call, Outcome::Success);
        }
    }

    fn settle(&mut self, call: usize, outcome: Outcome) {
        let now = self.now();
        let Call {
            instance, ticket, ..
        } = &mut self.calls[call];
        if let Some(ticket) = ticket.take() {
            self.breakers[*instance].settle(ticket, outcome, now);
        }
    }

    fn serve(&mut self) {
        let servers = match self.setup.during {
            Incident::Hang if self.hangs() => 0,
            Incident::Servers(fewer) if self.in_incident(self.now_s) => fewer,
            _ => self.setup.servers,
        };
        while self.busy < servers {
            let Some(call) = self.queue.pop_front() else {
                break;
            };
            self.busy += 1;
            let done_s = self.now_s + self.random.exponential(self.setup.service_s);
            self.plan(done_s, Step::Finish(call));
        }
    }

    fn report(self) -> Report {
        let mut report = self.report;
        let good = |tenth: &(u64, u64)| tenth.1 as f64 >= 0.95 * tenth.0 as f64;
        report.recovery_s = self
            .after
            .windows(3)
            .position(|three| three.iter().all(good))
            .map(|tenth| tenth as f64 / 10.0);
        for breaker in &self.breakers {
            let snapshot = breaker.snapshot(self.base + Duration::from_secs_f64(self.setup.end_s));
            report.transitions += snapshot.sequence;
            report.openings += snapshot.totals.openings;
            report.final_states.push(snapshot.state);
        }
        report
    }
}
