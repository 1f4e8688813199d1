//! The assembled machine under random histories: breaker, limits, retries and pool hold together.
//!
//! First anything may happen, and nothing unsafe may: then all heals, and everything must work.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Once};
use std::time::Duration;

use pool_core::ErrorClass;
use pool_core::testing::{Script, Scripted, ScriptedConnection, ScriptedError, Step};
use pool_facade::{CallOptions, Error, ErrorKind, Pool, pool_core, testing};
use proptest::prelude::*;
use support::{ms, pass, settle};
use tokio::task::{JoinHandle, LocalSet};

/// How an operation ends, if it is left alone so long.
#[derive(Debug, Clone, Copy)]
enum End {
    Ok,
    Fail(ErrorClass),
    Hang,
    Panic,
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// A call whose attempts each take `takes` and end like this.
    Call {
        end: End,
        takes: Duration,
        idempotent: bool,
        timeout: Option<Duration>,
        /// Dropped after this time.
        dropped: Option<Duration>,
    },
    /// A connection that is held for so long and comes back broken or not, reported or not.
    Hold {
        time: Duration,
        broken: bool,
        reported: bool,
    },
    Connect(Step),
    Resize(usize),
    Consecutive(Option<u32>),
    Attempts(u32),
    Clear,
    Suspend,
    Resume,
    Reset,
    Pass(Duration),
}

fn class() -> impl Strategy<Value = ErrorClass> {
    prop_oneof![
        3 => Just(ErrorClass::Transient),
        1 => Just(ErrorClass::Permanent),
        2 => Just(ErrorClass::Overload),
        2 => Just(ErrorClass::Broken),
        1 => Just(ErrorClass::WrongRole),
        1 => Just(ErrorClass::Caller),
    ]
}

fn millis(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(Duration::from_millis)
}

