//! Random histories: whatever happens, a pick is a node that may be picked, and the books balance.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pool_facade::balance::{
    Access, Flight, Node, NodeId, NodeSet, Outcome, ProbeFailed, Role, Standing, Verdict,
};
use proptest::prelude::*;
use std::sync::Arc;

use super::Rig;

#[derive(Debug, Clone)]
enum Op {
    Insert(Node, Role),
    Remove(usize),
    Role(usize, Role),
    Belief(usize, bool),
    Start(Access, u64),
    End(usize, Option<Outcome>, u64),
    Probe(usize, bool, u64),
    Tick(u64),
    /// The clock steps back.
    Back(u64),
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        3 => Just(Role::Any),
        2 => Just(Role::Primary),
        3 => Just(Role::Replica),
        1 => Just(Role::ForwardingReplica),
        1 => Just(Role::standby(true)),
        1 => Just(Role::standby(false)),
        1 => Just(Role::None),
    ]
}

fn node() -> impl Strategy<Value = (Node, Role)> {
    let parts = (1..=1000u16, 0..=3u8, any::<bool>(), 0..4u32, role());
    parts.prop_map(|(weight, priority, near, limit, role)| {
        let node = Node::new().weight(weight).priority(priority).near(near);
        (node.limit(limit).role(role), role)
    })
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Read), Just(Access::Write)]
}

fn op() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![
        3 => Just(Some(Outcome::Success)),
        3 => Just(Some(Outcome::Failure)),
        1 => Just(Some(Outcome::Ignored)),
        1 => Just(None),
    ];
    prop_oneof![
        3 => node().prop_map(|(node, role)| Op::Insert(node, role)),
        1 => any::<usize>().prop_map(Op::Remove),
        1 => (any::<usize>(), role()).prop_map(|(node, role)| Op::Role(node, role)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(node, it)| Op::Belief(node, it)),
        8 => (access(), any::<u64>()).prop_map(|(access, exclude)| Op::Start(access, exclude)),
        8 => (any::<usize>(), outcome, 0..1u64 << 40)
            .prop_map(|(call, outcome, took)| Op::End(call, outcome, took)),
        3 => (any::<usize>(), any::<bool>(), 0..1u64 << 40)
            .prop_map(|(node, good, took)| Op::Probe(node, good, took)),
        6 => (0..3000u64).prop_map(Op::Tick),
        1 => (0..3000u64).prop_map(Op::Back),
    ]
}

/// What must hold of a node, kept in the simplest way.
struct Known {
    role: Role,
    standing: Standing,
    in_flight: u32,
    /// When it changed last, and for how long it may not change again.
    changed: Option<(Instant, Duration)>,
    /// Calls that have succeeded and failed since.
    results: [u32; 2],
    probed: Option<Instant>,
}

struct Model {
    rig: Rig,
    nodes: BTreeMap<NodeId, Known>,
    flights: Vec<Flight<Arc<pool_facade::balance::Board>>>,
}

fn may(role: Role, access: Access) -> bool {
    match role {
        Role::Any => true,
        Role::Primary | Role::ForwardingReplica => true,
        Role::Replica => access == Access::Read,
        Role::Standby { forwards, .. } => forwards,
        _ => false,
    }
}

impl Model {
    fn some(&self, index: usize) -> Option<NodeId> {
        let count = self.nodes.len().max(1);
        self.nodes.keys().nth(index % count).copied()
    }

    fn step(&mut self, op: Op) {
        let now = self.rig.now;
        match op {
            Op::Insert(node, role) => {
                let Ok(id) = self.rig.balancer.insert(node, now) else {
                    return;
                };
                let known = Known {
                    role,
                    standing: Standing::Good,
                    in_flight: 0,
                    changed: None,
                    results: [0, 0],
                    probed: None,
                };
                assert!(
                    self.nodes.insert(id, known).is_none(),
                    "a name is used once"
                );
            }
            Op::Remove(index) => {
                if let Some(id) = self.some(index) {
                    assert!(self.rig.balancer.remove(id, now));
                    self.nodes.remove(&id);
                    assert!(self.rig.balancer.view(id, now).is_none());
                }
            }
            Op::Role(index, role) => {
                if let Some(id) = self.some(index) {
                    self.rig.balancer.set_role(id, role, now);
                    self.nodes.get_mut(&id).expect("known").role = role;
                }
            }
            Op::Belief(index, serves) => {
                if let Some(id) = self.some(index) {
                    self.rig.balancer.on_belief(id, serves);
                }
            }
            Op::Start(access, exclude) => self.start(access, exclude),
            Op::End(call, outcome, took) => self.end(call, outcome, took),
            Op::Probe(index, good, took) => {
                if let Some(id) = self.some(index) {
                    let took = Duration::from_nanos(took);
                    let result = if good { Ok(took) } else { Err(ProbeFailed) };
                    self.rig.balancer.on_probe(id, result, now);
                    self.nodes.get_mut(&id).expect("known").probed = None;
                }
            }
            Op::Tick(millis) => {
                self.rig.now += Duration::from_millis(millis);
                let verdict = self.rig.balancer.tick(self.rig.now);
                self.judge(&verdict);
            }
            Op::Back(millis) => self.rig.now -= Duration::from_millis(millis),
        }
    }

