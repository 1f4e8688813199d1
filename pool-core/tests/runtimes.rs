//! Pools, guards and runtimes may end in any order, and threads need no runtime to get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pool_core::testing::{Script, Step};
use pool_core::{ErrorKind, Pool, ResetAt, Stage};
use support::{ms, now, pool, pool_of, pool_with, resetting, settle, take};
use tokio::runtime::{Builder, Runtime};

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    ]
}

/// The fault: the runtime is shut down with live guards. Nothing panics, nothing is lost.
#[test]
fn guards_outlive_their_runtime() {
    for runtime in runtimes() {
        let (script, pool) = pool_of(resetting(ResetAt::Return), 4, |b| b);
        let mut held = runtime.block_on(take(&pool, 4));
        drop(held.pop());
        // Whether it was reset in time is the runtime's affair.
        drop(runtime);
        pool.audit().unwrap();
        drop(held.pop());
        held[0].broken = true;
        drop(held);
        pool.audit().unwrap();
        assert_eq!((pool.state().leased, pool.state().resetting), (0, 0));
        assert_eq!(script.live(), pool.state().idle);
        let next = Builder::new_current_thread().enable_all().build().unwrap();
        next.block_on(async {
            let held = take(&pool, 4).await;
            assert!(script.most_live() <= 4);
            drop(held);
        });
        drop(next);
        drop(pool);
        assert_eq!(script.live(), 0, "the last handle closes what is idle");
    }
}

/// The fault: any drop order of pool, guard, runtime and the manager's own part.
#[test]
fn pool_guard_runtime_and_manager_may_be_dropped_in_any_order() {
    let orders = |n: usize| {
        let mut rest = vec![0, 1, 2, 3];
        let mut order = Vec::new();
        for (radix, left) in [(6, 4), (2, 3), (1, 2), (1, 1)] {
            order.push(rest.remove((n / radix) % left));
        }
        order
    };
    let all: std::collections::HashSet<_> = (0..24).map(orders).collect();
    assert_eq!(all.len(), 24);
    for order in all {
        for runtime in runtimes() {
            let (script, pool) = pool(2);
            let alive = Arc::downgrade(&script);
            let mut held = runtime.block_on(take(&pool, 2));
            held.pop();
            let (mut pool, mut held, mut runtime, mut script) =
                (Some(pool), Some(held), Some(runtime), Some(script));
            for part in &order {
                match part {
                    0 => drop(pool.take()),
                    1 => drop(held.take()),
                    2 => drop(runtime.take()),
                    _ => drop(script.take()),
                }
            }
            assert_eq!(alive.strong_count(), 0, "something is left after {order:?}");
        }
    }
}

/// The fault: a pool is closed while others wait. All are told in one poll.
#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_in_one_poll_that_the_pool_is_closed() {
    let (_, pool) = pool(1);
    let held = pool.get().await.unwrap();
    let mut waiters: Vec<_> = (0..50).map(|_| Box::pin(pool.get())).collect();
    for waiter in &mut waiters {
        assert!(futures_util::poll!(waiter).is_pending());
    }
    let mut close = Box::pin(pool.close(ms(0)));
    let _ = futures_util::poll!(&mut close);
    for waiter in &mut waiters {
        let std::task::Poll::Ready(Err(error)) = futures_util::poll!(waiter) else {
            panic!("a waiter waits for a closed pool")
        };
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(!error.is_retryable());
    }
    drop(held);
    close.await;
}

/// A thread without a runtime waits for what others return, and times out by itself.
#[test]
fn a_plain_thread_gets_what_another_returns() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (_, pool) = pool(1);
    let held = runtime.block_on(pool.get()).unwrap();
    let error = pool.get_blocking(now() + ms(30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Wait));
    let id = held.id;
    let getter = std::thread::spawn({
        let pool = pool.clone();
        move || {
            pool.get_blocking(now() + Duration::from_secs(30))
                .unwrap()
                .id
        }
    });
    while pool.state().waiting == 0 {
        std::thread::yield_now();
    }
    drop(held);
    assert_eq!(getter.join().unwrap(), id);
    pool.audit_quiescent().unwrap();
}

/// Many threads share few connections; the runtime only opens them.
#[test]
fn plain_threads_share_connections_that_the_runtime_opens() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (script, pool) = pool_with(3, |b| b.check(pool_core::Check::Always));
    script.is_valid.otherwise(Step::Yield(2));
    drop(runtime.block_on(pool.get()).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut held = pool.get_blocking(now() + Duration::from_secs(30)).unwrap();
                    held.dirt += 1;
                    assert!(!held.busy);
                }
            });
        }
    });
    assert!(script.most_live() <= 3);
    assert_eq!(pool.statistics().acquired(), 1601);
    pool.audit_quiescent().unwrap();
}

/// A thread without a runtime can open nothing by itself, and is told so at once.
#[test]
fn a_plain_thread_without_any_runtime_is_told_so() {
    let (script, pool) = pool(1);
    let error = pool
        .get_blocking(now() + Duration::from_secs(30))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert_eq!(script.connects(), 0);
    pool.audit_quiescent().unwrap();
}

/// A connect that dies with its runtime frees its slot for the next runtime's.
#[test]
fn a_connect_that_dies_with_its_runtime_frees_its_slot() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    script.connect.then(Step::Hang);
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut getter = Box::pin(pool.get());
            if script.connects() == 0 {
                assert!(futures_util::poll!(&mut getter).is_pending());
                while script.connects() == 0 {
                    tokio::task::yield_now().await;
                }
            } else {
                drop(getter.await.unwrap());
                settle().await;
            }
        });
        drop(runtime);
        assert_eq!(pool.state().connecting, 0);
        pool.audit_quiescent().unwrap();
    }
    assert_eq!((script.connects(), pool.state().idle), (2, 1));
}

/// Progress never needs the maintenance task: the wake-up for free capacity passes from a waiter
/// who leaves to the next.
#[test]
fn the_wake_up_for_a_vacancy_passes_on_when_its_waiter_leaves() {
    struct Flag(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    let [first, second] = runtimes();
    let (script, pool) = pool_with(1, |b| b.acquire_timeout(None));
    let mut held = first.block_on(pool.get()).unwrap();
    let (mut leaver, mut stayer) = (Box::pin(pool.get()), Box::pin(pool.get()));
    let flag = Arc::new(Flag(false.into()));
    first.block_on(async {
        assert!(futures_util::poll!(&mut leaver).is_pending());
        let waker = flag.clone().into();
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(stayer.as_mut().poll(&mut cx).is_pending());
    });
    // And with it the maintenance task.
    drop(first);
    held.broken = true;
    drop(held);
    drop(leaver);
    assert!(
        flag.0.load(std::sync::atomic::Ordering::SeqCst),
        "the second is woken"
    );
    drop(second.block_on(stayer).unwrap());
    assert_eq!(script.connects(), 2);
    pool.audit_quiescent().unwrap();
}
