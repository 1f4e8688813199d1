//! A world in virtual time: clients with the real machines, and nodes that queue, slow down, fail.
//!
//! Nothing waits and nothing runs in parallel: a heap of events, a seed, and the machines under
//! test between them. Work that its client has given up still occupies its server.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::{Budget, Cost, Rng as _, SplitMix64};
use breaker::{Config, Machine, Ticket};
use pool_facade::balance::{
    Access, Balancer, Board, Flight, Node, NodeId, NodeSet, Outcome, Policy, ProbeFailed, Request,
};

use super::report::Report;

/// What is being played.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    /// Servers of each node.
    pub(crate) servers: usize,
    pub(crate) service: Duration,
    /// Demand in relation to what all nodes can do together.
    pub(crate) load: f64,
    /// A call is given up after this time.
    pub(crate) timeout: Duration,
    pub(crate) defences: Defences,
    /// From `start` to `stop` these nodes do this; then all is well until `end`.
    pub(crate) incident: Incident,
    pub(crate) struck: usize,
    pub(crate) start: Duration,
    pub(crate) stop: Duration,
    pub(crate) end: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Incident {
    None,
    /// Calls and probes take so many times as long.
    Slow(f64),
    /// This share of calls fails, at once.
    Fail(f64),
    /// All calls fail, at once; probes know nothing of it.
    Lie,
    /// Nothing is answered.
    Hang,
    /// Half of the servers are gone.
    Half,
}

/// What stands between a client and the nodes.
#[derive(Clone, Copy)]
pub(crate) struct Defences {
    pub(crate) choice: Choice,
    pub(crate) budget: bool,
    pub(crate) breakers: bool,
    /// Those that the balancer asks for, and those of the health check.
    pub(crate) probes: bool,
    pub(crate) checks: bool,
}

impl Defences {
    pub(crate) const ALL: Self = Self {
        choice: Choice::Board,
        budget: true,
        breakers: true,
        probes: true,
        checks: true,
    };
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Choice {
    /// The machine under test.
    Board,
    /// What many do: the node with the fewest calls in flight.
    LeastInFlight,
    /// One after another.
    RoundRobin,
}

struct Server {
    id: usize,
    busy: usize,
    queue: VecDeque<Work>,
    hung: Vec<Work>,
}

#[derive(Clone, Copy)]
enum Work {
    Call(usize),
    Probe { client: usize, since: u64 },
}

enum Event {
    Arrival,
    Done {
        node: usize,
        work: Work,
    },
    /// The answer of a node that fails at once.
    Failed(usize),
    TimedOut(usize),
    Retry(usize),
    Tick(usize),
    Check {
        client: usize,
        node: usize,
    },
    Begin,
    End,
}

struct Client {
    balancer: Balancer,
    ids: Vec<NodeId>,
    breakers: Vec<Machine>,
    budget: Budget,
    turn: usize,
}

/// One request of a user, and its attempt in progress.
struct Call {
    client: usize,
    since: u64,
    attempts: u32,
    tried: NodeSet,
    attempt: Option<Attempt>,
}

struct Attempt {
    node: usize,
    since: u64,
    flight: Flight<Arc<Board>>,
    ticket: Option<Ticket>,
}

pub(crate) struct World {
    setup: Setup,
    base: Instant,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    calls: Vec<Call>,
    incident: Incident,
    random: SplitMix64,
    report: Report,
}

impl World {
    pub(crate) fn play(setup: Setup) -> Report {
        #[expect(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
        let base = Instant::now();
        let mut world = Self {
            setup,
            base,
            now: 0,
            heap: BinaryHeap::new(),
            events: Vec::new(),
            servers: Vec::new(),
            clients: Vec::new(),
            calls: Vec::new(),
            incident: Incident::None,
            random: SplitMix64::from_seed(setup.seed),
            report: Report::new(setup.nodes),
        };
        world.people();
        while let Some(Reverse((at, _, event))) = world.heap.pop() {
            world.now = at;
            if at >= nanos(setup.end) {
                break;
            }
            let event = world.events[event].take().expect("each event happens once");
            world.happen(event);
        }
        world.report
    }

