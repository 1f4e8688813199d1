//! The control plane: told of time, probes and roles, it judges nodes and posts the verdicts.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::Board;
use super::evidence::{Usual, median};
use super::node::{Access, NODES, Node, NodeId, PRIORITIES, Role};
use super::plan::{Member, Plan};
use super::policy::{Policy, PolicyErrors};
use super::record::{ProbeFailed, Record};
use super::{Change, NodeView, Standing, Verdict};

/// Judges nodes and posts the verdicts on its [`Board`].
///
/// It reads no clock and starts nothing: `now` comes in, and what is to be done goes out. Time may
/// stand still or step back.
#[derive(Debug)]
pub struct Balancer {
    policy: Policy,
    board: Arc<Board>,
    records: Vec<Option<Record>>,
    ticked_at: Option<Instant>,
}

impl Balancer {
    /// A balancer without nodes.
    ///
    /// # Errors
    ///
    /// Every rule that the policy breaks.
    pub fn new(policy: Policy) -> Result<Self, PolicyErrors> {
        policy.check()?;
        Ok(Self {
            policy,
            board: Arc::new(Board::new()),
            records: Vec::new(),
            ticked_at: None,
        })
    }

    /// What callers pick from.
    #[must_use]
    pub const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Adds a node, at a tenth of its weight to begin with.
    ///
    /// # Errors
    ///
    /// If there is no room, or the node's weight or priority is none.
    pub fn insert(&mut self, node: Node, now: Instant) -> Result<NodeId, InsertError> {
        examine(&node)?;
        // A place whose last node still has calls in flight would have them counted as its own.
        let vacant = |index: &usize| {
            let taken = self.records.get(*index).is_some_and(Option::is_some);
            !taken && self.board.slots[*index].in_flight() == 0
        };
        let index = (0..NODES).find(vacant).ok_or(InsertError::Full)?;
        if self.records.len() <= index {
            self.records.resize_with(index + 1, || None);
        }
        let slot = &self.board.slots[index];
        let id = NodeId {
            index: index as u8,
            generation: slot.turn(),
        };
        let mut record = Record::new(id, node, &self.policy, now);
        slot.fetch(&mut record.successes);
        self.records[index] = Some(record);
        self.post(now);
        Ok(id)
    }

    /// Removes a node: it is not picked any more, and calls in flight there are counted until they
    /// end. False if it is none.
    pub fn remove(&mut self, id: NodeId, now: Instant) -> bool {
        if self.record(id).is_none() {
            return false;
        }
        self.records[id.index()] = None;
        self.board.slots[id.index()].turn();
        self.post(now);
        true
    }

    /// Says what the node is to the others, from now on. False if it is none.
    pub fn set_role(&mut self, id: NodeId, role: Role, now: Instant) -> bool {
        self.change(id, now, |node| node.role = role)
    }

    /// Says how many calls the node can have in flight before one would have to wait.
    pub fn set_limit(&mut self, id: NodeId, calls: u32, now: Instant) -> bool {
        self.change(id, now, |node| node.limit = calls)
    }

