//! Random operations on a pool and on a naive one give the same.
//!
//! The naive one is a line of waiters, and a place for each connection. After each step both agree
//! and the books balance.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::poll;
use pool_core::{
    Admission, Check, CloseReason, ConnectContext, ConnectGate, Error, ErrorClass, ErrorKind,
    Manager, Pool, Pooled,
};
use proptest::prelude::*;
use support::{ms, settle};
use tokio::sync::oneshot;

/// A server that decides nothing by itself.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Desk>>);

#[derive(Default)]
struct Desk {
    /// Attempts to connect that have no answer yet, oldest first.
    asked: Vec<(ConnectContext, oneshot::Sender<bool>)>,
    removed: Vec<(u64, CloseReason)>,
}

struct Refused;

impl Manager for Server {
    type Connection = u64;
    type Error = Refused;

    async fn connect(&self, context: ConnectContext) -> Result<u64, Refused> {
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().asked.push((context, answer));
        match answered.await {
            Ok(true) => Ok(context.id),
            _ => Err(Refused),
        }
    }

    fn on_remove(&self, connection: &mut u64, reason: CloseReason) {
        self.0.lock().unwrap().removed.push((*connection, reason));
    }
}

struct Open;

impl ConnectGate for Open {
    fn admit(&self, _: Instant) -> Admission {
        Admission::Go
    }

    fn on_result(&self, _: Instant, _: Result<(), ErrorClass>) {}
}

#[derive(Debug, Clone)]
enum Op {
    Get,
    TryGet,
    Poll(usize),
    Cancel(usize),
    Return(usize),
    Invalidate(usize),
    Connect(bool),
    Resize(usize),
    Clear,
    Suspend,
    Resume,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Get),
        1 => Just(Op::TryGet),
        4 => any::<usize>().prop_map(Op::Poll),
        2 => any::<usize>().prop_map(Op::Cancel),
        4 => any::<usize>().prop_map(Op::Return),
        1 => any::<usize>().prop_map(Op::Invalidate),
        5 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(Op::Connect),
        1 => (0..5usize).prop_map(Op::Resize),
        1 => Just(Op::Clear),
        1 => Just(Op::Suspend),
        2 => Just(Op::Resume),
        1 => (1..4u64).prop_map(|tens| Op::Pass(tens * 100)),
    ]
}

type Get = Pin<Box<dyn Future<Output = Result<Pooled<Server>, Error<Refused>>>>>;

/// One who has asked and has no answer yet.
struct Caller {
    get: Get,
    number: usize,
    deadline: u64,
}

/// What the naive pool knows of one who has asked.
#[derive(Debug, Clone, PartialEq)]
enum Turn {
    Waiting,
    Offered(u64),
}

/// The naive pool.
#[derive(Default)]
struct Model {
    target: usize,
    suspended: bool,
    generation: u64,
    /// The generation of each connection.
    open: BTreeMap<u64, u64>,
    idle: BTreeSet<u64>,
    /// In the order in which they are served.
    line: Vec<(usize, Turn)>,
    connecting: Vec<(u64, u64)>,
    /// Those that were idle when some idle one was offered.
    any: BTreeSet<u64>,
    gone: usize,
    direct: u64,
    waited: u64,
    cancelled: u64,
    timed_out: u64,
    failed: u64,
    started: u64,
}

impl Model {
    fn size(&self) -> usize {
        self.open.len() + self.connecting.len()
    }

    fn stale(&self, connection: u64) -> bool {
        self.open[&connection] != self.generation
    }

    fn unserved(&self) -> usize {
        self.line
            .iter()
            .filter(|(_, turn)| *turn == Turn::Waiting)
            .count()
    }

    fn close(&mut self, connection: u64) {
        self.open.remove(&connection);
        self.idle.remove(&connection);
        self.gone += 1;
    }

    /// Somebody is done with a connection.
    fn give(&mut self, connection: u64) {
        if self.size() > self.target {
            return self.close(connection);
        }
        let first = self
            .line
            .iter_mut()
            .find(|(_, turn)| *turn == Turn::Waiting);
        match first {
            Some((_, turn)) if !self.suspended => *turn = Turn::Offered(connection),
            _ => {
                self.idle.insert(connection);
            }
        }
    }

