//! Opening connections, in tasks of their own.
//!
//! The invariant: every slot that is connecting belongs to one [`Ticket`], whose drop gives it
//! back. So an attempt ends in the books however its task ends.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::core::{Core, Held, Home};
use crate::gate::Admission;
use crate::hot::nanos;
use crate::ledger::Wakes;
use crate::queue::Refusal;
use crate::random::Random;
use crate::runtime::Runtime;
use crate::slot::{Entry, OwnedSlot, Phase};
use crate::stats::add;
use crate::within::within;
use crate::{CloseReason, ConnectContext, ErrorClass, ErrorKind, Event, Manager, Sample, Stage};

/// A slot in which a connection is being opened.
struct Ticket<M: Manager, R: Runtime> {
    core: Arc<Core<M, R>>,
    /// Taken when the slot goes over to a connection, or back.
    slot: Option<OwnedSlot>,
    /// The gate has not heard of the end of the attempt.
    admitted: bool,
    started: Instant,
}

/// How an attempt ended.
enum Outcome<M: Manager> {
    Connected(M::Connection),
    Failed(M::Error),
    Panicked,
    TimedOut,
    PoolClosed,
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Starts as many attempts as are wanted and allowed, on the current runtime or, where there
    /// is none, on that of the maintenance task.
    pub(crate) fn start_connects(self: &Arc<Self>) {
        if !self.runtime.is_current() && !self.work.alive() {
            return;
        }
        let now = self.now();
        // Each round adds to `connecting` or ends the loop, so it ends.
        loop {
            let slot = {
                let mut ledger = self.ledger.lock();
                if ledger.wanted_connects(|| self.staying_idle()) == 0 {
                    return;
                }
                ledger.begin_connect()
            };
            self.slots.grow(slot.id());
            self.slots.slot(slot.id()).set_phase(Phase::Connecting);
            let admission = self
                .events
                .guard("ConnectGate::admit", || self.gate.admit(now));
            match admission.unwrap_or(Admission::NotBefore(now + Duration::from_secs(1))) {
                Admission::Go => {
                    let ticket = Ticket {
                        core: self.clone(),
                        slot: Some(slot),
                        admitted: true,
                        started: now,
                    };
                    let task = Box::pin(connect(ticket));
                    if let Err(task) = self.runtime.spawn(task) {
                        // Dropped if nobody takes it, which ends the attempt as failed.
                        drop(self.work.push_task(task));
                        return;
                    }
                }
                Admission::NotBefore(at) => return self.hold_connects(slot, at),
                Admission::Refuse(at) => {
                    self.hold_connects(slot, at);
                    let cause = self.last_error.lock().clone();
                    return self.refuse_waiters(|| Refusal {
                        kind: ErrorKind::Connect,
                        cause: cause.clone(),
                    });
                }
            }
        }
    }

    /// The gate said no: the maintenance task asks again at that time.
    fn hold_connects(&self, slot: OwnedSlot, at: Instant) {
        self.slots.slot(slot.id()).set_phase(Phase::Vacant);
        let sooner = {
            let mut ledger = self.ledger.lock();
            ledger.cancel_connect(slot);
            let sooner = ledger.connect_at.is_none_or(|known| at < known);
            if sooner {
                ledger.connect_at = Some(at);
            }
            sooner
        };
        if sooner {
            self.work.nudge();
        }
    }

    fn refuse_waiters(&self, refusal: impl FnMut() -> Refusal<M::Error>) {
        let mut wakes = Wakes::default();
        {
            let mut ledger = self.ledger.lock();
            ledger.refuse_all(refusal, &mut wakes);
            self.settle(&mut ledger);
        }
        wakes.wake();
    }

    fn refuse_first(&self, kind: ErrorKind) {
        let mut wakes = Wakes::default();
        {
            let mut ledger = self.ledger.lock();
            ledger.refuse_first(Refusal { kind, cause: None }, &mut wakes);
            self.settle(&mut ledger);
        }
        wakes.wake();
    }

