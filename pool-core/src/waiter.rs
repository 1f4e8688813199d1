//! One caller's place in the queue.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use crate::acquire::Attempt;
use crate::lease::Lease;
use crate::ledger::{Ledger, Wakes};
use crate::queue::{Refusal, Turn, WaiterId};
use crate::runtime::{Runtime, Timer};
use crate::slot::OwnedSlot;
use crate::{ErrorKind, Manager};

/// What a waiter ends with.
type Answer<E> = Result<OwnedSlot, Refusal<E>>;

/// Why a wait has brought nothing.
pub(crate) enum Unserved<E> {
    Refused(Refusal<E>),
    /// The time is up.
    Elapsed,
}

pin_project! {
    /// Waits in the queue, until the attempt's time is up. Written by hand, for its size: a hundred
    /// thousand callers may wait in one.
    pub(crate) struct Waiting<'a, 'b, M: Manager, R: Runtime, T: Timer> {
        waiter: Waiter<'a, 'b, M, R, T>,
        #[pin]
        sleep: Option<T::Sleep>,
    }
}

/// One who wants a connection, and leaves the queue when dropped; what was offered passes on.
struct Waiter<'a, 'b, M: Manager, R: Runtime, T: Timer> {
    attempt: &'b mut Attempt<'a, M, R, T>,
    id: Option<WaiterId>,
}

impl<'a, 'b, M: Manager, R: Runtime, T: Timer> Waiting<'a, 'b, M, R, T> {
    pub(crate) fn new(attempt: &'b mut Attempt<'a, M, R, T>) -> Self {
        Self {
            waiter: Waiter { attempt, id: None },
            sleep: None,
        }
    }
}

impl<M: Manager, R: Runtime, T: Timer> Future for Waiting<'_, '_, M, R, T> {
    type Output = Result<Lease<M, R>, Unserved<M::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let waiter = this.waiter;
        let joins = waiter.id.is_none();
        if let Poll::Ready(answer) = waiter.poll(cx) {
            let core = waiter.attempt.core;
            let lease = answer.map(|slot| Lease::new(core, slot));
            return Poll::Ready(lease.map_err(Unserved::Refused));
        }
        // Looked at only now that there is something to wait for.
        if joins {
            if let Some(until) = waiter.attempt.wait_until() {
                let sleep = waiter.attempt.limits.timer.sleep_until(until);
                this.sleep.set(Some(sleep));
            }
        }
        match this.sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
            // An offer that came together with the end of the time is taken.
            Some(Poll::Ready(())) => Poll::Ready(waiter.leave().ok_or(Unserved::Elapsed)),
            _ => Poll::Pending,
        }
    }
}

impl<M: Manager, R: Runtime, T: Timer> Waiter<'_, '_, M, R, T> {
    /// Joins the queue when polled for the first time; not to be polled after its answer.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Answer<M::Error>> {
        if let Some(answer) = self.id.and_then(|id| self.answer(id)) {
            self.id = None;
            return Poll::Ready(answer);
        }
        let core = self.attempt.core;
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
            if self.attempt.measured {
                self.attempt.limits.began.get_or_insert_with(|| core.now());
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
        let mut ledger = self.attempt.core.ledger.lock();
        if matches!(ledger.queue.turn(id), Turn::Waiting | Turn::Absent) {
            return None;
        }
        // One who was answered has left the line before, and its waker was taken then.
        match ledger.queue.remove(id).0 {
            Turn::Offered(slot, _) => Some(Ok(slot)),
            Turn::Refused(refusal) => Some(Err(*refusal)),
            Turn::Waiting | Turn::Absent => unreachable!("such a waiter keeps waiting"),
        }
    }

    /// Leaves the queue; takes what had been offered, if anything.
    fn leave(&mut self) -> Option<Lease<M, R>> {
        let id = self.id.take()?;
        let mut wakes = Wakes::default();
        let (turn, waker) = {
            let mut ledger = self.attempt.core.ledger.lock();
            let (turn, waker) = ledger.queue.remove(id);
            if !matches!(turn, Turn::Offered(..)) {
                // The wake-up for free capacity may have gone to this waiter.
                ledger.on_vacancy(&mut wakes);
            }
            self.attempt.core.settle(&mut ledger);
            (turn, waker)
        };
        drop(waker);
        wakes.wake();
        match turn {
            Turn::Offered(slot, _) => Some(Lease::new(self.attempt.core, slot)),
            _ => None,
        }
    }

    /// Takes a connection, if nobody is ahead, or a place in the queue.
    fn join(
        &mut self,
        ledger: &mut Ledger<M::Error>,
        waker: &mut Option<Waker>,
    ) -> Option<Answer<M::Error>> {
        let core = self.attempt.core;
        ledger.tally.begun += u64::from(self.attempt.uncounted);
        let refuse = |kind| Some(Err(Refusal { kind, cause: None }));
        if ledger.closed {
            return refuse(ErrorKind::Closed);
        }
        if ledger.suspended {
            if core.hot.refuse_suspended.load(Relaxed) {
                return refuse(ErrorKind::Suspended);
            }
        } else if self.attempt.first || ledger.queue.next().is_none() {
            if let Some(slot) = ledger.claim().or_else(|| core.idle.pop_or_wait()) {
                return Some(Ok(slot));
            }
            ledger.peak_leased = ledger.peak_leased.max(ledger.lent(0));
        }
        if !self.attempt.first && ledger.queue.len() >= core.hot.max_waiters.load(Relaxed) {
            return refuse(ErrorKind::QueueFull);
        }
        self.attempt.measured |= ledger.measures(core.coarse_ns());
        let waker = waker.take().expect("the waker is given once");
        self.id = Some(ledger.queue.join(waker, self.attempt.first));
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
                slot = ledger
                    .claim()
                    .or_else(|| self.attempt.core.idle.pop_flagged());
            }
            if slot.is_none() {
                let waker = waker.take().expect("the waker is given once");
                return (None, ledger.queue.polled(id, waker));
            }
        }
        let (turn, replaced) = ledger.queue.remove(id);
        let answer = match (slot, turn) {
            (Some(slot), _) | (None, Turn::Offered(slot, _)) => Ok(slot),
            (None, Turn::Refused(refusal)) => Err(*refusal),
            (None, Turn::Waiting | Turn::Absent) => unreachable!("such a waiter keeps waiting"),
        };
        (Some(answer), replaced)
    }
}

impl<M: Manager, R: Runtime, T: Timer> Drop for Waiter<'_, '_, M, R, T> {
    fn drop(&mut self) {
        // The lease, if any, goes to the next waiter.
        drop(self.leave());
    }
}
