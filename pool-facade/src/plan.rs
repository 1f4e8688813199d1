//! What every call reads: the nodes and the retry policy, published as one.

use std::sync::Arc;

use backoff::{Budget, Policy};
use pool_core::Manager;
use pool_core::runtime::Runtime;

use crate::balance::NodeId;
use crate::node::Node;

/// A snapshot of everything that may change while calls run.
pub(crate) struct Plan<M: Manager, R: Runtime> {
    /// By their places on the board.
    nodes: Vec<Option<Arc<Node<M, R>>>>,
    /// The only node, if there is one alone: then nothing is balanced.
    pub(crate) only: Option<Arc<Node<M, R>>>,
    pub(crate) retry: Policy,
    pub(crate) budget: Arc<Budget>,
}

impl<M: Manager, R: Runtime> Plan<M, R> {
    pub(crate) fn new(retry: Policy, budget: Arc<Budget>) -> Self {
        Self {
            nodes: Vec::new(),
            only: None,
            retry,
            budget,
        }
    }

    /// The node of this name, unless it was removed.
    pub(crate) fn node(&self, id: NodeId) -> Option<&Arc<Node<M, R>>> {
        let node = self.nodes.get(id.index())?.as_ref()?;
        Some(node).filter(|node| node.vital.id == id)
    }

    /// All nodes, by their places.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<Node<M, R>>> {
        self.nodes.iter().flatten()
    }

    /// Whether the breaker of every node is open.
    pub(crate) fn all_open(&self) -> bool {
        self.nodes()
            .all(|node| node.vital.breaker.state() == breaker::State::Open)
    }

    /// The same with one node more.
    pub(crate) fn with(&self, node: Arc<Node<M, R>>) -> Self {
        let mut plan = self.clone();
        let place = node.vital.id.index();
        if plan.nodes.len() <= place {
            plan.nodes.resize(place + 1, None);
        }
        plan.nodes[place] = Some(node);
        plan.settle()
    }

    /// The same without a node.
    pub(crate) fn without(&self, id: NodeId) -> Self {
        let mut plan = self.clone();
        if plan.node(id).is_some() {
            plan.nodes[id.index()] = None;
        }
        plan.settle()
    }

    fn settle(mut self) -> Self {
        let mut nodes = self.nodes.iter().flatten();
        let only = nodes.next().filter(|_| nodes.next().is_none());
        self.only = only.cloned();
        self
    }
}

impl<M: Manager, R: Runtime> Clone for Plan<M, R> {
    fn clone(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            only: self.only.clone(),
            retry: self.retry,
            budget: self.budget.clone(),
        }
    }
}
