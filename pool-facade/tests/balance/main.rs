//! The balancer: its rules by name, and random histories against a naive model.

mod choice;
mod memory;
mod model;
mod rules;

use std::time::{Duration, Instant};

use backoff::{Rng as _, SplitMix64};
use pool_facade::balance::{Access, Balancer, Node, NodeId, NodeSet, Outcome, Request};

const TICK: Duration = Duration::from_millis(200);

/// A balancer, its time and its randomness.
struct Rig {
    balancer: Balancer,
    now: Instant,
    random: SplitMix64,
}

impl Rig {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test's time begins somewhere")]
        let now = Instant::now();
        Self {
            balancer: Balancer::new(Default::default()).expect("the default policy is valid"),
            now,
            random: SplitMix64::from_seed(1),
        }
    }

    /// Nodes that have been there for long.
    fn with<const N: usize>(nodes: [Node; N]) -> (Self, [NodeId; N]) {
        let mut rig = Self::new();
        let ids = nodes.map(|node| {
            let id = rig.balancer.insert(node, rig.now);
            id.expect("the node is valid")
        });
        rig.pass(Duration::from_secs(60));
        (rig, ids)
    }

    /// Lets time pass, tick by tick.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += TICK;
            self.balancer.tick(self.now);
        }
    }

    fn pick(&mut self, access: Access) -> Option<NodeId> {
        self.pick_but(access, NodeSet::new())
    }

    fn pick_but(&mut self, access: Access, exclude: NodeSet) -> Option<NodeId> {
        let request = Request::new(access).exclude(exclude);
        let random = self.random.next_u64();
        self.balancer.board().pick(&request, random)
    }

    /// The share of idle picks that each of the nodes gets.
    fn shares<const N: usize>(&mut self, access: Access, ids: [NodeId; N]) -> [f64; N] {
        let picks: Vec<_> = (0..20_000).filter_map(|_| self.pick(access)).collect();
        ids.map(|id| picks.iter().filter(|it| **it == id).count() as f64 / 20_000.0)
    }

    /// Calls at a node, one after another, with this outcome and this duration.
    fn call(&self, id: NodeId, count: usize, outcome: Outcome, took: Duration) {
        for _ in 0..count {
            let flight = self.balancer.board().start(id).expect("the node is there");
            flight.settle(outcome, Some(took));
        }
    }

    fn tick(&mut self) -> pool_facade::balance::Verdict {
        self.now += TICK;
        self.balancer.tick(self.now)
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
