//! Asking nodes how they are, in the background.
//!
//! Two machines ask: each node's health monitor at its own pace, and the balancer, once a second,
//! for a node that it has demoted. Either gets its answer by the same probe, on a connection that
//! no caller waits for. A probe that cannot be made because callers use every connection says
//! nothing: they know better.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use health::{Change, Failure, Report};
use pool_core::runtime::Runtime;
use pool_core::{Check, ErrorKind, GetOptions, Manager, Stage};

use crate::balance::{NodeId, ProbeFailed, Role};
use crate::node::{Bound, Node};
use crate::shared::Shared;
use crate::within::within;

/// The user's own way to ask a node.
pub(crate) type AskNode<C> = Box<
    dyn for<'a> Fn(&'a mut C) -> Pin<Box<dyn Future<Output = Report<Role>> + Send + 'a>>
        + Send
        + Sync,
>;

/// A probe that somebody has asked for; tells them of its end, whatever that is.
struct Ticket<M: Manager, R: Runtime> {
    shared: Weak<Shared<M, R>>,
    id: NodeId,
    monitored: Option<health::Probe>,
    told: bool,
}

/// What a probe has found out.
enum Finding {
    /// The node answered this, after this time.
    Answer(Report<Role>, Duration),
    /// It was too busy with callers to be asked.
    Busy,
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Starts the probes that are due. `demoted` are those that the balancer asks for.
    pub(crate) fn probe(self: &Arc<Self>, demoted: &[NodeId], now: Instant) {
        let plan = self.plan.load_full();
        for node in plan.nodes() {
            let id = node.vital.id;
            let suspect = node.vital.take_suspicion();
            let (monitored, change) = self.control.lock().poll_monitor(id, suspect, now);
            if let Some(change) = change {
                self.on_change(id, &change, now);
            }
            if monitored.is_none() && !demoted.contains(&id) {
                continue;
            }
            let ticket = Ticket {
                shared: Arc::downgrade(self),
                id,
                monitored,
                told: false,
            };
            let timeout = self.control.config().health.timeout;
            let task = run(ticket, node.clone(), self.runtime.clone(), timeout);
            // A task that is refused is dropped, and with it the ticket.
            drop(self.runtime.spawn(Box::pin(task)));
        }
    }

    fn on_finding(&self, id: NodeId, monitored: Option<health::Probe>, finding: Option<Finding>) {
        let now = self.runtime.now();
        let change = {
            let mut state = self.control.lock();
            let busy = matches!(finding, Some(Finding::Busy));
            let (report, result) = match finding {
                Some(Finding::Answer(report, took)) if report.state().serves() => {
                    (report, Ok(took))
                }
                Some(Finding::Answer(report, _)) => (report, Err(ProbeFailed)),
                Some(Finding::Busy) => (state.belief(id), Err(ProbeFailed)),
                None => (Report::down(Failure::Connect), Err(ProbeFailed)),
            };
            if !busy {
                state.balancer.on_probe(id, result, now);
            }
            monitored.and_then(|probe| state.on_report(id, probe, report, now))
        };
        if let Some(change) = change {
            self.on_change(id, &change, now);
        }
    }

    /// What is believed of a node has changed.
    fn on_change(&self, id: NodeId, change: &Change<Role>, now: Instant) {
        {
            let mut state = self.control.lock();
            let serves = change.to.state.serves();
            state.balancer.on_belief(id, serves);
            if let Some(role) = change.to.role {
                state.balancer.set_role(id, role, now);
            }
        }
        let plan = self.plan.load();
        let node = plan.node(id).map(|node| &*node.vital.name);
        tracing::info!(
            target: "health",
            pool = &*self.name,
            node,
            from = ?change.from.state,
            to = ?change.to.state,
            role = ?change.to.role,
            failure = ?change.failure,
            "belief changed"
        );
    }
}

impl<M: Manager, R: Runtime> Ticket<M, R> {
    fn tell(&mut self, finding: Option<Finding>) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.on_finding(self.id, self.monitored, finding);
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Ticket<M, R> {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// Makes one probe, within its time.
async fn run<M: Manager, R: Runtime>(
    mut ticket: Ticket<M, R>,
    node: Arc<Node<M, R>>,
    runtime: R,
    timeout: Duration,
) {
    let deadline = runtime.now() + timeout;
    let probe = AssertUnwindSafe(ask(&ticket, &node, &runtime, deadline)).catch_unwind();
    let finding = match within(&runtime, Some(deadline), probe).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(payload)) => {
            let panics = |shared: Arc<Shared<M, R>>| {
                shared.control.on_panic(&shared.name, "probe", payload);
            };
            ticket.shared.upgrade().map(panics);
            Finding::Answer(Report::down(Failure::Panic), timeout)
        }
        Err(_) => Finding::Answer(Report::down(Failure::Timeout), timeout),
    };
    ticket.tell(Some(finding));
}

async fn ask<M: Manager, R: Runtime>(
    ticket: &Ticket<M, R>,
    node: &Node<M, R>,
    runtime: &R,
    deadline: Instant,
) -> Finding {
    let options = GetOptions::new().deadline(deadline).check(Check::Never);
    let mut pooled = match node.pool.get_with(options).await {
        Ok(pooled) => pooled,
        Err(error) => {
            return match error.kind() {
                ErrorKind::Timeout(Stage::Wait) | ErrorKind::QueueFull | ErrorKind::Suspended => {
                    Finding::Busy
                }
                _ => Finding::Answer(Report::down(Failure::Connect), Duration::ZERO),
            };
        }
    };
    let started = runtime.now();
    let report = {
        // Cut off midway, the connection is treated as abandoned.
        let mut scope = pooled.operation();
        let Bound {
            connection, vital, ..
        } = &mut *scope;
        let shared = ticket.shared.upgrade();
        let report = match shared.as_ref().and_then(|shared| shared.ask.as_ref()) {
            Some(ask) => ask(connection).await,
            None => match vital.manager.is_valid(connection).await {
                Ok(()) => Report::up(),
                Err(_) => Report::down(Failure::Other),
            },
        };
        scope.complete();
        report
    };
    if report
        .failure()
        .is_some_and(|failure| failure != Failure::Role)
    {
        pooled.invalidate();
    }
    let took = runtime.now().saturating_duration_since(started);
    Finding::Answer(report, took)
}
