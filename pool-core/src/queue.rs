//! The callers who wait, in the order in which they are served.
//!
//! A pure machine, guarded by the ledger's lock: it wakes nobody and reads no clock. Nodes live in
//! a slab and the unserved among them are linked by index, so leaving the queue costs the same
//! wherever one stands, and a queue that has once been long allocates nothing more.

use std::sync::Arc;
use std::task::Waker;

use crate::slot::OwnedSlot;
use crate::{ErrorClass, ErrorKind};

/// A place in the queue; valid until [`Queue::remove`] is called with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaiterId(u32);

/// What has become of one who waits.
#[derive(Debug)]
pub(crate) enum Turn<E> {
    /// Wants a connection.
    Waiting,
    /// Was offered a connection but did not come; keeps its place and is skipped until polled.
    Absent,
    /// May take this connection; the number tells this offer from others. Its slot counts as
    /// leased.
    Offered(OwnedSlot, u64),
    /// Will get none. Boxed, as every waiter would be larger by it.
    Refused(Box<Refusal<E>>),
}

/// Why a waiter gets no connection.
#[derive(Debug)]
pub(crate) struct Refusal<E> {
    pub(crate) kind: ErrorKind,
    pub(crate) cause: Option<(Arc<E>, ErrorClass)>,
}

/// Who waits, in order.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    nodes: Vec<Node<E>>,
    free: u32,
    head: u32,
    tail: u32,
    /// Nodes that are `Waiting` or `Absent`.
    unserved: usize,
    len: usize,
    arrivals: i64,
    /// The last one to become absent: the next has mostly come right after.
    absent: u32,
    discipline: Discipline,
}

/// Which waiter is served next, and whether another may join.
///
/// The seam for overload disciplines. First in, first out is fair and, below saturation, no worse
/// than any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Discipline {
    #[default]
    Fifo,
}

#[derive(Debug)]
struct Node<E> {
    previous: u32,
    next: u32,
    turn: Turn<E>,
    waker: Option<Waker>,
    /// The order of arrival.
    number: i64,
}

impl<E> Queue<E> {
    pub(crate) fn new(discipline: Discipline) -> Self {
        Self {
            nodes: Vec::new(),
            free: NIL,
            head: NIL,
            tail: NIL,
            unserved: 0,
            len: 0,
            arrivals: 0,
            absent: NIL,
            discipline,
        }
    }

    /// Joins at the end, or, with `first`, at the front: the place of one whose offered connection
    /// turned out to be dead.
    pub(crate) fn join(&mut self, waker: Waker, first: bool) -> WaiterId {
        self.arrivals += 1;
        let number = match self.head {
            head if first && head != NIL => self.nodes[head as usize].number - 1,
            _ => self.arrivals,
        };
        let node = Node {
            previous: NIL,
            next: NIL,
            turn: Turn::Waiting,
            waker: Some(waker),
            number,
        };
        let id = if self.free == NIL {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("max_waiters is below u32::MAX")
        } else {
            let id = self.free;
            self.free = self.nodes[id as usize].next;
            self.nodes[id as usize] = node;
            id
        };
        self.link(id, if first { NIL } else { self.tail });
        self.len += 1;
        WaiterId(id)
    }

    /// Leaves the queue; says what had become of the waiter, and gives its waker.
    pub(crate) fn remove(&mut self, WaiterId(id): WaiterId) -> (Turn<E>, Option<Waker>) {
        if self.turn(WaiterId(id)).is_unserved() {
            self.unlink(id);
        }
        if self.absent == id {
            self.absent = NIL;
        }
        let node = &mut self.nodes[id as usize];
        node.next = self.free;
        self.free = id;
        self.len -= 1;
        (
            std::mem::replace(&mut node.turn, Turn::Absent),
            node.waker.take(),
        )
    }