    /// Puts a connection that was just opened, or that the user gives, into its slot.
    pub(crate) fn entry(
        self: &Arc<Self>,
        slot: OwnedSlot,
        connection: M::Connection,
        id: u64,
        generation: u64,
    ) -> Held<M, R> {
        let now = self.now();
        let now_ns = self.since_epoch(now);
        let config = self.config();
        let retire_ns = config.max_lifetime.map_or(u64::MAX, |lifetime| {
            let jitter = Random::new().up_to(lifetime.mul_f64(config.lifetime_jitter));
            now_ns.saturating_add(nanos(lifetime - jitter))
        });
        let abort = self
            .events
            .guard("Manager::abort_handle", || {
                self.manager.abort_handle(&connection)
            })
            .flatten();
        let cell = self.slots.slot(slot.id());
        self.idle.prefer(slot.id(), true);
        cell.occupant.store(id, Relaxed);
        cell.retire_ns.store(retire_ns, Relaxed);
        cell.used_ns.store(now_ns, Relaxed);
        cell.checked_ns.store(now_ns, Relaxed);
        // What had been kept there was for connecting.
        let connector = cell.clear_aside();
        if abort.is_some() {
            cell.set_aside(|aside| aside.abort = abort);
        }
        drop(connector);
        add(&self.counters.created);
        let home = Home {
            core: self.clone(),
            slot: cell.clone(),
            spot: self.idle.spot(slot.id()),
        };
        Entry::new(slot, home, connection, generation, now_ns)
    }

    /// Remembers the latest failure. The one before is dropped without the lock: that may run user
    /// code.
    fn set_last_error(&self, error: Option<(Arc<M::Error>, ErrorClass)>) {
        let before = std::mem::replace(&mut *self.last_error.lock(), error);
        self.events.guard("Error", || drop(before));
    }

    /// Whether the last failure to connect said that the server is full.
    pub(crate) fn is_refused_for_load(&self) -> bool {
        let error = self.last_error.lock();
        matches!(&*error, Some((_, ErrorClass::Overload)))
    }

    /// Idle connections that will not be retired soon.
    pub(crate) fn staying_idle(&self) -> usize {
        self.idle.len().saturating_sub(self.work.expiring())
    }
}

impl<M: Manager, R: Runtime> Ticket<M, R> {
    /// Looks at a connection that was just opened.
    fn receive(self, mut connection: M::Connection, context: ConnectContext) {
        let core = self.core.clone();
        let peek = || core.manager.has_broken(&mut connection);
        let broken = core.events.guard("Manager::has_broken", peek);
        if broken.unwrap_or(true) {
            // A server that lets everybody in and throws them out again is not to be asked as
            // fast as it answers.
            core.events.guard("Connection::drop", || drop(connection));
            self.fail(ErrorClass::Broken, None);
        } else {
            self.succeed(connection, context);
        }
    }

    fn succeed(mut self, connection: M::Connection, context: ConnectContext) {
        let core = self.core.clone();
        self.tell_gate(Ok(()));
        core.set_last_error(None);
        core.hot.connected_since.store(true, Relaxed);
        core.sweep_if_silent(core.config().sweep_after);
        // A sweep condemns what was open; what opens after it is new evidence. A clear means all.
        let generation = if context.generation >= core.hot.cleared.load(Relaxed) {
            core.hot.generation.load(Relaxed)
        } else {
            context.generation
        };
        let slot = self.slot.take().expect("the attempt is under way");
        let entry = core.entry(slot, connection, context.id, generation);
        let took = core.now().saturating_duration_since(self.started);
        core.events.sample(Sample::Stage(Stage::Connect), took);
        core.events.emit(Event::Connected {
            connection: context.id,
            took,
        });
        core.ledger.lock().connected();
        if entry.generation == core.hot.generation.load(Relaxed) {
            Core::give(entry);
        } else {
            core.retire(entry, CloseReason::Cleared);
        }
        core.start_connects();
    }