    /// Which of the idle ones was offered is not promised: the other is in this one's place.
    fn exchange(&mut self, lent: u64, offered: u64) {
        if lent == offered {
            return;
        }
        assert!(
            self.any.contains(&lent) && self.any.contains(&offered),
            "not what was returned"
        );
        if self.idle.remove(&lent) {
            self.idle.insert(offered);
            return;
        }
        let other = self
            .line
            .iter_mut()
            .find(|(_, turn)| *turn == Turn::Offered(lent));
        other.expect("it is idle or offered").1 = Turn::Offered(offered);
    }

    fn serve(&mut self) {
        while !self.suspended && self.unserved() > 0 {
            let Some(connection) = self.idle.pop_first() else {
                break;
            };
            self.any
                .extend(self.idle.iter().copied().chain([connection]));
            self.give(connection);
        }
    }

    /// How many attempts to connect there are to be.
    fn wanted(&self) -> usize {
        if self.suspended {
            return self.connecting.len();
        }
        let room = self.target.saturating_sub(self.open.len());
        self.unserved()
            .min(room)
            .min(CONNECTING)
            .max(self.connecting.len())
    }
}

const SIZE: usize = 3;
const CONNECTING: usize = 2;
const WAITERS: usize = 5;
const BUDGET: u64 = 750;

/// Both pools.
struct Pair {
    pool: Pool<Server>,
    server: Server,
    model: Model,
    callers: Vec<Caller>,
    held: Vec<Pooled<Server>>,
    clock: u64,
}

impl Pair {
    fn new() -> Self {
        let server = Server::default();
        let pool = Pool::builder(server.clone())
            .max_size(SIZE)
            .max_connecting(CONNECTING)
            .max_waiters(WAITERS)
            .acquire_timeout(ms(BUDGET - 25))
            .connect_timeout(Duration::from_secs(1_000_000))
            .handoff_grace(Duration::from_secs(1_000_000))
            .check(Check::Never)
            .keepalive(None)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_gate(Open)
            .build()
            .unwrap();
        let model = Model {
            target: SIZE,
            ..Model::default()
        };
        Self {
            pool,
            server,
            model,
            callers: Vec::new(),
            held: Vec::new(),
            clock: 0,
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Get => self.get().await,
            Op::TryGet => {
                let held = self.pool.try_get();
                let free = self.model.unserved() == 0 && !self.model.suspended;
                let fresh = self.model.idle.iter().any(|id| !self.model.stale(*id));
                assert_eq!(held.is_some(), free && fresh);
                if let Some(held) = held {
                    self.model.started += 1;
                    self.took_idle(held);
                }
            }
            Op::Poll(n) if !self.callers.is_empty() => self.poll(n % self.callers.len()).await,
            // One that was cleared while offered may lie idle until it is looked at; not modelled.
            Op::Cancel(n) if !self.callers.is_empty() && !self.offers_stale() => {
                let caller = self.callers.swap_remove(n % self.callers.len());
                self.model.cancelled += 1;
                drop(caller.get);
                if let Some(Turn::Offered(offered)) = self.leave(caller.number) {
                    let closed = self.gone().find(|id| self.model.open.contains_key(id));
                    let connection = closed.unwrap_or(offered);
                    self.model.exchange(connection, offered);
                    self.model.give(connection);
                }
            }
            Op::Return(n) if !self.held.is_empty() => {
                let held = self.held.swap_remove(n % self.held.len());
                let connection = *held;
                drop(held);
                if self.model.stale(connection) {
                    self.model.close(connection);
                } else {
                    self.model.give(connection);
                }
            }
            Op::Invalidate(n) if !self.held.is_empty() => {
                let mut held = self.held.swap_remove(n % self.held.len());
                held.invalidate();
                self.model.close(*held);
                drop(held);
            }
            Op::Connect(well) => self.answer(well).await,
            Op::Resize(target) => self.resize(target),
            Op::Clear => self.clear(),
            Op::Suspend => {
                self.pool.suspend();
                self.model.suspended = true;
            }
            Op::Resume => {
                self.pool.resume();
                self.model.suspended = false;
                self.model.serve();
            }
            Op::Pass(time) => {
                tokio::time::advance(ms(time)).await;
                self.clock += time;
            }
            _ => {}
        }
        settle().await;
        self.check();
    }

