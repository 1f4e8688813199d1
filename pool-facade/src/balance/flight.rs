//! A call on its way to a node and back.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::board::Board;
use super::node::NodeId;

/// How a call ended, as far as its node is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The node did what it was asked; an error in what it was asked is none of its making.
    Success,
    /// The node is to blame.
    Failure,
    /// Neither: the call never got there, or nobody knows.
    Ignored,
}

impl Board {
    /// Counts a call in at a node; `None` if the node was removed meanwhile, and another one should
    /// be picked.
    #[must_use]
    pub fn start(&self, id: NodeId) -> Option<Flight<&Self>> {
        let starts = self.slots[id.index()].try_start(id.generation);
        starts.then(|| Flight::new(self, id))
    }

    /// [`start`](Self::start) of a call that owns its share of the board.
    #[must_use]
    pub fn start_owned(self: &Arc<Self>, id: NodeId) -> Option<Flight<Arc<Self>>> {
        let starts = self.slots[id.index()].try_start(id.generation);
        starts.then(|| Flight::new(self.clone(), id))
    }
}

/// A call in flight. Dropping it tells nothing but that it has ended.
#[derive(Debug)]
#[must_use = "a flight that is dropped ends"]
pub struct Flight<B: Deref<Target = Board>> {
    board: B,
    id: NodeId,
    outcome: Outcome,
}

impl<B: Deref<Target = Board>> Flight<B> {
    const fn new(board: B, id: NodeId) -> Self {
        Self {
            board,
            id,
            outcome: Outcome::Ignored,
        }
    }

    /// Where to.
    pub const fn node(&self) -> NodeId {
        self.id
    }

    /// The call has ended. `took` is what a success took, if it was measured; a sample of the calls
    /// is enough. What a failure took says nothing about the node's speed and is not looked at.
    pub fn settle(mut self, outcome: Outcome, took: Option<Duration>) {
        self.outcome = outcome;
        if let (Outcome::Success, Some(took)) = (outcome, took) {
            self.board.slots[self.id.index()].measure(took);
        }
    }
}

impl<B: Deref<Target = Board>> Drop for Flight<B> {
    fn drop(&mut self) {
        let slot = &self.board.slots[self.id.index()];
        match self.outcome {
            Outcome::Success => slot.end_well(),
            Outcome::Failure => slot.end_badly(),
            Outcome::Ignored => slot.end(),
        }
    }
}