    /// Notes that the waiter was polled without an answer, and who is to be woken; gives the
    /// waker that this replaces. One who was absent is back.
    pub(crate) fn polled(&mut self, WaiterId(id): WaiterId, waker: Waker) -> Option<Waker> {
        let node = &mut self.nodes[id as usize];
        if matches!(node.turn, Turn::Absent) {
            node.turn = Turn::Waiting;
        }
        node.waker.replace(waker)
    }

    /// The waiter to be served next.
    pub(crate) fn next(&self) -> Option<WaiterId> {
        match self.discipline {
            Discipline::Fifo => self
                .iter()
                .find(|id| matches!(self.turn(*id), Turn::Waiting)),
        }
    }

    /// Decides the turn of an unserved waiter, who is to be woken.
    #[must_use = "the waiter sleeps until it is woken"]
    pub(crate) fn serve(&mut self, WaiterId(id): WaiterId, turn: Turn<E>) -> Option<Waker> {
        debug_assert!(
            self.nodes[id as usize].turn.is_unserved(),
            "a waiter is served once"
        );
        debug_assert!(!turn.is_unserved(), "serving decides");
        self.unlink(id);
        let node = &mut self.nodes[id as usize];
        node.turn = turn;
        node.waker.take()
    }

    /// Takes an open offer back from a waiter who has not come for it.
    pub(crate) fn revoke(&mut self, WaiterId(id): WaiterId) -> OwnedSlot {
        debug_assert!(matches!(self.nodes[id as usize].turn, Turn::Offered(..)));
        let number = self.nodes[id as usize].number;
        let before = |id: u32| id != NIL && self.nodes[id as usize].number < number;
        let absent = self.nodes.get(self.absent as usize);
        let known = absent.is_some_and(|node| matches!(node.turn, Turn::Absent));
        let mut after = if known && before(self.absent) {
            self.absent
        } else {
            NIL
        };
        loop {
            let next = match after {
                NIL => self.head,
                after => self.nodes[after as usize].next,
            };
            if !before(next) {
                break;
            }
            after = next;
        }
        let turn = std::mem::replace(&mut self.nodes[id as usize].turn, Turn::Absent);
        self.absent = id;
        self.link(id, after);
        match turn {
            Turn::Offered(slot, _) => slot,
            _ => unreachable!("only an open offer is revoked"),
        }
    }

    /// Takes the waker of a waiter that is to look again.
    pub(crate) fn waker(&mut self, WaiterId(id): WaiterId) -> Option<Waker> {
        self.nodes[id as usize].waker.take()
    }

    pub(crate) fn turn(&self, WaiterId(id): WaiterId) -> &Turn<E> {
        &self.nodes[id as usize].turn
    }

    /// Whether this offer is still open: neither taken nor answered by leaving.
    pub(crate) fn is_offered(&self, WaiterId(id): WaiterId, number: u64) -> bool {
        matches!(self.nodes[id as usize].turn, Turn::Offered(_, offer) if offer == number)
    }

    /// The unserved, first to last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = WaiterId> + '_ {
        std::iter::successors(Some(self.head).filter(|id| *id != NIL), |id| {
            Some(self.nodes[*id as usize].next).filter(|id| *id != NIL)
        })
        .map(WaiterId)
    }

    /// How many want a connection and have none.
    pub(crate) fn unserved(&self) -> usize {
        self.unserved
    }

    /// How many have not left yet, served or not.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts the node behind `previous`, or at the front if there is none.
    fn link(&mut self, id: u32, previous: u32) {
        let next = match previous {
            NIL => self.head,
            previous => self.nodes[previous as usize].next,
        };
        let node = &mut self.nodes[id as usize];
        (node.previous, node.next) = (previous, next);
        match previous {
            NIL => self.head = id,
            previous => self.nodes[previous as usize].next = id,
        }
        match next {
            NIL => self.tail = id,
            next => self.nodes[next as usize].previous = id,
        }
        self.unserved += 1;
    }

    fn unlink(&mut self, id: u32) {
        let Node { previous, next, .. } = self.nodes[id as usize];
        match previous {
            NIL => self.head = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NIL => self.tail = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        self.unserved -= 1;
    }
}

