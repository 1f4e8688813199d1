//! Handles on a running group.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::runtime::task::{Command, Probing, Shared, Task};
use crate::{Event, Group, Outcome, Report, Status, TargetId};

/// Probes the targets of a group, each by one call of `probe`, until the runner is stopped or
/// dropped.
///
/// # Panics
/// Outside of a tokio runtime with time.
pub fn spawn<K, R, F, P>(group: Group<K, R>, probe: F) -> Runner<K, R>
where
    K: Clone + Send + Sync + 'static,
    R: Copy + Eq + Send + Sync + 'static,
    F: Fn(K) -> P + Send + Sync + 'static,
    P: Future<Output = Report<R>> + Send + 'static,
{
    let probe = Arc::new(probe);
    let one = move |keys: Vec<K>| {
        let probe = Arc::clone(&probe);
        async move {
            let mut reports = Vec::with_capacity(keys.len());
            for key in keys {
                reports.push(probe(key).await);
            }
            reports
        }
    };
    Runner::start(group, Probing::single(one))
}

/// As [`spawn`], with one call for many targets: `probe` gets their keys and returns a report for
/// each, in the same order. Targets without a report count as failed.
///
/// # Panics
/// Outside of a tokio runtime with time.
pub fn spawn_batches<K, R, F, P>(group: Group<K, R>, probe: F) -> Runner<K, R>
where
    K: Clone + Send + Sync + 'static,
    R: Copy + Eq + Send + Sync + 'static,
    F: Fn(Vec<K>) -> P + Send + Sync + 'static,
    P: Future<Output = Vec<Report<R>>> + Send + 'static,
{
    Runner::start(group, Probing::batches(probe))
}

/// A group whose probes are running. Dropping it ends them at once; [`Runner::stop`] lets those in
/// flight finish.
#[derive(Debug)]
pub struct Runner<K, R = ()> {
    commands: mpsc::Sender<Command<K>>,
    snapshots: watch::Receiver<Arc<Snapshot<K, R>>>,
    events: broadcast::WeakSender<Event<R>>,
    lost: AtomicU64,
    task: AbortOnDrop<Group<K, R>>,
}

impl<K, R> Runner<K, R>
where
    K: Clone + Send + Sync + 'static,
    R: Copy + Eq + Send + Sync + 'static,
{
    fn start(group: Group<K, R>, probing: Probing<K, R>) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (publisher, snapshots) = watch::channel(Arc::new(Snapshot::of(&group)));
        let events = broadcast::Sender::new(EVENTS);
        let weak = events.downgrade();
        let shared = Shared {
            publisher,
            events,
            dirty: false,
        };
        let task = tokio::spawn(Task::new(group, probing, shared).run(inbox));
        Self {
            commands,
            snapshots,
            events: weak,
            lost: AtomicU64::new(0),
            task: AbortOnDrop(task),
        }
    }

    /// Tells of a real operation: [`Group::record`]. Never waits: if the task is so far behind that
    /// its inbox is full, the outcome is lost, and counted.
    pub fn record(&self, target: TargetId, outcome: Outcome) {
        if self
            .commands
            .try_send(Command::Record(target, outcome))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Passes a suspicion on: [`Group::on_suspicion`]. Never waits; the next one will do as well.
    pub fn suspect(&self, target: TargetId, phi: f64) {
        if self
            .commands
            .try_send(Command::Suspect(target, phi))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds a target.
    ///
    /// # Errors
    /// If the task has ended, which it does only with the runtime.
    pub async fn insert(&self, key: K) -> Result<TargetId, Stopped> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Insert(key, reply);
        self.commands.send(command).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Removes a target and gives its key back, if it was there.
    ///
    /// # Errors
    /// If the task has ended, which it does only with the runtime.
    pub async fn remove(&self, target: TargetId) -> Result<Option<K>, Stopped> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Remove(target, reply);
        self.commands.send(command).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Starts no more probes, lets those in flight finish, which takes no longer than their
    /// timeout, and gives the group back.
    ///
    /// # Errors
    /// If the task has ended before, which it does only with the runtime.
    pub async fn stop(mut self) -> Result<Group<K, R>, Stopped> {
        self.commands
            .send(Command::Stop)
            .await
            .map_err(|_| Stopped)?;
        (&mut self.task.0).await.map_err(|_| Stopped)
    }

    /// The states as last published.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<K, R>> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// A view of the states that can be waited on.
    #[must_use]
    pub fn watch(&self) -> Watch<K, R> {
        Watch(self.snapshots.clone())
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events<R> {
        Events {
            // A task that has ended has no more to say: a closed channel says that.
            receiver: match self.events.upgrade() {
                Some(events) => events.subscribe(),
                None => broadcast::channel(1).1,
            },
            missed: 0,
        }
    }

    /// How many outcomes and suspicions were lost because the task was behind, or has ended.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What is known of all targets at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot<K, R = ()> {
    /// The targets, in no order that means anything.
    pub targets: Vec<TargetView<K, R>>,
    /// Whether too few are available to be choosy: [`Group::is_panicking`].
    pub panicking: bool,
}

impl<K, R> Snapshot<K, R> {
    /// The targets that work may be sent to.
    pub fn eligible(&self) -> impl Iterator<Item = &TargetView<K, R>> {
        self.targets.iter().filter(|target| target.eligible)
    }
}

impl<K: Clone, R: Copy + Eq> Snapshot<K, R> {
    pub(super) fn of(group: &Group<K, R>) -> Self {
        let view = |(id, key): (TargetId, &K)| {
            Some(TargetView {
                id,
                key: key.clone(),
                status: group.status(id)?,
                ejected_until: group
                    .outlier()
                    .and_then(|outlier| outlier.ejected_until(id)),
                eligible: group.is_eligible(id),
            })
        };
        Self {
            targets: group.targets().filter_map(view).collect(),
            panicking: group.is_panicking(),
        }
    }
}

/// What is known of one target at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetView<K, R = ()> {
    /// Its name in the group.
    pub id: TargetId,
    /// Its key.
    pub key: K,
    /// What the probes say.
    pub status: Status<R>,
    /// Until when it is ejected, if it is.
    pub ejected_until: Option<Instant>,
    /// Whether work may be sent to it.
    pub eligible: bool,
}

/// The states of a running group; each reader has its own.
#[derive(Debug, Clone)]
pub struct Watch<K, R = ()>(watch::Receiver<Arc<Snapshot<K, R>>>);

impl<K, R> Watch<K, R> {
    /// The states as last published.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<K, R>> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits for states that this reader has not seen; `None` after the group has stopped. May be
    /// cancelled.
    pub async fn changed(&mut self) -> Option<Arc<Snapshot<K, R>>> {
        self.0.changed().await.ok()?;
        Some(Arc::clone(&self.0.borrow_and_update()))
    }
}

/// What happens in a running group, in order; each reader has its own.
#[derive(Debug)]
pub struct Events<R = ()> {
    receiver: broadcast::Receiver<Event<R>>,
    missed: u64,
}

impl<R: Clone> Events<R> {
    /// Waits for the next event; `None` after the group has stopped. May be cancelled.
    pub async fn next(&mut self) -> Option<Event<R>> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(broadcast::error::RecvError::Lagged(missed)) => self.missed += missed,
            }
        }
    }

    /// How many events this reader was too slow for; the last 1024 are kept.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

/// The task that runs the probes has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("health probes have stopped")
    }
}

impl Error for Stopped {}

/// The task, which ends with its handle.
#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const COMMANDS: usize = 4096;
const EVENTS: usize = 1024;
