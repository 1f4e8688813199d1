//! Closing connections in good order, and the pool with them.

use std::fmt;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::core::{Core, Held};
use crate::runtime::{Runtime, Task};
use crate::slot::{OwnedSlot, Phase};
use crate::within::within;
use crate::{CloseReason, Manager};

/// What [`Pool::close`](crate::Pool::close) left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CloseReport {
    /// Connections that were cut because they were still lent when the grace had passed.
    pub aborted: usize,
    /// Connections that are still lent or being closed. Each is closed when it is given back.
    pub outstanding: usize,
}

impl CloseReport {
    /// Whether nothing of the pool is left.
    pub fn is_clean(&self) -> bool {
        self.outstanding == 0
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cut, {} still held", self.aborted, self.outstanding)
    }
}

/// The slot is vacant when this is dropped.
pub(crate) struct Vacate<M: Manager, R: Runtime> {
    pub(crate) core: Arc<Core<M, R>>,
    pub(crate) slot: Option<OwnedSlot>,
}

impl<M: Manager, R: Runtime> Drop for Vacate<M, R> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.core.vacate(slot);
        }
    }
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Closes a connection that the ledger has down as closing.
    ///
    /// A close that finishes at once, as the default does, is done here; a longer one goes to the
    /// maintenance task, or is cut short when that is gone.
    pub(crate) fn close_booked(self: &Arc<Self>, mut entry: Held<M, R>, reason: CloseReason) {
        entry.home.slot.set_phase(Phase::Closing);
        self.remove(&mut entry, reason);
        let (connection, slot) = entry.end();
        let vacate = Vacate {
            core: self.clone(),
            slot: Some(slot),
        };
        let mut task: Task = Box::pin(run_close(vacate, connection, reason));
        let mut cx = Context::from_waker(Waker::noop());
        let polled = self.events.guard("Manager::close", || {
            if self.runtime.is_current() {
                task.as_mut().poll(&mut cx)
            } else {
                // A driver's close may find nothing to work with here.
                Poll::Pending
            }
        });
        if polled == Some(Poll::Pending) {
            if let Err(task) = self.work.push_task(task) {
                self.events.guard("Manager::close", || drop(task));
            }
        } else {
            self.events.guard("Manager::close", || drop(task));
        }
    }

    /// Waits until every slot is vacant and the maintenance task has ended, or the time is up.
    pub(crate) async fn drained(self: &Arc<Self>, until: Option<Instant>) -> bool {
        let drained = poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut ledger = self.ledger.lock();
            if (ledger.occupied == 0 || ledger.unattended) && !self.work.alive() {
                return Poll::Ready(());
            }
            if !ledger.drain.iter().any(|known| known.will_wake(&waker)) {
                ledger.drain.push(waker);
            }
            Poll::Pending
        });
        within(&self.runtime, || until, drained).await.is_ok()
    }

    /// Closes the pool and reports what is left after `grace`.
    pub(crate) async fn close(self: &Arc<Self>, grace: Duration) -> CloseReport {
        let until = self.now().checked_add(grace);
        self.shut();
        let mut report = CloseReport::default();
        if self.drained(until).await {
            return report;
        }
        for (_, slot) in self.slots.iter() {
            if slot.phase() != Phase::Leased {
                continue;
            }
            let Some(abort) = slot.aside(|aside| aside.abort.take()) else {
                continue;
            };
            self.events.guard("AbortHandle", || abort.abort());
            report.aborted += 1;
        }
        if report.aborted > 0 {
            self.drained(Some(self.now() + CUT)).await;
        }
        self.ledger.lock().unattended = true;
        // The maintenance task now ends whatever is still held.
        self.work.nudge();
        self.drained(Some(self.now() + CUT)).await;
        report.outstanding = self.ledger.lock().occupied;
        report
    }

    /// Wakes those who wait for the pool to be empty.
    pub(crate) fn wake_drained(&self) {
        let wakers = std::mem::take(&mut self.ledger.lock().drain);
        for waker in wakers {
            waker.wake();
        }
    }
}

/// Closes a connection within its time; then its slot is vacant, even if this is never polled.
pub(crate) async fn run_close<M: Manager, R: Runtime>(
    vacate: Vacate<M, R>,
    connection: M::Connection,
    reason: CloseReason,
) {
    let core = &vacate.core;
    let close = AssertUnwindSafe(async { core.manager.close(connection, reason).await });
    let until = || Some(core.now() + core.config().close_timeout);
    // Two layers: the close may panic when polled and, cut short, when dropped.
    let closed = AssertUnwindSafe(within(&core.runtime, until, close.catch_unwind()));
    if !matches!(closed.catch_unwind().await, Ok(Ok(Ok(())) | Err(_))) {
        core.events.panicked("Manager::close");
    }
}

/// How long the users of connections that were cut have to notice.
const CUT: Duration = Duration::from_millis(50);