    fn people(&mut self) {
        let setup = self.setup;
        for id in 0..setup.nodes {
            self.servers.push(Server {
                id,
                busy: 0,
                queue: VecDeque::new(),
                hung: Vec::new(),
            });
        }
        for client in 0..setup.clients {
            let mut balancer = Balancer::new(Policy::new()).expect("the default policy is valid");
            let node = Node::new().limit(setup.servers as u32);
            let ids = (0..setup.nodes)
                .map(|_| balancer.insert(node, self.base).expect("there is room"))
                .collect();
            let breaker =
                |seed| Machine::new(Config::new(), seed, self.base).expect("the default is valid");
            self.clients.push(Client {
                balancer,
                ids,
                breakers: (0..setup.nodes as u64).map(breaker).collect(),
                budget: Budget::default(),
                turn: client,
            });
            let offset = TICK * client as u64 / setup.clients as u64;
            self.after(offset, Event::Tick(client));
            for node in 0..setup.nodes {
                let offset = CHECK * (client * setup.nodes + node) as u64
                    / (setup.clients * setup.nodes) as u64;
                self.after(offset, Event::Check { client, node });
            }
        }
        self.after(0, Event::Arrival);
        self.after(nanos(setup.start), Event::Begin);
        self.after(nanos(setup.stop), Event::End);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.on_arrival(),
            Event::Done { node, work } => self.on_done(node, work),
            Event::Failed(call) => self.finish(call, Some(Outcome::Failure)),
            Event::TimedOut(call) => self.on_timeout(call),
            Event::Retry(call) => self.send(call),
            Event::Tick(client) => self.on_tick(client),
            Event::Check { client, node } => {
                self.after(CHECK, Event::Check { client, node });
                if self.setup.defences.checks {
                    self.probe(client, node);
                }
            }
            Event::Begin => {
                self.incident = self.setup.incident;
                self.report.begin();
            }
            Event::End => {
                self.incident = Incident::None;
                self.report.end(self.now);
                for node in 0..self.setup.nodes {
                    for work in std::mem::take(&mut self.servers[node].hung) {
                        self.serve(node, work);
                    }
                    self.fill(node);
                }
            }
        }
    }

    fn on_arrival(&mut self) {
        let capacity = (self.setup.nodes * self.setup.servers) as f64 / secs(self.setup.service);
        let gap = self.exponential(1.0 / (capacity * self.setup.load));
        self.after(gap, Event::Arrival);
        let client = (self.random.next_u64() % self.setup.clients as u64) as usize;
        self.calls.push(Call {
            client,
            since: self.now,
            attempts: 0,
            tried: NodeSet::new(),
            attempt: None,
        });
        self.report.on_request();
        self.send(self.calls.len() - 1);
    }

    /// Picks a node, asks its breaker, and sends the call there.
    fn send(&mut self, call: usize) {
        let now = self.at(self.now);
        let client = self.calls[call].client;
        let mut refused = self.calls[call].tried;
        let ticket = loop {
            let Some(node) = self.choose(client, refused) else {
                // Every breaker refuses: that is no attempt, and not retried.
                self.report
                    .on_end(self.now - self.calls[call].since, self.now, false);
                return;
            };
            if !self.setup.defences.breakers {
                break (node, None);
            }
            match self.clients[client].breakers[node].admit(now) {
                Ok(ticket) => break (node, Some(ticket)),
                Err(_) => refused.insert(self.clients[client].ids[node]),
            }
        };
        let (node, ticket) = ticket;
        let board = self.clients[client].balancer.board();
        let id = self.clients[client].ids[node];
        let flight = board.start_owned(id).expect("no node is removed");
        self.report.on_attempt(node, self.now);
        self.calls[call].attempts += 1;
        self.calls[call].tried.insert(id);
        self.calls[call].attempt = Some(Attempt {
            node,
            since: self.now,
            flight,
            ticket,
        });
        let struck = node < self.setup.struck;
        let fails = match self.incident {
            Incident::Lie => struck,
            Incident::Fail(share) => struck && self.unit() < share,
            _ => false,
        };
        if fails {
            self.after(FAST, Event::Failed(call));
            return;
        }
        self.after(nanos(self.setup.timeout), Event::TimedOut(call));
        self.enter(node, Work::Call(call));
    }

    fn choose(&mut self, client: usize, refused: NodeSet) -> Option<usize> {
        let random = self.random.next_u64();
        let client = &mut self.clients[client];
        let board = client.balancer.board();
        match self.setup.defences.choice {
            Choice::Board => {
                let request = Request::new(Access::Read).exclude(refused);
                let id = board.pick(&request, random)?;
                client.ids.iter().position(|it| *it == id)
            }
            Choice::LeastInFlight => {
                let start = random as usize;
                let all = (0..client.ids.len()).map(|step| (start % 64 + step) % client.ids.len());
                all.filter(|node| !refused.contains(client.ids[*node]))
                    .min_by_key(|node| board.in_flight(client.ids[*node]))
            }
            Choice::RoundRobin => {
                client.turn += 1;
                let all = (0..client.ids.len()).map(|step| (client.turn + step) % client.ids.len());
                all.into_iter()
                    .find(|node| !refused.contains(client.ids[*node]))
            }
        }
    }

    fn enter(&mut self, node: usize, work: Work) {
        if self.incident == Incident::Hang && node < self.setup.struck {
            self.servers[node].hung.push(work);
            return;
        }
        self.servers[node].queue.push_back(work);
        self.fill(node);
    }

