//! The task that owns the group.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};

use crate::runtime::Snapshot;
use crate::runtime::clock::now;
use crate::{
    BatchAction, Event, Failure, Group, GroupAction, Outcome, Report, TargetId, TargetProbe,
};

pub(super) struct Task<K, R> {
    group: Group<K, R>,
    probing: Probing<K, R>,
    shared: Shared<K, R>,
    running: JoinSet<Vec<Report<R>>>,
    /// The probes that each task of `running` does.
    probes: HashMap<Id, Vec<TargetProbe>>,
    buffer: Vec<TargetProbe>,
}

impl<K, R> Task<K, R>
where
    K: Clone + Send + Sync + 'static,
    R: Copy + Eq + Send + Sync + 'static,
{
    pub(super) fn new(group: Group<K, R>, probing: Probing<K, R>, shared: Shared<K, R>) -> Self {
        Self {
            group,
            probing,
            shared,
            running: JoinSet::new(),
            probes: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    /// Runs until told to stop, or until the last handle is gone.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command<K>>) -> Group<K, R> {
        loop {
            let until = self.advance();
            tokio::select! {
                command = inbox.recv() => match command {
                    None | Some(Command::Stop) => break,
                    Some(command) => self.obey(command, now()),
                },
                Some(finished) = self.running.join_next_with_id() => self.finish(finished),
                () = sleep_until(until) => {}
            }
        }
        while let Some(finished) = self.running.join_next_with_id().await {
            self.finish(finished);
        }
        self.publish();
        self.group
    }

    /// Does all that is due and publishes what changed; returns until when to wait.
    fn advance(&mut self) -> Option<Instant> {
        let now = now();
        let until = loop {
            match self.poll(now) {
                BatchAction::Probe => self.launch(),
                BatchAction::Event(event) => self.tell(event),
                BatchAction::WaitUntil(until) => break until,
            }
        };
        self.publish();
        until
    }

    fn poll(&mut self, now: Instant) -> BatchAction<R> {
        if self.probing.batched {
            return self.group.poll_batch(&mut self.buffer, now);
        }
        match self.group.poll(now) {
            GroupAction::Probe(probe) => {
                self.buffer.clear();
                self.buffer.push(probe);
                BatchAction::Probe
            }
            GroupAction::Event(event) => BatchAction::Event(event),
            GroupAction::WaitUntil(until) => BatchAction::WaitUntil(until),
        }
    }

    fn launch(&mut self) {
        let probes = self.buffer.clone();
        let key = |probe: &TargetProbe| self.group.key(probe.target).cloned();
        let keys: Vec<K> = probes.iter().filter_map(key).collect();
        debug_assert_eq!(keys.len(), probes.len(), "only members are probed");
        let Some(deadline) = probes.first().map(|probe| probe.probe.deadline()) else {
            return;
        };
        let call = Arc::clone(&self.probing.call);
        let task = self.running.spawn(async move {
            // The call itself is user code too: it runs, and may panic, in here.
            let reports = async { call(keys).await };
            tokio::time::timeout_at(deadline.into(), reports)
                .await
                .unwrap_or_default()
        });
        self.probes.insert(task.id(), probes);
    }

    fn finish(&mut self, finished: Result<(Id, Vec<Report<R>>), JoinError>) {
        let (id, reports, otherwise) = match finished {
            Ok((id, reports)) => (id, reports, Failure::Other),
            Err(error) => (error.id(), Vec::new(), Failure::Panic),
        };
        let now = now();
        let mut reports = reports.into_iter();
        for probe in self.probes.remove(&id).unwrap_or_default() {
            // A call that was cut at the deadline has no reports; the group knows that it is late.
            let report = reports.next().unwrap_or_else(|| Report::down(otherwise));
            if let Some(event) = self.group.on_result(probe, report, now) {
                self.tell(event);
            }
        }
    }

    fn obey(&mut self, command: Command<K>, now: Instant) {
        match command {
            Command::Record(id, outcome) => {
                if let Some(event) = self.group.record(id, outcome, now) {
                    self.tell(event);
                }
            }
            Command::Suspect(id, phi) => self.group.on_suspicion(id, phi, now),
            Command::Insert(key, reply) => {
                let id = self.group.insert(key, now);
                self.shared.dirty = true;
                if reply.send(id).is_err() {
                    // Whoever wanted the target is gone, and nobody else knows its name.
                    self.group.remove(id);
                }
            }
            Command::Remove(id, reply) => {
                // The key goes to whoever waits for it, if anybody still does.
                drop(reply.send(self.group.remove(id)));
                self.shared.dirty = true;
            }
            Command::Stop => unreachable!("the loop ends at this command"),
        }
    }

    fn tell(&mut self, event: Event<R>) {
        self.shared.dirty = true;
        // No reader is no fault.
        drop(self.shared.events.send(event));
    }

    fn publish(&mut self) {
        if std::mem::take(&mut self.shared.dirty) {
            self.shared
                .publisher
                .send_replace(Arc::new(Snapshot::of(&self.group)));
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

/// The user's function, in one shape for both ways to probe.
pub(super) struct Probing<K, R> {
    call: Arc<dyn Fn(Vec<K>) -> Reports<R> + Send + Sync>,
    batched: bool,
}

type Reports<R> = Pin<Box<dyn Future<Output = Vec<Report<R>>> + Send>>;

impl<K, R> Probing<K, R> {
    pub(super) fn single<F, P>(probe: F) -> Self
    where
        F: Fn(Vec<K>) -> P + Send + Sync + 'static,
        P: Future<Output = Vec<Report<R>>> + Send + 'static,
    {
        Self {
            call: Arc::new(move |keys| Box::pin(probe(keys))),
            batched: false,
        }
    }

    pub(super) fn batches<F, P>(probe: F) -> Self
    where
        F: Fn(Vec<K>) -> P + Send + Sync + 'static,
        P: Future<Output = Vec<Report<R>>> + Send + 'static,
    {
        Self {
            batched: true,
            ..Self::single(probe)
        }
    }
}

/// Where the task publishes, and whether it should.
pub(super) struct Shared<K, R> {
    pub(super) publisher: watch::Sender<Arc<Snapshot<K, R>>>,
    pub(super) events: broadcast::Sender<Event<R>>,
    pub(super) dirty: bool,
}

pub(super) enum Command<K> {
    Record(TargetId, Outcome),
    Suspect(TargetId, f64),
    Insert(K, oneshot::Sender<TargetId>),
    Remove(TargetId, oneshot::Sender<Option<K>>),
    Stop,
}