fn call() -> impl Strategy<Value = Op> {
    let end = prop_oneof![
        6 => Just(End::Ok),
        5 => class().prop_map(End::Fail),
        1 => Just(End::Hang),
        1 => Just(End::Panic),
    ];
    let optional = || proptest::option::weighted(0.3, millis(300));
    (end, millis(40), any::<bool>(), optional(), optional()).prop_map(
        |(end, takes, idempotent, timeout, dropped)| Op::Call {
            end,
            takes,
            idempotent,
            timeout: timeout.map(|timeout| timeout + ms(1)),
            dropped,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => call(),
        3 => (millis(200), any::<bool>(), any::<bool>())
            .prop_map(|(time, broken, reported)| Op::Hold { time, broken, reported }),
        2 => prop_oneof![
            Just(Step::Ok),
            Just(Step::Hang),
            Just(Step::Panic),
            Just(Step::Delay(ms(20))),
            class().prop_map(Step::Fail),
        ].prop_map(Op::Connect),
        1 => (0_usize..6).prop_map(Op::Resize),
        1 => proptest::option::of(1_u32..10).prop_map(Op::Consecutive),
        1 => (1_u32..5).prop_map(Op::Attempts),
        1 => Just(Op::Clear),
        1 => Just(Op::Suspend),
        2 => Just(Op::Resume),
        1 => Just(Op::Reset),
        4 => millis(400).prop_map(Op::Pass),
    ]
}

/// What the calls of a history have come to, counted by those who made them.
#[derive(Debug, Default)]
struct Tally {
    /// Attempts after the first of a call, as far as calls have ended.
    retries: u64,
    wrong: Vec<String>,
}

struct World {
    script: Arc<Script>,
    pool: Pool<Scripted>,
    tally: Rc<RefCell<Tally>>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    fn new() -> Self {
        let script = Script::new();
        let pool = Pool::builder()
            .node("db", script.manager())
            .max_size(3)
            .configure(|config| config.pool.connect_timeout = ms(500))
            .build()
            .unwrap();
        Self {
            script,
            pool,
            tally: Rc::default(),
            tasks: Vec::new(),
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Call { dropped, .. } => {
                let call = make_call(self.pool.clone(), self.tally.clone(), op);
                self.tasks.push(tokio::task::spawn_local(async move {
                    match dropped {
                        Some(after) => drop(tokio::time::timeout(after, call).await),
                        None => call.await,
                    }
                }));
            }
            Op::Hold {
                time,
                broken,
                reported,
            } => {
                let (pool, tally) = (self.pool.clone(), self.tally.clone());
                self.tasks.push(tokio::task::spawn_local(async move {
                    let options = CallOptions::new().timeout(ms(200));
                    let Ok(mut guard) = pool.get_with(options).await else {
                        return;
                    };
                    if guard.busy || guard.broken {
                        tally
                            .borrow_mut()
                            .wrong
                            .push("lent although not fit".into());
                    }
                    pass(time).await;
                    guard.broken = broken;
                    if reported {
                        guard.report(pool_facade::Outcome::Success);
                    }
                }));
            }
            Op::Connect(step) => {
                self.script.connect.otherwise(step);
            }
            Op::Resize(size) => {
                let resized = self.pool.resize(size);
                assert_eq!(resized.is_err(), size == 0, "a pool of none is no pool");
            }
            Op::Consecutive(failures) => self
                .pool
                .reconfigure(|config| config.breaker.consecutive = failures)
                .unwrap(),
            Op::Attempts(most) => self
                .pool
                .reconfigure(|config| config.retry.max_attempts = most)
                .unwrap(),
            Op::Clear => self.pool.clear(),
            Op::Suspend => self.pool.suspend(),
            Op::Resume => self.pool.resume(),
            Op::Reset => self.pool.reset_breakers(),
            Op::Pass(time) => pass(time).await,
        }
        settle().await;
        self.check();
    }

    /// What must hold at any time.
    fn check(&self) {
        self.pool.audit().unwrap();
        let tally = self.tally.borrow();
        assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
        assert!(
            self.script.most_live() <= 5,
            "the largest size there ever was"
        );
        let statistics = self.pool.statistics();
        let deposits = statistics.nodes[0].breaker.totals.successes / 10 + 1;
        assert!(
            statistics.retries.attempts <= 10 + deposits,
            "retries beyond the budget: {statistics:?}"
        );
    }

    /// Everything is well again, and must work.
    async fn heal(mut self) {
        self.script.connect.otherwise(Step::Ok);
        self.pool.resume();
        pass(Duration::from_secs(1)).await;
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
        self.pool
            .reconfigure(|config| config.breaker.consecutive = Some(5))
            .unwrap();
        settle().await;
        self.check();
        self.pool.audit_quiescent().unwrap();
        assert!(self.pool.statistics().retries.attempts >= self.tally.borrow().retries);
        // With continuing calls every breaker comes back to closed, whatever it was.
        let mut served_in_a_row = 0;
        for _ in 0..2_000 {
            let served = self.pool.run(async |_| Ok(())).await.is_ok();
            served_in_a_row = if served { served_in_a_row + 1 } else { 0 };
            pass(ms(10)).await;
        }
        assert!(
            served_in_a_row >= 500,
            "only {served_in_a_row} in a row: {:?}",
            self.pool
        );
        let state = self.pool.state();
        assert_eq!(state.nodes[0].breaker, breaker::State::Closed);
        assert!(self.pool.ready().ready);
        // All of its capacity is there.
        let size = state.nodes[0].pool.target;
        let mut held = Vec::new();
        for _ in 0..size {
            held.push(self.pool.get().await.unwrap());
        }
        assert_eq!(self.script.live(), size);
        drop(held);
        self.pool.audit_quiescent().unwrap();
        assert!(self.pool.close(ms(100)).await.is_clean());
        assert_eq!(self.script.live(), 0);
    }
}

/// What an operation has seen.
#[derive(Debug, Default)]
struct Seen {
    attempts: AtomicU32,
    open: AtomicBool,
    unfit: AtomicBool,
}

/// Makes a call, and checks what it promises to those who make it.
async fn make_call(pool: Pool<Scripted>, tally: Rc<RefCell<Tally>>, op: Op) {
    let Op::Call {
        end,
        takes,
        idempotent,
        timeout,
        ..
    } = op
    else {
        unreachable!("only calls are made");
    };
    let mut options = CallOptions::new();
    if idempotent {
        options = options.idempotent();
    }
    if let Some(timeout) = timeout {
        options = options.timeout(timeout);
    }
    let (seen, started) = (Seen::default(), tokio::time::Instant::now());
    let call = pool.run_with(options, async |connection: &mut ScriptedConnection| {
        seen.attempts.fetch_add(1, SeqCst);
        let open = pool.state().nodes[0].breaker == breaker::State::Open;
        seen.open.fetch_or(open, SeqCst);
        seen.unfit
            .fetch_or(connection.busy || connection.broken, SeqCst);
        connection.busy = true;
        pass(takes).await;
        let result = operate(connection, end).await;
        connection.busy = false;
        result
    });
    let result = call.await;
    let attempts = seen.attempts.into_inner();
    let mut tally = tally.borrow_mut();
    let mut wrong = |what: &str| tally.wrong.push(format!("{what}: {op:?}: {result:?}"));
    if seen.open.into_inner() {
        wrong("run while the breaker was open");
    }
    if seen.unfit.into_inner() {
        wrong("lent although not fit");
    }
    let repeatable = idempotent || matches!(end, End::Fail(ErrorClass::WrongRole));
    if attempts > 1 && !repeatable {
        wrong("tried again");
    }
    if timeout.is_some_and(|timeout| started.elapsed() > timeout) {
        wrong("out of time");
    }
    if let Some(what) = contradiction(&result, end, attempts) {
        wrong(what);
    }
    tally.retries += u64::from(attempts.saturating_sub(1));
}

async fn operate(connection: &mut ScriptedConnection, end: End) -> Result<(), ScriptedError> {
    match end {
        End::Ok => Ok(()),
        End::Hang => std::future::pending().await,
        End::Panic => panic!("a user's panic"),
        End::Fail(class) => {
            connection.broken = class == ErrorClass::Broken;
            Err(ScriptedError::new(class))
        }
    }
}

/// Whether a result is not what the operation has said.
fn contradiction(
    result: &Result<(), Error<ScriptedError>>,
    end: End,
    attempts: u32,
) -> Option<&'static str> {
    let error = match (result, end) {
        (Ok(()), End::Ok) => return None,
        (Ok(()), _) => return Some("a success"),
        (Err(error), _) => error,
    };
    if error.attempts() != attempts {
        return Some("a wrong count");
    }
    match (error.kind(), end) {
        (ErrorKind::Operation, End::Fail(class)) => {
            let own = error.operation() == Some(&ScriptedError::new(class));
            (!own || error.class() != Some(class)).then_some("another's error")
        }
        (ErrorKind::Operation, _) => Some("an error out of nothing"),
        (ErrorKind::OperationTimeout, _) => None,
        _ if attempts == 0 => None,
        // Refused after an attempt that failed: on the way to the next.
        _ => matches!(end, End::Ok | End::Hang | End::Panic).then_some("a late refusal"),
    }
}

fn play(seed: u64, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    testing::seed(seed);
    LocalSet::new().block_on(&runtime, async move {
        let mut world = World::new();
        for op in ops {
            world.step(op).await;
        }
        world.heal().await;
    });
}

/// Keeps the panics that the histories ask for out of the output.
fn expect_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<&str>();
        if !text.is_some_and(|text| ["a user's panic", "scripted panic"].contains(text)) {
            report(info);
        }
    }));
}

static EXPECTED: Once = Once::new();

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_are_safe_and_heal(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        EXPECTED.call_once(expect_panics);
        play(seed, ops);
    }
}
