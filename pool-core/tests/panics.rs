//! A panic in any callback costs that call alone: no poison, no lost capacity, no abort.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pool_core::testing::Step;
use pool_core::{
    Abandoned, AbortHandle, Admission, Check, CloseReason, ConnectContext, ConnectGate, ErrorClass,
    Event, Manager, Observer, Pool, ResetAt, Sample, Verdict,
};
use support::{ms, pass, pool, settle, take};

/// Panics when it comes by the method that was named, so many times as was said.
#[derive(Debug, Default)]
struct Mine(Mutex<(&'static str, usize)>);

impl Mine {
    fn arm(&self, method: &'static str, times: usize) {
        *self.0.lock().unwrap() = (method, times);
    }

    fn step(&self, method: &'static str) {
        let mut mine = self.0.lock().unwrap();
        if mine.0 == method && mine.1 > 0 {
            mine.1 -= 1;
            drop(mine);
            panic!("{method} panics");
        }
    }
}

struct Minefield {
    mine: Arc<Mine>,
    live: Arc<AtomicUsize>,
}

struct Conn {
    mine: Arc<Mine>,
    live: Arc<AtomicUsize>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.live.fetch_sub(1, SeqCst);
        if !std::thread::panicking() {
            self.mine.step("drop of a connection");
        }
    }
}

struct Failure(Arc<Mine>);

impl Drop for Failure {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.step("drop of an error");
        }
    }
}

impl Manager for Minefield {
    type Connection = Conn;
    type Error = Failure;

    async fn connect(&self, context: ConnectContext) -> Result<Conn, Failure> {
        self.mine.step("connect");
        if context.id % 3 == 1 {
            return Err(Failure(self.mine.clone()));
        }
        self.live.fetch_add(1, SeqCst);
        Ok(Conn {
            mine: self.mine.clone(),
            live: self.live.clone(),
        })
    }

    async fn is_valid(&self, _: &mut Conn) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        self.mine.step("is_valid");
        Ok(())
    }

    async fn reset(&self, _: &mut Conn) -> Result<(), Failure> {
        self.mine.step("reset");
        Ok(())
    }

    fn has_broken(&self, _: &mut Conn) -> bool {
        self.mine.step("has_broken");
        false
    }

    fn needs_reset(&self, _: &mut Conn) -> bool {
        self.mine.step("needs_reset");
        true
    }

    fn reset_at(&self) -> ResetAt {
        self.mine.step("reset_at");
        ResetAt::Return
    }

    fn on_abandoned(&self) -> Abandoned {
        self.mine.step("on_abandoned");
        Abandoned::Reset
    }

    fn classify(&self, _: &Failure) -> ErrorClass {
        self.mine.step("classify");
        ErrorClass::Transient
    }

    fn on_remove(&self, _: &mut Conn, _: CloseReason) {
        self.mine.step("on_remove");
    }

    async fn close(&self, connection: Conn, _: CloseReason) {
        self.mine.step("close");
        drop(connection);
    }

    fn abort_handle(&self, _: &Conn) -> Option<AbortHandle> {
        self.mine.step("abort_handle");
        let mine = self.mine.clone();
        Some(AbortHandle::new(move || mine.step("abort")))
    }
}

struct Gate(Arc<Mine>);

impl ConnectGate for Gate {
    fn admit(&self, _: std::time::Instant) -> Admission {
        self.0.step("admit");
        Admission::Go
    }

    fn on_result(&self, _: std::time::Instant, _: Result<(), ErrorClass>) {
        self.0.step("on_result");
    }
}

struct Watcher(Arc<Mine>);

impl Observer for Watcher {
    fn on_event(&self, _: u64, _: &Event) {
        self.0.step("on_event");
    }

    fn on_sample(&self, _: Sample, _: std::time::Duration) {
        self.0.step("on_sample");
    }
}

fn minefield() -> (Arc<Mine>, Arc<AtomicUsize>, Pool<Minefield>) {
    let (mine, live) = (Arc::new(Mine::default()), Arc::new(AtomicUsize::new(0)));
    let [checkout, giving_back, tick, connected] = [(); 4].map(|()| mine.clone());
    let pool = Pool::builder(Minefield {
        mine: mine.clone(),
        live: live.clone(),
    })
    .max_size(3)
    .check(Check::Always)
    .connect_gate(Gate(mine.clone()))
    .observer(Watcher(mine.clone()))
    .after_connect(move |_, _| {
        let connected = connected.clone();
        Box::pin(async move {
            connected.step("after_connect");
            Ok(())
        })
    })
    .on_checkout(move |_, _| {
        checkout.step("on_checkout");
        Verdict::Keep
    })
    .on_return(move |_, _| {
        giving_back.step("on_return");
        Verdict::Keep
    })
    .on_tick(move |_, _| tick.step("on_tick"))
    .build()
    .unwrap();
    (mine, live, pool)
}