impl<E> Turn<E> {
    fn is_unserved(&self) -> bool {
        matches!(self, Self::Waiting | Self::Absent)
    }
}

const NIL: u32 = u32::MAX;

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Join { first: bool },
        Remove(usize),
        Poll(usize),
        Serve,
        Revoke(usize),
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Place {
        Waiting,
        Absent,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => any::<bool>().prop_map(|first| Op::Join { first }),
            2 => any::<usize>().prop_map(Op::Remove),
            2 => any::<usize>().prop_map(Op::Poll),
            3 => Just(Op::Serve),
            1 => any::<usize>().prop_map(Op::Revoke),
        ]
    }

    proptest! {
        /// The same queue as a list that is searched from its front.
        #[test]
        fn agrees_with_a_plain_list(ops in proptest::collection::vec(op(), 1..300)) {
            let mut queue = Queue::<()>::new(Discipline::Fifo);
            let mut line: Vec<(WaiterId, Place)> = Vec::new();
            let mut served: Vec<WaiterId> = Vec::new();
            // When each came; one let in at the front, right before who was first.
            let mut came = std::collections::HashMap::new();
            let mut arrivals = 0;
            for op in ops {
                let all = line.len() + served.len();
                let pick = |n: usize| {
                    let mut ids = line.iter().map(|(id, _)| id).chain(&served);
                    *ids.nth(n % all).expect("there is one")
                };
                match op {
                    Op::Join { first } => {
                        let id = queue.join(Waker::noop().clone(), first);
                        let known = line.iter().any(|(known, _)| *known == id);
                        prop_assert!(!known && !served.contains(&id), "a place is one's own");
                        arrivals += 1;
                        let number = match line.first() {
                            Some((head, _)) if first => came[&head.0] - 1,
                            _ => arrivals,
                        };
                        came.insert(id.0, number);
                        line.insert(if first { 0 } else { line.len() }, (id, Place::Waiting));
                    }
                    Op::Remove(_) | Op::Poll(_) if all == 0 => {}
                    Op::Remove(n) => {
                        let id = pick(n);
                        let (turn, _) = queue.remove(id);
                        prop_assert_eq!(served.contains(&id), !turn.is_unserved());
                        line.retain(|(known, _)| *known != id);
                        served.retain(|known| *known != id);
                    }
                    Op::Poll(n) => {
                        let id = pick(n);
                        queue.polled(id, Waker::noop().clone());
                        if let Some(place) = line.iter_mut().find(|(known, _)| *known == id) {
                            place.1 = Place::Waiting;
                        }
                    }
                    Op::Serve => {
                        let next = line.iter().position(|(_, place)| *place == Place::Waiting);
                        prop_assert_eq!(queue.next(), next.map(|at| line[at].0));
                        if let Some(at) = next {
                            let (id, _) = line.remove(at);
                            let waker = queue.serve(id, Turn::Offered(OwnedSlot::any(), 3));
                            prop_assert!(waker.is_some(), "the served are woken");
                            prop_assert!(queue.is_offered(id, 3) && !queue.is_offered(id, 4));
                            served.push(id);
                        }
                    }
                    Op::Revoke(_) if served.is_empty() => {}
                    Op::Revoke(n) => {
                        let id = served.remove(n % served.len());
                        prop_assert_eq!(queue.revoke(id), OwnedSlot::any());
                        let place = line.partition_point(|(other, _)| came[&other.0] < came[&id.0]);
                        line.insert(place, (id, Place::Absent));
                    }
                }
                prop_assert!(queue.iter().eq(line.iter().map(|(id, _)| *id)));
                prop_assert_eq!(queue.unserved(), line.len());
                prop_assert_eq!(queue.len(), line.len() + served.len());
            }
        }
    }
}
