//! The control plane: one task per pool that looks after it every 200 ms.
//!
//! It holds the pool weakly and ends with it. When its runtime goes away under it, the work it had
//! is given back and the next getter starts it again on its own runtime. Nothing on the data plane
//! needs it: without it connections are still lent, opened by those who wait, and closed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::core::Core;
use crate::hooks::TICK;
use crate::hot::nanos;
use crate::lease::Lease;
use crate::ledger::Wakes;
use crate::options::{GetOptions, Limits};
use crate::runtime::{Runtime, Task};
use crate::slot::SlotId;
use crate::sync::Mutex;
use crate::{CloseReason, Config, Event, Manager, Stage};

/// What the maintenance task has to do beside its tick.
pub(crate) struct Work<M: Manager, R: Runtime> {
    todo: Mutex<Todo<M, R>>,
    alive: AtomicBool,
    /// Something changed since the task last looked.
    nudged: AtomicBool,
    /// Idle connections that expire soon and are to be replaced first.
    expiring: AtomicUsize,
    /// Nobody waited at the last tick, so the next is a whole tick away.
    unhurried: AtomicBool,
}

struct Todo<M: Manager, R: Runtime> {
    alive: bool,
    resets: VecDeque<Lease<M, R>>,
    tasks: Vec<Task>,
    waker: Option<Waker>,
}

impl<M: Manager, R: Runtime> Work<M, R> {
    pub(crate) fn new() -> Self {
        let todo = Todo {
            alive: false,
            resets: VecDeque::new(),
            tasks: Vec::new(),
            waker: None,
        };
        Self {
            todo: Mutex::new(todo),
            alive: AtomicBool::new(false),
            nudged: AtomicBool::new(false),
            expiring: AtomicUsize::new(0),
            unhurried: AtomicBool::new(true),
        }
    }

    /// Whether the task runs.
    pub(crate) fn alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    pub(crate) fn expiring(&self) -> usize {
        self.expiring.load(Relaxed)
    }

    /// Hands a connection over to be reset; gives it back when the task is gone.
    pub(crate) fn push_reset(&self, lease: Lease<M, R>) -> Result<(), Lease<M, R>> {
        let mut todo = self.todo.lock();
        if !todo.alive {
            return Err(lease);
        }
        todo.resets.push_back(lease);
        drop(todo);
        self.nudge();
        Ok(())
    }

    /// Hands a future over to be run; gives it back when the task is gone.
    pub(crate) fn push_task(&self, task: Task) -> Result<(), Task> {
        let mut todo = self.todo.lock();
        if !todo.alive {
            return Err(task);
        }
        todo.tasks.push(task);
        drop(todo);
        self.nudge();
        Ok(())
    }

    /// Somebody waits: offers to them are watched from now on.
    pub(crate) fn hurry(&self) {
        if self.unhurried.load(Relaxed) && self.unhurried.swap(false, Relaxed) {
            self.nudge();
        }
    }