    fn fail(mut self, class: ErrorClass, cause: Option<M::Error>) {
        let core = self.core.clone();
        add(&core.counters.connect_errors);
        let cause = cause.map(|error| (Arc::new(error), class));
        if cause.is_some() {
            core.set_last_error(cause.clone());
        }
        self.tell_gate(Err(class));
        let took = core.now().saturating_duration_since(self.started);
        core.events.emit(Event::ConnectFailed { class, took });
        drop(self);
        if class == ErrorClass::Permanent {
            core.refuse_waiters(|| Refusal {
                kind: ErrorKind::Connect,
                cause: cause.clone(),
            });
        }
        core.start_connects();
    }

    fn tell_gate(&mut self, result: Result<(), ErrorClass>) {
        if std::mem::take(&mut self.admitted) {
            let core = &self.core;
            let now = core.now();
            core.events.guard("ConnectGate::on_result", || {
                core.gate.on_result(now, result)
            });
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Ticket<M, R> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        self.tell_gate(Err(ErrorClass::Transient));
        let place = self.core.slots.slot(slot.id());
        place.set_phase(Phase::Vacant);
        drop(place.clear_aside());
        let mut wakes = Wakes::default();
        self.core.ledger.lock().connect_failed(slot, &mut wakes);
        wakes.wake();
        self.core.work.nudge();
    }
}

async fn connect<M: Manager, R: Runtime>(ticket: Ticket<M, R>) {
    let core = ticket.core.clone();
    let timeout = core.config().connect_timeout;
    let context = ConnectContext {
        id: core.next_id.fetch_add(1, Relaxed),
        generation: core.hot.generation.load(Relaxed),
        timeout,
    };
    add(&core.counters.connects);
    let open = async {
        let mut connection = core.manager.connect(context).await?;
        if let Some(hook) = &core.hooks.after_connect {
            let info = crate::ConnectionInfo {
                id: context.id,
                generation: context.generation,
                created: ticket.started,
                uses: 0,
            };
            hook(&mut connection, &info).await?;
        }
        Ok(connection)
    };
    let outcome = {
        let mut open = pin!(AssertUnwindSafe(open).catch_unwind());
        let slot = ticket.slot.as_ref().expect("the attempt is under way");
        let slot = core.slots.slot(slot.id());
        let until_closed = poll_fn(|cx| {
            // Cloned before the lock is taken and dropped after: wakers are user code.
            let waker = cx.waker().clone();
            drop(slot.set_aside(|aside| aside.connector.replace(waker)));
            if core.idle.is_closed() {
                return Poll::Ready(Outcome::<M>::PoolClosed);
            }
            open.as_mut().poll(cx).map(|result| match result {
                Ok(Ok(connection)) => Outcome::Connected(connection),
                Ok(Err(error)) => Outcome::Failed(error),
                Err(_) => Outcome::Panicked,
            })
        });
        let deadline = ticket.started + timeout;
        within(&core.runtime, || Some(deadline), until_closed)
            .await
            .unwrap_or(Outcome::TimedOut)
    };
    match outcome {
        Outcome::Connected(connection) => ticket.receive(connection, context),
        Outcome::Failed(error) => {
            let classify = || core.manager.classify(&error);
            let class = core.events.guard("Manager::classify", classify);
            ticket.fail(class.unwrap_or(ErrorClass::Transient), Some(error));
        }
        Outcome::TimedOut => {
            add(&core.counters.connect_timeouts);
            ticket.fail(ErrorClass::Transient, None);
        }
        Outcome::Panicked => {
            core.events.panicked("Manager::connect");
            core.refuse_first(ErrorKind::ConnectPanicked);
            ticket.fail(ErrorClass::Transient, None);
        }
        Outcome::PoolClosed => drop(ticket),
    }
}