    fn start(&mut self, access: Access, exclude: u64) {
        let mut excluded = NodeSet::new();
        for (index, id) in self.nodes.keys().enumerate() {
            if exclude >> (index % 64) & 3 == 3 {
                excluded.insert(*id);
            }
        }
        let fits =
            |(id, known): &(&NodeId, &Known)| may(known.role, access) && !excluded.contains(**id);
        let possible = self.nodes.iter().filter(fits).count();
        let Some(id) = self.rig.pick_but(access, excluded) else {
            assert_eq!(possible, 0, "somebody could have taken it");
            return;
        };
        let known = self.nodes.get_mut(&id).expect("a pick is a node");
        assert!(may(known.role, access), "{id} takes no {access:?}");
        assert!(!excluded.contains(id), "{id} is excluded");
        known.in_flight += 1;
        let flight = self.rig.balancer.board().start_owned(id);
        self.flights.push(flight.expect("a node takes calls"));
    }

    fn end(&mut self, call: usize, outcome: Option<Outcome>, took: u64) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.swap_remove(call % self.flights.len());
        if let Some(known) = self.nodes.get_mut(&flight.node()) {
            known.in_flight -= 1;
            known.results[0] += u32::from(outcome == Some(Outcome::Success));
            known.results[1] += u32::from(outcome == Some(Outcome::Failure));
        }
        match outcome {
            Some(outcome) => flight.settle(outcome, Some(Duration::from_nanos(took))),
            None => drop(flight),
        }
    }

    fn judge(&mut self, verdict: &Verdict) {
        let now = self.rig.now;
        for change in &verdict.changes {
            let view = self.rig.balancer.view(change.node, now).expect("a node");
            let known = self
                .nodes
                .get_mut(&change.node)
                .expect("a change of a node");
            assert_eq!(known.standing, change.from);
            assert_ne!(change.from, change.to);
            known.standing = change.to;
            let [good, bad] = std::mem::take(&mut known.results);
            if let Some((at, damping)) = known.changed.replace((now, view.damping)) {
                let passed = now.saturating_duration_since(at);
                let proven = match (change.from.serves(), change.to.serves()) {
                    (false, true) => good >= 19,
                    (true, false) => bad >= 3,
                    _ => false,
                };
                let first = Duration::from_secs(1);
                let damping = if proven { first } else { damping };
                assert!(passed >= damping, "{passed:?} after a change, {damping:?}");
            }
        }
        for id in &verdict.probes {
            let known = self.nodes.get_mut(id).expect("a probe of a node");
            assert_ne!(known.standing, Standing::Good);
            if let Some(at) = known.probed.replace(now) {
                let passed = now.saturating_duration_since(at);
                assert!(passed >= Duration::from_secs(5), "one probe is under way");
            }
        }
    }

    fn check(&self) {
        let now = self.rig.now;
        for (id, known) in &self.nodes {
            let view = self.rig.balancer.view(*id, now).expect("a node");
            assert_eq!(view.standing, known.standing);
            assert_eq!(view.in_flight, known.in_flight);
            assert_eq!(view.role, known.role);
            assert!((0.0..=1.0).contains(&view.error_rate), "{view:?}");
            assert!(view.weight > 0.0 && view.weight <= 1000.0, "{view:?}");
        }
        assert!(self.rig.balancer.nodes().eq(self.nodes.keys().copied()));
    }
}

proptest! {
    #[test]
    fn a_pick_is_a_node_that_may_be_picked_and_the_books_balance(
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut rig = Rig::new();
        rig.now += Duration::from_secs(3600);
        let mut model = Model { rig, nodes: BTreeMap::new(), flights: Vec::new() };
        for op in ops {
            model.step(op);
            model.check();
        }
        for access in [Access::Read, Access::Write] {
            for exclude in [0, u64::MAX / 3, u64::MAX / 5 * 3] {
                model.start(access, exclude);
            }
        }
    }
}
