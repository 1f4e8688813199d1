//! One caller's place in the queue.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::core::Core;
use crate::lease::Lease;
use crate::ledger::{Ledger, Wakes};
use crate::queue::{Refusal, Turn, WaiterId};
use crate::runtime::Runtime;
use crate::slot::OwnedSlot;
use crate::{ErrorKind, Manager};

/// What a waiter ends with.
type Answer<E> = Result<OwnedSlot, Refusal<E>>;

/// One who wants a connection, and leaves the queue when dropped; what was offered passes on.
pub(crate) struct Waiter<'a, M: Manager, R: Runtime> {
    core: &'a Arc<Core<M, R>>,
    id: Option<WaiterId>,
    /// Joins at the front.
    first: bool,
    /// The acquire has not been counted as begun, which is done under the first lock it takes.
    uncounted: bool,
    /// When the acquire began to wait, if anybody wants to know.
    started: &'a OnceLock<Instant>,
    measured: bool,
}

impl<'a, M: Manager, R: Runtime> Waiter<'a, M, R> {
    pub(crate) fn new(
        core: &'a Arc<Core<M, R>>,
        first: bool,
        uncounted: bool,
        started: &'a OnceLock<Instant>,
        measured: bool,
    ) -> Self {
        Self {
            core,
            id: None,
            first,
            uncounted,
            started,
            measured,
        }
    }

    /// Joins the queue when polled for the first time; not to be polled after its answer.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Answer<M::Error>> {
        if let Some(answer) = self.id.and_then(|id| self.answer(id)) {
            self.id = None;
            return Poll::Ready(answer);
        }
        let core = self.core;
        // Cloned before the lock is taken and dropped after: wakers are user code.
        let mut waker = Some(cx.waker().clone());
        let mut ledger = core.ledger.lock();
        let (answer, replaced) = match self.id {
            None => (self.join(&mut ledger, &mut waker), None),
            Some(id) => self.look(id, &mut ledger, &mut waker),
        };
        let wanted = answer.is_none() && ledger.wanted_connects(|| core.idle.len()) > 0;
        core.settle(&mut ledger);
        drop(ledger);
        drop((waker, replaced));
        let Some(answer) = answer else {
            if self.measured {
                self.started.get_or_init(|| core.now());
            }
            core.work.hurry();
            if wanted {
                core.start_connects();
            }
            return Poll::Pending;
        };
        self.id = None;
        Poll::Ready(answer)
    }

    /// The answer, if there is one: mostly so, since that is what one is woken for.
    fn answer(&self, id: WaiterId) -> Option<Answer<M::Error>> {
        let mut ledger = self.core.ledger.lock();
        if matches!(ledger.queue.turn(id), Turn::Waiting | Turn::Absent) {
            return None;
        }
        // One who was answered has left the line before, and its waker was taken then.
        match ledger.queue.remove(id).0 {
            Turn::Offered(slot, _) => Some(Ok(slot)),
            Turn::Refused(refusal) => Some(Err(refusal)),
            Turn::Waiting | Turn::Absent => unreachable!("such a waiter keeps waiting"),
        }
    }

    /// Leaves the queue; takes what had been offered, if anything.
    pub(crate) fn leave(&mut self) -> Option<Lease<M, R>> {
        let id = self.id.take()?;
        let mut wakes = Wakes::default();
        let (turn, waker) = {
            let mut ledger = self.core.ledger.lock();
            let (turn, waker) = ledger.queue.remove(id);
            if !matches!(turn, Turn::Offered(..)) {
                // The wake-up for free capacity may have gone to this waiter.
                ledger.on_vacancy(&mut wakes);
            }
            self.core.settle(&mut ledger);
            (turn, waker)
        };
        drop(waker);
        wakes.wake();
        match turn {
            Turn::Offered(slot, _) => Some(Lease::new(self.core, slot)),
            _ => None,
        }
    }

    /// Takes a connection, if nobody is ahead, or a place in the queue.
    fn join(
        &mut self,
        ledger: &mut Ledger<M::Error>,
        waker: &mut Option<Waker>,
    ) -> Option<Answer<M::Error>> {
        let core = self.core;
        ledger.tally.begun += u64::from(self.uncounted);
        let refuse = |kind| Some(Err(Refusal { kind, cause: None }));
        if ledger.closed {
            return refuse(ErrorKind::Closed);
        }
        if ledger.suspended {
            if core.hot.refuse_suspended.load(Relaxed) {
                return refuse(ErrorKind::Suspended);
            }
        } else if self.first || ledger.queue.next().is_none() {
            if let Some(slot) = ledger.claim().or_else(|| core.idle.pop_or_wait()) {
                return Some(Ok(slot));
            }
            ledger.peak_leased = ledger.peak_leased.max(ledger.lent(0));
        }
        if !self.first && ledger.queue.len() >= core.hot.max_waiters.load(Relaxed) {
            return refuse(ErrorKind::QueueFull);
        }
        self.measured |= ledger.measures(core.coarse_ns());
        let waker = waker.take().expect("the waker is given once");
        self.id = Some(ledger.queue.join(waker, self.first));
        None
    }

    /// Looks what has become of the place in the queue; also gives a waker to drop.
    fn look(
        &self,
        id: WaiterId,
        ledger: &mut Ledger<M::Error>,
        waker: &mut Option<Waker>,
    ) -> (Option<Answer<M::Error>>, Option<Waker>) {
        let mut slot = None;
        if matches!(ledger.queue.turn(id), Turn::Waiting | Turn::Absent) {
            if !ledger.suspended {
                slot = ledger.claim().or_else(|| self.core.idle.pop_flagged());
            }
            if slot.is_none() {
                let waker = waker.take().expect("the waker is given once");
                return (None, ledger.queue.polled(id, waker));
            }
        }
        let (turn, replaced) = ledger.queue.remove(id);
        let answer = match (slot, turn) {
            (Some(slot), _) | (None, Turn::Offered(slot, _)) => Ok(slot),
            (None, Turn::Refused(refusal)) => Err(refusal),
            (None, Turn::Waiting | Turn::Absent) => unreachable!("such a waiter keeps waiting"),
        };
        (Some(answer), replaced)
    }
}

impl<M: Manager, R: Runtime> Drop for Waiter<'_, M, R> {
    fn drop(&mut self) {
        // The lease, if any, goes to the next waiter.
        drop(self.leave());
    }
}