/// Does everything that makes the pool call somebody.
async fn exercise(pool: &Pool<Minefield>) {
    let leases = futures_util::future::join_all((0..3).map(|_| pool.get_timeout(ms(2000)))).await;
    let mut leases = leases.into_iter().flatten();
    if let Some(mut lease) = leases.next() {
        drop(lease.operation());
    }
    if let Some(mut lease) = leases.next() {
        lease.invalidate();
    }
    drop(leases);
    pass(ms(300)).await;
    drop(pool.get_timeout(ms(2000)).await);
    pool.clear();
    settle().await;
}

fn is_well(pool: &Pool<Minefield>, live: &AtomicUsize, what: &str) {
    pool.audit_quiescent()
        .unwrap_or_else(|error| panic!("after a panic in {what}: {error}"));
    assert_eq!(
        live.load(SeqCst),
        pool.state().size,
        "after a panic in {what}"
    );
}

/// Scenario 11: each callback panics in turn, once and three times.
#[tokio::test(start_paused = true)]
async fn a_panic_in_any_callback_costs_that_call_alone() {
    const METHODS: [&str; 18] = [
        "connect",
        "is_valid",
        "reset",
        "has_broken",
        "needs_reset",
        "on_abandoned",
        "classify",
        "on_remove",
        "close",
        "abort_handle",
        "admit",
        "on_result",
        "on_event",
        "on_sample",
        "after_connect",
        "on_checkout",
        "on_return",
        "on_tick",
    ];
    for method in METHODS {
        for times in [1, 3] {
            let (mine, live, pool) = minefield();
            mine.arm(method, times);
            for _ in 0..4 {
                exercise(&pool).await;
            }
            let unhit = mine.0.lock().unwrap().1;
            assert_eq!(unhit, 0, "{method} was called {times} times");
            let panics = pool.statistics().panics;
            assert_eq!(
                panics, times as u64,
                "each panic of {method} is counted once"
            );
            drop(take(&pool, 3).await);
            pass(ms(100)).await;
            is_well(&pool, &live, method);
            assert!(pool.close(ms(1000)).await.is_clean());
            assert_eq!(live.load(SeqCst), 0);
        }
    }
}

/// Scenario 11: the drop of a connection is user code too.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_connection_frees_its_slot() {
    let (mine, live, pool) = minefield();
    mine.arm("drop of a connection", 2);
    exercise(&pool).await;
    exercise(&pool).await;
    drop(take(&pool, 3).await);
    pass(ms(100)).await;
    assert_eq!(mine.0.lock().unwrap().1, 0);
    is_well(&pool, &live, "drop of a connection");
}

/// Scenario 11: so is the drop of an error.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_an_error_loses_no_capacity() {
    let (mine, live, pool) = minefield();
    mine.arm("drop of an error", 2);
    for _ in 0..4 {
        exercise(&pool).await;
    }
    drop(take(&pool, 3).await);
    pass(ms(100)).await;
    assert_eq!(mine.0.lock().unwrap().1, 0);
    is_well(&pool, &live, "drop of an error");
}

/// The user's predicate of `retain`.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_predicate_discards_its_connection_alone() {
    let (script, pool) = pool(3);
    drop(take(&pool, 3).await);
    let mut seen = 0;
    pool.retain(|_, _| {
        seen += 1;
        assert!(seen != 2, "the predicate panics");
        Verdict::Keep
    });
    settle().await;
    assert_eq!((seen, pool.state().idle, script.live()), (3, 2, 2));
    assert_eq!(pool.statistics().panics, 1);
    pool.audit_quiescent().unwrap();
}

/// An abort handle that panics does not keep `close` from cutting the others, nor from ending.
#[tokio::test(start_paused = true)]
async fn a_panic_in_an_abort_handle_does_not_stop_the_close() {
    let (mine, live, pool) = minefield();
    let held = take(&pool, 3).await;
    mine.arm("abort", 1);
    let report = pool.close(ms(10)).await;
    assert_eq!(report.outstanding, 3);
    assert_eq!(pool.statistics().panics, 1);
    drop(held);
    settle().await;
    assert_eq!((live.load(SeqCst), pool.state().size), (0, 0));
}

/// Scenario 12: a user's panic costs the connection, as nobody knows in which state it is, and
/// never the slot, nor the process by a second panic.
#[tokio::test(start_paused = true)]
async fn a_guard_dropped_while_unwinding_discards_its_connection() {
    let (script, pool) = pool(1);
    for _ in 0..3 {
        let held = pool.get().await.unwrap();
        script.on_remove.then(Step::Panic);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _held = held;
            panic!("a user's panic");
        }));
        assert!(unwound.is_err());
        settle().await;
        assert_eq!((script.live(), pool.state().size), (0, 0));
        drop(pool.get().await.unwrap());
    }
    assert_eq!(pool.statistics().closed_for(CloseReason::UserPanic), 3);
    pool.audit_quiescent().unwrap();
}
