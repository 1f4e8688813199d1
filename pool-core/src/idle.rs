//! Which slots are idle: the fast path of the pool.
//!
//! The invariant: the flags are read and changed together with the set. Parking raises WAITING in
//! the very step that finds nothing idle, and giving back looks at it in the very step that would
//! add; so a return either is seen by the one who parks or sees it. No wake-up is lost, nobody who
//! arrives later overtakes, and nothing becomes idle after the pool is closed.
//!
//! Lock order: the ledger's lock may be held when calling in here, never the other way round.

use crate::slot::SlotId;
use crate::sync::Mutex;

/// The idle slots, warmest last, with the flags that turn the fast path off.
#[derive(Debug)]
pub(crate) struct IdleSet(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    stack: Vec<SlotId>,
    /// Somebody is queued, or the pool is suspended.
    waiting: bool,
    closed: bool,
}

/// The fast path is off; the ledger decides what becomes of the slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flagged;

impl IdleSet {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Idle::default()))
    }

    /// Takes the warmest idle slot, unless others wait.
    pub(crate) fn pop(&self) -> Option<SlotId> {
        let mut idle = self.0.lock();
        if idle.waiting || idle.closed {
            None
        } else {
            idle.stack.pop()
        }
    }

    /// Makes a slot idle, unless others wait or the pool is closed.
    pub(crate) fn push(&self, slot: SlotId) -> Result<(), Flagged> {
        let mut idle = self.0.lock();
        if idle.waiting || idle.closed {
            return Err(Flagged);
        }
        idle.stack.push(slot);
        Ok(())
    }

    /// Takes an idle slot if there is one, else raises WAITING. Under the ledger's lock.
    pub(crate) fn pop_or_wait(&self) -> Option<SlotId> {
        let mut idle = self.0.lock();
        let slot = idle.stack.pop();
        idle.waiting |= slot.is_none();
        slot
    }

    /// Makes a slot idle although others may wait. Under the ledger's lock.
    pub(crate) fn push_flagged(&self, slot: SlotId) {
        let mut idle = self.0.lock();
        debug_assert!(
            !idle.closed,
            "nothing becomes idle after the pool is closed"
        );
        idle.stack.push(slot);
    }

    /// Takes an idle slot although others wait. Under the ledger's lock.
    pub(crate) fn pop_flagged(&self) -> Option<SlotId> {
        self.0.lock().stack.pop()
    }

    /// Turns the fast path off or on. Under the ledger's lock.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.0.lock().waiting = waiting;
    }

    /// Turns the fast path off for good.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Takes this slot out if it is idle.
    pub(crate) fn claim(&self, slot: SlotId) -> bool {
        let mut idle = self.0.lock();
        let place = idle.stack.iter().position(|s| *s == slot);
        if let Some(place) = place {
            idle.stack.remove(place);
        }
        place.is_some()
    }

    /// The idle slots at the time, coldest first.
    pub(crate) fn snapshot(&self) -> Vec<SlotId> {
        self.0.lock().stack.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().stack.len()
    }
}