    fn resize(&mut self, target: usize) {
        self.pool.resize(target).unwrap();
        self.learn();
        self.model.target = target;
        let surplus = self.model.size().saturating_sub(target);
        // Which of the idle ones go is not promised.
        let gone: HashSet<_> = self.gone().collect();
        let idle: Vec<_> = self.model.idle.iter().copied().collect();
        let closed: Vec<_> = idle.into_iter().filter(|id| gone.contains(id)).collect();
        assert_eq!(closed.len(), surplus.min(self.model.idle.len()));
        closed.into_iter().for_each(|id| self.model.close(id));
        self.model.serve();
    }

    fn clear(&mut self) {
        self.pool.clear();
        self.learn();
        self.model.generation += 1;
        let idle: Vec<_> = self.model.idle.iter().copied().collect();
        idle.into_iter().for_each(|id| self.model.close(id));
    }

    async fn get(&mut self) {
        let pool = self.pool.clone();
        let number = usize::try_from(self.model.started).unwrap();
        self.model.started += 1;
        let mut get: Get = Box::pin(async move { pool.get().await });
        let deadline = self.clock + BUDGET - 25;
        match poll!(&mut get) {
            Poll::Ready(Ok(held)) => {
                assert!(
                    self.model.unserved() == 0 && !self.model.suspended,
                    "overtook"
                );
                self.took_idle(held);
            }
            Poll::Ready(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::QueueFull);
                assert!(self.model.line.len() >= WAITERS);
                self.model.failed += 1;
            }
            Poll::Pending => {
                let busy = self.model.unserved() > 0 || self.model.suspended;
                assert!(busy || self.model.idle.iter().all(|id| self.model.stale(*id)));
                assert!(self.model.line.len() < WAITERS);
                self.model.line.push((number, Turn::Waiting));
                self.callers.push(Caller {
                    get,
                    number,
                    deadline,
                });
            }
        }
    }

    fn took_idle(&mut self, held: Pooled<Server>) {
        if !self.model.idle.contains(&*held) {
            let idle = self
                .model
                .idle
                .iter()
                .find(|id| self.model.any.contains(id));
            let idle = *idle.expect("none was idle");
            self.model.exchange(*held, idle);
            self.model.idle.remove(&idle);
            self.model.idle.insert(*held);
        }
        assert!(self.model.idle.remove(&*held), "{} was not idle", *held);
        assert!(!self.model.stale(*held), "one that was cleared is lent");
        self.model.direct += 1;
        self.held.push(held);
    }

    async fn poll(&mut self, n: usize) {
        let caller = &mut self.callers[n];
        let (number, late) = (caller.number, self.clock >= caller.deadline);
        let result = poll!(&mut caller.get);
        let place = self
            .model
            .line
            .iter()
            .position(|(known, _)| *known == number)
            .unwrap();
        let turn = self.model.line[place].1.clone();
        match (result, turn) {
            (Poll::Ready(Ok(held)), Turn::Offered(connection)) => {
                if self.model.stale(connection) && self.model.idle.remove(&*held) {
                    self.close_offered(connection);
                } else {
                    self.model.exchange(*held, connection);
                }
                assert!(!self.model.stale(*held), "one that was cleared is lent");
                self.model.waited += 1;
                self.held.push(held);
                self.leave(number);
                self.callers.swap_remove(n);
            }
            (Poll::Ready(Err(error)), turn) => {
                assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error:?}");
                assert!(late, "too early");
                self.leave(number);
                self.callers.swap_remove(n);
                self.model.timed_out += 1;
                if let Turn::Offered(connection) = turn {
                    assert!(self.model.stale(connection), "a good offer was left");
                    self.close_offered(connection);
                }
            }
            (Poll::Pending, Turn::Waiting) => assert!(!late, "too late"),
            // What was offered had been cleared: back to the front of the line.
            (Poll::Pending, Turn::Offered(offered)) if self.model.stale(offered) => {
                self.close_offered(offered);
                self.model.line.remove(place);
                self.model.line.insert(0, (number, Turn::Waiting));
                let fresh = self.model.idle.iter().any(|id| !self.model.stale(*id));
                assert!(
                    self.model.suspended || !fresh,
                    "one waits beside an idle one"
                );
            }
            (Poll::Ready(Ok(_)), Turn::Waiting) => panic!("served out of turn"),
            (Poll::Pending, Turn::Offered(_)) => panic!("did not take what was offered"),
        }
    }

    /// One that was cleared while it was offered has been looked at.
    fn close_offered(&mut self, offered: u64) {
        let closed = self.gone().find(|id| self.model.open.contains_key(id));
        let closed = closed.expect("one that was cleared is kept");
        self.model.exchange(closed, offered);
        self.model.close(closed);
    }

    async fn answer(&mut self, well: bool) {
        let asked = {
            let asked = &mut self.server.0.lock().unwrap().asked;
            (!asked.is_empty()).then(|| asked.remove(0))
        };
        let Some((context, answer)) = asked else {
            return;
        };
        answer.send(well).unwrap();
        let known = (context.id, context.generation);
        self.model.connecting.retain(|other| *other != known);
        if well {
            self.model.open.insert(context.id, context.generation);
            if self.model.stale(context.id) {
                self.model.close(context.id);
            } else {
                self.model.give(context.id);
            }
        }
    }

    fn offers_stale(&self) -> bool {
        let mut line = self.model.line.iter();
        line.any(|(_, turn)| matches!(turn, Turn::Offered(id) if self.model.stale(*id)))
    }

    /// Which of the idle ones were offered shows when the others are closed.
    fn learn(&mut self) {
        let gone: HashSet<_> = self.gone().collect();
        for (_, turn) in &mut self.model.line {
            if let Turn::Offered(offered) = turn {
                if gone.contains(offered) && self.model.any.contains(offered) {
                    let kept = self
                        .model
                        .idle
                        .iter()
                        .find(|id| !gone.contains(id))
                        .copied();
                    let kept = kept.expect("what was offered is closed");
                    self.model.idle.remove(&kept);
                    self.model.idle.insert(*offered);
                    *offered = kept;
                }
            }
        }
    }

    fn leave(&mut self, number: usize) -> Option<Turn> {
        let place = self
            .model
            .line
            .iter()
            .position(|(known, _)| *known == number)?;
        Some(self.model.line.remove(place).1)
    }

    /// The connections that the pool has closed.
    fn gone(&self) -> impl Iterator<Item = u64> + use<> {
        let removed = self.server.0.lock().unwrap().removed.clone();
        removed.into_iter().map(|(id, _)| id)
    }

    fn check(&mut self) {
        self.pool.audit().unwrap();
        let gone: HashSet<_> = self.gone().collect();
        let model = &mut self.model;
        let wanted = model.wanted();
        let asked = &self.server.0.lock().unwrap().asked;
        model.connecting = asked.iter().map(|(c, _)| (c.id, c.generation)).collect();
        assert_eq!(model.connecting.len(), wanted, "attempts to connect");
        let (state, statistics) = (self.pool.state(), self.pool.statistics());
        assert_eq!(state.idle, model.idle.len(), "idle");
        assert_eq!(state.size, model.size(), "size");
        assert_eq!(state.leased, model.open.len() - model.idle.len(), "leased");
        assert_eq!(state.waiting, model.unserved(), "waiting");
        assert_eq!(state.connecting, wanted, "connecting");
        assert_eq!(gone.len(), model.gone, "closed");
        assert_eq!(statistics.closed(), model.gone as u64, "closed");
        let counted = [
            statistics.started,
            statistics.direct,
            statistics.waited,
            statistics.cancelled,
            statistics.timed_out,
            statistics.failed,
        ];
        let expected = [
            model.started,
            model.direct,
            model.waited,
            model.cancelled,
            model.timed_out,
            model.failed,
        ];
        assert_eq!(
            counted, expected,
            "started, direct, waited, cancelled, timed out, failed"
        );
    }

    async fn end(mut self) {
        self.callers.clear();
        self.held.clear();
        let report = self.pool.close(ms(1000)).await;
        assert!(report.is_clean(), "{report}");
        self.pool.audit_quiescent().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_pool_does_what_a_naive_pool_does(
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(async {
            let mut pair = Pair::new();
            for op in ops {
                pair.step(op).await;
            }
            pair.end().await;
        });
    }
}