    /// Gives the node another weight.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn set_weight(
        &mut self,
        id: NodeId,
        weight: u16,
        now: Instant,
    ) -> Result<bool, InsertError> {
        examine(&Node::new().weight(weight))?;
        Ok(self.change(id, now, |node| node.weight = weight))
    }

    /// The node's health check says that it serves, or that it does not. Calls that succeed
    /// disprove the latter, and failed ones the former.
    pub fn on_belief(&mut self, id: NodeId, serves: bool) {
        if let Some(record) = self.record_mut(id) {
            record.on_belief(serves);
        }
    }

    /// A probe has ended: one that a [`Verdict`] asked for, or one of the node's health check, which
    /// tells how long probes take where all is well. A probe that is given up ends too.
    pub fn on_probe(&mut self, id: NodeId, result: Result<Duration, ProbeFailed>, now: Instant) {
        let usual = self.usual();
        let policy = self.policy;
        if let Some(record) = self.record_mut(id) {
            record.on_probe(result, &usual, &policy, now);
        }
    }

    /// Takes in what calls have come to, judges, and posts. To be called some five times a second;
    /// more rarely, new evidence waits, and no harm is done otherwise.
    pub fn tick(&mut self, now: Instant) -> Verdict {
        let ticked_at = self.ticked_at.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(ticked_at);
        for record in self.records.iter_mut().flatten() {
            let slot = &self.board.slots[record.id.index()];
            let counts = slot.fetch(&mut record.successes);
            record.on_counts(counts, now);
        }
        let usual_ns = self.usual().call_ns;
        let mut verdict = Verdict::default();
        for record in self.records.iter_mut().flatten() {
            record.fade(passed, usual_ns, now);
            if let Some(from) = record.judge(usual_ns, &self.policy, now) {
                verdict.changes.push(Change {
                    node: record.id,
                    from,
                    to: record.standing,
                });
            }
            if record.poll_probe(&self.policy, now) {
                verdict.probes.push(record.id);
            }
        }
        self.post(now);
        verdict
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.records.iter().flatten().map(|record| record.id)
    }

    /// What is known of a node; `None` if it is none.
    #[must_use]
    pub fn view(&self, id: NodeId, now: Instant) -> Option<NodeView> {
        let record = self.record(id)?;
        Some(record.view(self.board.in_flight(id), &self.policy, now))
    }

    /// Whether there are calls that no serving node takes, and this one serves: it may play another
    /// part by now.
    pub(crate) fn may_take_over(&self, id: NodeId) -> bool {
        let serving = || {
            let records = self.records.iter().flatten();
            records.filter(|it| it.standing.serves())
        };
        let lacks = |access| !serving().any(|it| it.node.role.tier(access).is_some());
        serving().any(|it| it.id == id) && (lacks(Access::Read) || lacks(Access::Write))
    }

    fn change(&mut self, id: NodeId, now: Instant, change: impl FnOnce(&mut Node)) -> bool {
        let Some(record) = self.record_mut(id) else {
            return false;
        };
        change(&mut record.node);
        self.post(now);
        true
    }

    fn usual(&self) -> Usual {
        let records = || self.records.iter().flatten();
        let serving = || records().filter(|it| it.standing.serves());
        let good = || records().filter(|it| it.standing == Standing::Good);
        Usual {
            call_ns: median(serving().filter_map(|it| it.evidence.latency_ns)),
            probe_ns: median(good().filter_map(|it| it.evidence.probe_ns)),
        }
    }

    fn post(&self, now: Instant) {
        let usual_ns = self.usual().call_ns;
        let mut members = Vec::with_capacity(self.records.len());
        let mut near = 0;
        for record in self.records.iter().flatten() {
            let price = record.price(usual_ns, &self.policy, now);
            self.board.slots[record.id.index()].post(price, record.node.limit);
            near |= u64::from(record.node.near) << record.id.index;
            members.push(Member {
                index: record.id.index,
                role: record.node.role,
                priority: record.node.priority,
                serves: record.standing.serves(),
            });
        }
        self.board.post_near(near);
        for access in [Access::Read, Access::Write] {
            let plan = Plan::new(access, &members, self.policy.panic_percent);
            self.board.post_lanes(access, &plan);
        }
    }

    fn record(&self, id: NodeId) -> Option<&Record> {
        let record = self.records.get(id.index())?.as_ref();
        record.filter(|record| record.id == id)
    }

    fn record_mut(&mut self, id: NodeId) -> Option<&mut Record> {
        let record = self.records.get_mut(id.index())?.as_mut();
        record.filter(|record| record.id == id)
    }
}

fn examine(node: &Node) -> Result<(), InsertError> {
    if !(1..=1000).contains(&node.weight) {
        return Err(InsertError::Weight(node.weight));
    }
    if node.priority >= PRIORITIES {
        return Err(InsertError::Priority(node.priority));
    }
    Ok(())
}

/// Why a node was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertError {
    /// There are 64 nodes, or less and calls in flight at removed ones.
    Full,
    /// A weight must be from 1 to 1000.
    Weight(u16),
    /// A priority must be from 0 to 3.
    Priority(u8),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("there is room for 64 nodes only"),
            Self::Weight(weight) => write!(f, "weight is {weight}, but must be from 1 to 1000"),
            Self::Priority(priority) => {
                write!(f, "priority is {priority}, but must be from 0 to 3")
            }
        }
    }
}

impl Error for InsertError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_take_over_where_it_serves_and_some_calls_have_nobody() {
        let (primary, replica) = (Role::Primary, Role::Replica);
        // The role of either, whether the first serves, and whether either may take over.
        let table = [
            (primary, replica, true, [false, false]),
            (replica, replica, true, [true, true]),
            (primary, replica, false, [false, true]),
            (replica, primary, false, [false, false]),
            (Role::None, replica, true, [true, true]),
            (Role::None, primary, true, [false, false]),
        ];
        #[expect(clippy::disallowed_methods, reason = "a test's time begins somewhere")]
        let now = Instant::now();
        for (first, second, serves, expected) in table {
            let mut balancer = Balancer::new(Policy::new()).expect("the default is valid");
            let ids = [first, second].map(|role| {
                let id = balancer.insert(Node::new().role(role), now);
                id.expect("the node is valid")
            });
            balancer.on_belief(ids[0], serves);
            balancer.tick(now);
            let found = ids.map(|id| balancer.may_take_over(id));
            assert_eq!(found, expected, "{first:?} {second:?} {serves}");
        }
    }
}