    fn fill(&mut self, node: usize) {
        let struck = self.servers[node].id < self.setup.struck;
        let halved = self.incident == Incident::Half && struck;
        let servers = self.setup.servers / if halved { 2 } else { 1 };
        while self.servers[node].busy < servers {
            let Some(work) = self.servers[node].queue.pop_front() else {
                return;
            };
            self.serve(node, work);
        }
    }

    fn serve(&mut self, node: usize, work: Work) {
        let factor = match self.incident {
            Incident::Slow(factor) if node < self.setup.struck => factor,
            _ => 1.0,
        };
        let time = self.exponential(secs(self.setup.service) * factor);
        self.servers[node].busy += 1;
        self.after(time, Event::Done { node, work });
    }

    fn on_done(&mut self, node: usize, work: Work) {
        self.servers[node].busy -= 1;
        match work {
            Work::Call(call) => {
                let here = |attempt: &Attempt| attempt.node == node;
                if self.calls[call].attempt.as_ref().is_some_and(here) {
                    self.finish(call, Some(Outcome::Success));
                }
            }
            Work::Probe { client, since } => {
                let took = Duration::from_nanos(self.now - since);
                let broken = match self.incident {
                    Incident::Fail(share) if node < self.setup.struck => self.unit() < share,
                    _ => false,
                };
                let result = if broken { Err(ProbeFailed) } else { Ok(took) };
                let now = self.at(self.now);
                let client = &mut self.clients[client];
                client.balancer.on_probe(client.ids[node], result, now);
            }
        }
        self.fill(node);
    }

    fn on_timeout(&mut self, call: usize) {
        let expired = |attempt: &Attempt| self.now - attempt.since >= nanos(self.setup.timeout);
        if self.calls[call].attempt.as_ref().is_some_and(expired) {
            self.finish(call, None);
        }
    }

    /// An attempt has ended, by a result or, without one, by its timeout.
    fn finish(&mut self, call: usize, outcome: Option<Outcome>) {
        let now = self.at(self.now);
        let attempt = self.calls[call]
            .attempt
            .take()
            .expect("an attempt is in progress");
        let client = &mut self.clients[self.calls[call].client];
        let took = Duration::from_nanos(self.now - attempt.since);
        attempt
            .flight
            .settle(outcome.unwrap_or(Outcome::Failure), Some(took));
        if let Some(ticket) = attempt.ticket {
            let outcome = match outcome {
                Some(Outcome::Success) => breaker::Outcome::Success,
                Some(_) => breaker::Outcome::Failure,
                None => breaker::Outcome::Overload,
            };
            client.breakers[attempt.node].settle(ticket, outcome, now);
        }
        let good = outcome == Some(Outcome::Success);
        if good {
            client.budget.on_success();
        } else if self.calls[call].attempts < 3 {
            let cost = if outcome.is_none() {
                Cost::Timeout
            } else {
                Cost::Failure
            };
            if !self.setup.defences.budget || client.budget.try_spend(cost) {
                let delay = self.unit() * secs(BACKOFF) * f64::from(self.calls[call].attempts);
                self.after((delay * 1e9) as u64, Event::Retry(call));
                return;
            }
        }
        self.report
            .on_end(self.now - self.calls[call].since, self.now, good);
    }

    fn on_tick(&mut self, client: usize) {
        self.after(TICK, Event::Tick(client));
        let now = self.at(self.now);
        for breaker in &mut self.clients[client].breakers {
            breaker.tick(now);
        }
        let verdict = self.clients[client].balancer.tick(now);
        self.report.on_changes(verdict.changes.len());
        for id in verdict.probes {
            let ids = &self.clients[client].ids;
            let node = ids
                .iter()
                .position(|it| *it == id)
                .expect("a node of this client");
            if self.setup.defences.probes {
                self.probe(client, node);
            }
        }
    }

    fn probe(&mut self, client: usize, node: usize) {
        let since = self.now;
        self.enter(node, Work::Probe { client, since });
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.events.push(Some(event));
        let index = self.events.len() - 1;
        self.heap
            .push(Reverse((self.now + delay, index as u64, index)));
    }

    fn at(&self, now: u64) -> Instant {
        self.base + Duration::from_nanos(now)
    }

    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean_s: f64) -> u64 {
        (-(1.0 - self.unit()).ln() * mean_s * 1e9) as u64
    }
}

pub(crate) fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}

fn secs(span: Duration) -> f64 {
    span.as_secs_f64()
}

const TICK: u64 = 200_000_000;
/// How often each client's health check asks each node.
const CHECK: u64 = 5_000_000_000;
/// How long it takes to fail at once.
const FAST: u64 = 500_000;
const BACKOFF: Duration = Duration::from_millis(50);