    /// Makes the task look at the pool soon.
    pub(crate) fn nudge(&self) {
        if !self.alive() || self.nudged.swap(true, Relaxed) {
            return;
        }
        let waker = self.todo.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Says that the task is gone, however it went, and gives back what it had.
struct Alive<M: Manager, R: Runtime>(Weak<Core<M, R>>);

impl<M: Manager, R: Runtime> Drop for Alive<M, R> {
    fn drop(&mut self) {
        let Some(core) = self.0.upgrade() else { return };
        let (waker, resets, tasks) = {
            let mut todo = core.work.todo.lock();
            todo.alive = false;
            core.work.alive.store(false, Relaxed);
            (
                todo.waker.take(),
                std::mem::take(&mut todo.resets),
                std::mem::take(&mut todo.tasks),
            )
        };
        drop(waker);
        for mut lease in resets {
            lease.end_work();
        }
        for task in tasks {
            core.events.guard("background task", || drop(task));
        }
        core.wake_drained();
    }
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// Starts the task on the current runtime, if it does not run and there is one.
    #[cold]
    pub(crate) fn start_maintenance(self: &Arc<Self>) {
        {
            let mut todo = self.work.todo.lock();
            if todo.alive || self.idle.is_closed() || !self.runtime.is_current() {
                return;
            }
            todo.alive = true;
            self.work.alive.store(true, Relaxed);
        }
        let alive = Alive(Arc::downgrade(self));
        // A task that is refused is dropped, and with it `alive`.
        drop(
            self.runtime
                .spawn(Box::pin(maintain(alive, self.runtime.clone()))),
        );
    }

    /// One look at those who wait and what they are offered.
    fn attend(self: &Arc<Self>, now: Instant) {
        self.set_coarse(now);
        let grace = self.config().handoff_grace;
        let mut wakes = Wakes::default();
        let revoked = {
            let mut ledger = self.ledger.lock();
            let revoked = ledger.revoke(now, grace, &mut wakes);
            if ledger.connect_at.is_some_and(|at| at <= now) {
                ledger.connect_at = None;
            }
            self.settle(&mut ledger);
            self.work.unhurried.store(ledger.queue.len() == 0, Relaxed);
            revoked
        };
        wakes.wake();
        if revoked > 0 {
            self.counters.revoked.fetch_add(revoked as u64, Relaxed);
            self.events.emit(Event::HandoffRevoked { count: revoked });
        }
    }

    /// One look at everything else.
    fn tick(self: &Arc<Self>, now: Instant) {
        let config = self.config();
        let waiting = {
            let mut ledger = self.ledger.lock();
            ledger.peak_leased = ledger.peak_leased.max(ledger.lent(self.idle.len()));
            ledger.queue.unserved() > 0
        };
        self.trim(now, &config, waiting);
        if config.leak_report.is_some() {
            self.report_held(now, &config);
        }
        if let Some(hook) = &self.hooks.on_tick {
            let state = self.state();
            self.events.guard("on_tick", || hook(now, &state));
        }
    }

    /// Retires and checks idle connections, the coldest first.
    fn trim(self: &Arc<Self>, now: Instant, config: &Config, waiting: bool) {
        let now_ns = self.since_epoch(now);
        let idle = self.idle.snapshot();
        let (target, occupied, closed) = {
            let ledger = self.ledger.lock();
            (ledger.target, ledger.occupied, ledger.closed)
        };
        if closed {
            return;
        }
        let ahead = replaced_ahead_ns(config);
        let expires = |id: &SlotId| {
            self.slots.slot(*id).retire_ns.load(Relaxed) <= now_ns.saturating_add(ahead)
        };
        let mut staying = idle.iter().filter(|id| !expires(id)).count();
        self.work.expiring.store(idle.len() - staying, Relaxed);
        let mut full = occupied >= target;
        // A jump of the clock makes everything look old: it goes little by little all the same.
        let mut checks = (idle.len() / 10).max(1);
        let mut retires = checks;
        for id in idle {
            let slot = self.slots.slot(id);
            let idle_ns = now_ns.saturating_sub(slot.used_ns.load(Relaxed));
            let seen = slot
                .checked_ns
                .load(Relaxed)
                .max(slot.used_ns.load(Relaxed));
            let reason = if slot.retire_ns.load(Relaxed) <= now_ns {
                Some(CloseReason::Expired)
            } else if expires(&id) {
                // A replacement is opened first where there is room; else this one makes room.
                let make_room = staying < config.min_idle && std::mem::take(&mut full);
                (staying >= config.min_idle || make_room).then_some(CloseReason::Expired)
            } else if config
                .idle_timeout
                .is_some_and(|limit| idle_ns >= nanos(limit))
                && staying > config.min_idle
                && !waiting
            {
                staying -= 1;
                Some(CloseReason::IdleTimeout)
            } else {
                None
            };
            let check = config.keepalive.is_some_and(|every| {
                now_ns.saturating_sub(seen) >= nanos(every) && !waiting && checks > 0
            });
            let due = if reason.is_some() { retires > 0 } else { check };
            let Some(owned) = due.then(|| self.idle.claim(id)).flatten() else {
                continue;
            };
            let lease = Lease::new(self, owned);
            match reason {
                Some(reason) => {
                    retires -= 1;
                    if expires(&id) {
                        self.work.expiring.fetch_sub(1, Relaxed);
                    }
                    lease.retire(reason);
                }
                None => {
                    checks -= 1;
                    drop(self.work.push_task(Box::pin(keep_alive(lease))));
                }
            }
        }
    }

    /// Reports connections that have been held for too long, once for each lease.
    fn report_held(&self, now: Instant, config: &Config) {
        let limit = config.leak_report.unwrap_or_default();
        for (_, slot) in self.slots.iter() {
            let event = slot.aside(|aside| {
                let holder = aside.holder.as_mut()?;
                let held = now.saturating_duration_since(holder.since);
                let report = !holder.reported && held >= limit;
                holder.reported |= report;
                report.then_some(Event::HeldTooLong {
                    connection: holder.connection,
                    site: holder.site,
                    held,
                })
            });
            if let Some(event) = event {
                self.events.emit(event);
            }
        }
    }
}

/// Checks an idle connection in the background. Does not count as use. One that is still to be reset
/// is reset before, lest the rest of its last exchange be taken for an answer.
async fn keep_alive<M: Manager, R: Runtime>(mut lease: Lease<M, R>) {
    let core = lease.core().clone();
    let options = GetOptions::new();
    let mut limits = Limits::new(&core.runtime, &options);
    let dirty = lease.entry_mut().dirty;
    for stage in [Stage::Reset, Stage::Validate] {
        if stage == Stage::Reset && !dirty {
            continue;
        }
        if let Err(unfit) = lease.work(stage, &mut limits).await {
            lease.retire_dead(unfit);
            return;
        }
    }
}

/// Resets a returned connection.
async fn reset<M: Manager, R: Runtime>(mut lease: Lease<M, R>) {
    let core = lease.core().clone();
    lease.end_work();
    let options = GetOptions::new();
    let mut limits = Limits::new(&core.runtime, &options);
    let result = lease.work(Stage::Reset, &mut limits).await;
    if let Err(unfit) = result {
        lease.retire_dead(unfit);
    }
}

async fn maintain<M: Manager, R: Runtime>(alive: Alive<M, R>, runtime: R) {
    // Declared after `alive`, so that what is under way is given up before the task counts as gone.
    let alive = alive;
    let mut tasks = FuturesUnordered::<Task>::new();
    let mut resets = FuturesUnordered::<Task>::new();
    let mut tick = runtime.now();
    loop {
        let due;
        {
            let Some(core) = alive.0.upgrade() else {
                return;
            };
            core.work.nudged.store(false, Relaxed);
            let now = core.now();
            core.attend(now);
            if tick <= now {
                core.tick(now);
                tick = now + TICK;
            }
            due = tick.min(core.due(now));
            core.start_connects();
            let mut todo = core.work.todo.lock();
            tasks.extend(todo.tasks.drain(..));
            while resets.len() < RESETS {
                let Some(lease) = todo.resets.pop_front() else {
                    break;
                };
                resets.push(Box::pin(reset(lease)));
            }
            let idle = tasks.is_empty() && resets.is_empty();
            if core.idle.is_closed() && idle && todo.resets.is_empty() {
                drop(todo);
                let ledger = core.ledger.lock();
                if ledger.occupied == 0 || ledger.unattended {
                    return;
                }
            }
        }
        let mut sleep = pin!(runtime.sleep_until(due));
        poll_fn(|cx| alive.wait(cx, &mut tasks, &mut resets, sleep.as_mut())).await;
    }
}

impl<M: Manager, R: Runtime> Alive<M, R> {
    /// Runs what is under way until there is something to look at.
    fn wait(
        &self,
        cx: &mut Context<'_>,
        tasks: &mut FuturesUnordered<Task>,
        resets: &mut FuturesUnordered<Task>,
        sleep: std::pin::Pin<&mut R::Sleep>,
    ) -> Poll<()> {
        let Some(core) = self.0.upgrade() else {
            return Poll::Ready(());
        };
        let waker = cx.waker().clone();
        let replaced = core.work.todo.lock().waker.replace(waker);
        drop(replaced);
        if core.work.nudged.load(Relaxed) {
            return Poll::Ready(());
        }
        let mut finished = false;
        for set in [tasks, resets] {
            while let Poll::Ready(Some(())) = set.poll_next_unpin(cx) {
                finished = true;
            }
        }
        drop(core);
        if finished || self.0.strong_count() == 0 {
            Poll::Ready(())
        } else {
            sleep.poll(cx)
        }
    }
}

impl<M: Manager, R: Runtime> Core<M, R> {
    /// When those who wait are to be looked at next, seen from `now`.
    fn due(&self, now: Instant) -> Instant {
        let grace = self.config().handoff_grace;
        let ledger = self.ledger.lock();
        // The grace of an offer runs from when it is first seen.
        let next = if ledger.queue.len() > 0 {
            TICK.min(grace / 8)
        } else {
            TICK
        };
        let due = ledger.revoke_at(grace).into_iter().chain(ledger.connect_at);
        due.fold(now + next, Instant::min)
    }
}

/// How long before its end a connection is replaced.
fn replaced_ahead_ns(config: &Config) -> u64 {
    config
        .max_lifetime
        .map_or(0, |lifetime| nanos(lifetime / 20).min(nanos(TICK * 5)))
}

/// How many resets run at once.
const RESETS: usize = 8;
