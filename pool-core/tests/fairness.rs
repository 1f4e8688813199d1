//! Waiting is fair: first come, first served, by direct hand-over.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::poll;
use pool_core::testing::Script;
use pool_core::{Check, Pool};

/// Scenario 1: a holder who gives back and asks again stands behind everybody.
#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order_and_before_one_who_returns_and_asks_again() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(1)
        .check(Check::Never)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for i in 0..100 {
        let (pool, order) = (pool.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let held = pool.get().await.unwrap();
            order.lock().unwrap().push(i);
            drop(held);
        }));
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.state().waiting, 100);
    drop(held);
    assert!(pool.try_get().is_none(), "a newcomer must not overtake");
    let again = pool.get().await.unwrap();
    assert_eq!(order.lock().unwrap().len(), 100);
    drop(again);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(order.lock().unwrap().iter().copied().eq(0..100));
    pool.audit_quiescent().unwrap();
    assert_eq!(script.connects(), 1);
}

/// Scenario 6: a waiter that is woken but never polled again holds nobody up.
#[tokio::test(start_paused = true)]
async fn an_offer_that_is_not_picked_up_goes_to_the_next_within_the_grace() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut absent = Vec::new();
    for _ in 0..1000 {
        let mut future = Box::pin(pool.get());
        assert!(futures_util::poll!(&mut future).is_pending());
        absent.push(future);
    }
    let live = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(held);
    let before = tokio::time::Instant::now();
    live.await.unwrap().unwrap();
    assert!(
        before.elapsed() <= Duration::from_millis(200),
        "{:?}",
        before.elapsed()
    );
    assert!(pool.statistics().revoked >= 1);
    // The first absentee has kept its place: polled again, it is served.
    let first = absent.remove(0);
    drop(first.await.unwrap());
    drop(absent);
    pool.audit_quiescent().unwrap();
}

/// Scenario 5: a waiter that leaves with an offer in hand passes it on.
#[tokio::test(start_paused = true)]
async fn an_offer_to_one_who_leaves_goes_to_the_next() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut first = Box::pin(pool.get());
    let mut second = Box::pin(pool.get());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(held);
    drop(first);
    let std::task::Poll::Ready(Ok(held)) = futures_util::poll!(&mut second) else {
        panic!("the second is served at once")
    };
    drop((second, held));
    pool.audit_quiescent().unwrap();
    assert_eq!((script.connects(), pool.state().idle), (1, 1));
    assert_eq!(pool.statistics().cancelled, 1);
}

/// Scenario 4: leaving the queue leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_thousand_who_leave_the_queue_leave_nothing_behind() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut waiters: Vec<_> = (0..1000).map(|_| Box::pin(pool.get())).collect();
    for waiter in &mut waiters {
        assert!(futures_util::poll!(waiter).is_pending());
    }
    assert_eq!(pool.state().waiting, 1000);
    drop(waiters);
    assert_eq!(pool.state().waiting, 0);
    drop(held);
    assert_eq!(pool.state().idle, 1);
    pool.audit_quiescent().unwrap();
    assert_eq!(pool.statistics().cancelled, 1000);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_only_its_absent_caller_wants_keeps_the_pool_at_rest() {
    let looks = Arc::new(AtomicUsize::new(0));
    let count = looks.clone();
    let pool = Pool::builder(Script::new().manager())
        .max_size(1)
        .on_tick(move |_, _| {
            count.fetch_add(1, Relaxed);
        })
        .build()
        .unwrap();
    let mut get = Box::pin(pool.get());
    assert!(poll!(&mut get).is_pending());
    // A task that spins never lets the paused clock come to this.
    let now = tokio::time::Instant::now();
    tokio::time::sleep_until(now + Duration::from_secs(1)).await;
    let looks = looks.load(Relaxed);
    assert!(looks < 100, "{looks} looks in a second");
    drop(get.await.unwrap());
}
