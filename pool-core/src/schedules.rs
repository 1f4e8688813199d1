//! The pool under the schedules of two or three threads: all of them, or many at random.
//!
//! loom tries all with few preemptions, shuttle thousands at random.
//!
//! What runs is the pool itself, on a runtime whose time stands still and which, for loom, runs no
//! tasks. So nothing but a wake-up can end a wait, and a lost one is a deadlock, which both
//! checkers report. Each connection carries a mark that says whether somebody holds it.

#![expect(clippy::unwrap_used, reason = "this module is a test")]

use std::convert::Infallible;
use std::future::{Future, Pending, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

#[cfg(loom)]
use ::loom::{
    sync::{Condvar, Mutex},
    thread,
};
#[cfg(not(loom))]
use ::shuttle::{
    sync::{Condvar, Mutex},
    thread,
};

use crate::ledger::Wakes;
use crate::runtime::{Runtime, Task, Timer};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use crate::{Check, ConnectContext, ErrorKind, Manager, Pool, Pooled, Verdict};

/// Time stands still, and there is nowhere to spawn.
#[derive(Clone)]
struct Still(Instant);

impl Timer for Still {
    type Sleep = Pending<()>;

    fn now(&self) -> Instant {
        self.0
    }

    fn sleep_until(&self, _: Instant) -> Self::Sleep {
        pending()
    }
}

impl Runtime for Still {
    fn spawn(&self, task: Task) -> Result<(), Task> {
        Err(task)
    }

    fn is_current(&self) -> bool {
        false
    }
}

/// How many connections there are.
#[derive(Clone)]
struct Marks(Arc<AtomicUsize>);

struct Marked {
    held: AtomicBool,
    live: Marks,
}

impl Drop for Marked {
    fn drop(&mut self) {
        self.live.0.fetch_sub(1, Relaxed);
    }
}

impl Marks {
    fn connection(&self) -> Marked {
        self.0.fetch_add(1, Relaxed);
        Marked {
            held: AtomicBool::new(false),
            live: self.clone(),
        }
    }
}

impl Manager for Marks {
    type Connection = Marked;
    type Error = Infallible;

    async fn connect(&self, _: ConnectContext) -> Result<Marked, Infallible> {
        Ok(self.connection())
    }
}

type Stage = Pool<Marks, Still>;

/// A pool of `size` slots in which as many connections are idle.
fn stage(size: usize) -> (Stage, Marks) {
    let marks = Marks(Arc::new(AtomicUsize::new(0)));
    let pool = Pool::builder(marks.clone())
        .runtime(Still(crate::runtime::Tokio::default().now()))
        .max_size(size)
        .check(Check::Never)
        .max_lifetime(None)
        .build()
        .unwrap();
    for _ in 0..size {
        assert!(pool.add(marks.connection()).is_ok());
    }
    (pool, marks)
}

/// Wakes the thread that waits for it.
#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut woken = signal.woken.lock().unwrap();
        while !*woken {
            woken = signal.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Holds a connection for a moment, alone.
fn hold(pooled: &Pooled<Marks, Still>) {
    assert!(!pooled.held.swap(true, Relaxed), "two hold one connection");
    assert!(pooled.held.swap(false, Relaxed));
}

fn take(pool: &Stage) {
    hold(&block_on(pool.get()).unwrap());
}

fn spawn(pool: &Stage, act: impl FnOnce(&Stage) + Send + 'static) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || act(&pool))
}

/// All is well, and every slot can be lent at the same time.
fn settle(pool: &Stage, size: usize) {
    pool.audit().unwrap();
    assert_eq!(pool.state().waiting, 0);
    let held: Vec<_> = (0..size)
        .map(|_| pool.try_get().expect("a connection is missing"))
        .collect();
    held.iter().for_each(hold);
    assert!(pool.try_get().is_none());
}

fn one_parks_while_another_returns() {
    let (pool, _) = stage(1);
    let held = block_on(pool.get()).unwrap();
    let waiter = spawn(&pool, take);
    drop(held);
    waiter.join().unwrap();
    settle(&pool, 1);
}

fn two_arrive_while_two_return() {
    let (pool, _) = stage(2);
    let [a, b] = [(); 2].map(|()| block_on(pool.get()).unwrap());
    let waiters = [(); 2].map(|()| spawn(&pool, take));
    drop(a);
    drop(b);
    for waiter in waiters {
        waiter.join().unwrap();
    }
    settle(&pool, 2);
}

fn two_take_and_return_the_only_one() {
    let (pool, _) = stage(1);
    let others = [(); 2].map(|()| spawn(&pool, take));
    for other in others {
        other.join().unwrap();
    }
    settle(&pool, 1);
}

fn one_leaves_while_it_is_offered_what_another_waits_for() {
    let (pool, _) = stage(1);
    let held = block_on(pool.get()).unwrap();
    let leaver = parked(&pool);
    let waiter = spawn(&pool, take);
    let leaving = thread::spawn(move || drop(leaver));
    drop(held);
    leaving.join().unwrap();
    waiter.join().unwrap();
    settle(&pool, 1);
}

fn the_pool_closes_while_one_returns() {
    let (pool, marks) = stage(2);
    let held = block_on(pool.get()).unwrap();
    let returning = thread::spawn(move || drop(held));
    assert!(pool.core().shut());
    returning.join().unwrap();
    closed(&pool, &marks);
}

fn the_pool_closes_while_one_returns_and_another_waits() {
    let (pool, marks) = stage(1);
    let held = block_on(pool.get()).unwrap();
    let waiter = spawn(&pool, |pool| match block_on(pool.get()) {
        Ok(pooled) => hold(&pooled),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
    });
    let returning = thread::spawn(move || drop(held));
    assert!(pool.core().shut());
    returning.join().unwrap();
    waiter.join().unwrap();
    closed(&pool, &marks);
}

fn maintenance_claims_what_another_takes() {
    let (pool, _) = stage(1);
    let waiter = spawn(&pool, take);
    pool.retain(|connection, _| {
        assert!(
            !connection.held.load(Relaxed),
            "claimed from under a holder"
        );
        Verdict::Keep
    });
    waiter.join().unwrap();
    settle(&pool, 1);
}

fn all_is_cleared_while_one_takes_and_returns() {
    let (pool, marks) = stage(2);
    let held = block_on(pool.get()).unwrap();
    let taker = spawn(&pool, |pool| {
        if let Some(pooled) = pool.try_get() {
            hold(&pooled);
        }
    });
    let returning = thread::spawn(move || drop(held));
    pool.clear();
    taker.join().unwrap();
    returning.join().unwrap();
    pool.audit().unwrap();
    assert!(pool.try_get().is_none(), "one that was cleared is lent");
    assert_eq!(marks.0.load(Relaxed), pool.state().size);
}

fn the_pool_shrinks_while_two_return() {
    let (pool, marks) = stage(2);
    let [a, b] = [(); 2].map(|()| block_on(pool.get()).unwrap());
    let returning = [a, b].map(|held| thread::spawn(move || drop(held)));
    pool.resize(1).unwrap();
    for returning in returning {
        returning.join().unwrap();
    }
    assert_eq!(marks.0.load(Relaxed), 1, "exactly the surplus is closed");
    settle(&pool, 1);
}

fn lending_resumes_while_one_returns_and_another_arrives() {
    let (pool, _) = stage(1);
    let held = block_on(pool.get()).unwrap();
    pool.suspend();
    let waiter = spawn(&pool, take);
    let returning = thread::spawn(move || drop(held));
    pool.resume();
    returning.join().unwrap();
    waiter.join().unwrap();
    settle(&pool, 1);
}

fn a_newcomer_never_overtakes_one_who_waits() {
    let (pool, _) = stage(1);
    let held = block_on(pool.get()).unwrap();
    let mut waiter = parked(&pool);
    let newcomer = spawn(&pool, |pool| assert!(pool.try_get().is_none()));
    drop(held);
    newcomer.join().unwrap();
    assert!(poll_once(&mut waiter).is_ready());
    drop(waiter);
    settle(&pool, 1);
}

fn an_offer_is_revoked_while_its_waiter_comes_and_another_waits() {
    let (pool, _) = stage(1);
    let held = block_on(pool.get()).unwrap();
    let mut absent = parked(&pool);
    let waiter = spawn(&pool, take);
    drop(held);
    let coming = thread::spawn(move || {
        let _ = poll_once(&mut absent);
    });
    // As the tick does once the grace has passed.
    let mut wakes = Wakes::default();
    {
        let core = pool.core();
        let mut ledger = core.ledger.lock();
        ledger.revoke(core.now(), Duration::ZERO, &mut wakes);
        core.settle(&mut ledger);
    }
    wakes.wake();
    coming.join().unwrap();
    waiter.join().unwrap();
    settle(&pool, 1);
}

/// An acquire that waits.
fn parked(pool: &Stage) -> Acquire {
    let pool = pool.clone();
    let mut acquire: Acquire = Box::pin(async move { pool.get().await.ok() });
    assert!(poll_once(&mut acquire).is_pending());
    acquire
}

/// Nothing is left of the pool.
fn closed(pool: &Stage, marks: &Marks) {
    pool.audit().unwrap();
    assert_eq!((pool.state().size, marks.0.load(Relaxed)), (0, 0));
}

type Acquire = Pin<Box<dyn Future<Output = Option<Pooled<Marks, Still>>> + Send>>;

macro_rules! scenarios {
    ($($name:ident)*) => {
        #[cfg(loom)]
        mod loom {
            $(#[test]
            fn $name() {
                let mut model = ::loom::model::Builder::new();
                // The audit alone reads each slot several times.
                model.max_branches = 10_000;
                model.check(super::$name);
            })*
        }

        #[cfg(not(loom))]
        mod shuttle {
            $(#[test]
            fn $name() {
                ::shuttle::check_pct(super::$name, 3000, 3);
            })*
        }
    };
}

scenarios! {
    one_parks_while_another_returns
    two_arrive_while_two_return
    two_take_and_return_the_only_one
    one_leaves_while_it_is_offered_what_another_waits_for
    the_pool_closes_while_one_returns
    the_pool_closes_while_one_returns_and_another_waits
    maintenance_claims_what_another_takes
    all_is_cleared_while_one_takes_and_returns
    the_pool_shrinks_while_two_return
    lending_resumes_while_one_returns_and_another_arrives
    a_newcomer_never_overtakes_one_who_waits
    an_offer_is_revoked_while_its_waiter_comes_and_another_waits
}
