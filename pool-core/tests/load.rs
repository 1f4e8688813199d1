//! What the pool does under load: herds, storms, expiry and saturation.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use pool_core::testing::Step;
use pool_core::{Check, CloseReason, ErrorClass, ErrorKind, Event, Stage};
use support::{Recorder, ms, pass, pool_with, take};
use tokio::time::Instant;

/// Scenario 2: with twenty callers for each connection nobody waits much longer than the others.
#[tokio::test(start_paused = true)]
async fn no_task_starves_when_twenty_share_a_connection() {
    let (_, pool) = pool_with(50, |b| b.check(Check::Never).max_connecting(50));
    let end = Instant::now() + Duration::from_secs(2);
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let asked = Instant::now();
                    let held = pool.get().await.unwrap();
                    waits.push(asked.elapsed());
                    pass(ms(5)).await;
                    drop(held);
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        let of_task = task.await.unwrap();
        assert!(
            of_task.len() >= 15,
            "a task was served {} times",
            of_task.len()
        );
        waits.extend(of_task);
    }
    let mean = waits.iter().sum::<Duration>() / u32::try_from(waits.len()).unwrap();
    let most = waits.iter().max().unwrap();
    assert!(
        *most <= 3 * mean,
        "the longest wait was {most:?}, the mean {mean:?}"
    );
    pool.audit_quiescent().unwrap();
}

/// Scenario 3: each of two returns reaches one of two arrivals, with nobody there to help: the
/// pool has no maintenance task, as there is no runtime.
#[test]
fn two_returns_reach_two_who_arrive_meanwhile() {
    let (_, pool) = pool_with(2, |b| b.check(Check::Never));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut held = runtime.block_on(take(&pool, 2));
    drop(runtime);
    for _ in 0..2000 {
        let barrier = Arc::new(std::sync::Barrier::new(4));
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let (pool, barrier) = (pool.clone(), barrier.clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    pool.get_blocking(support::now() + Duration::from_secs(20))
                        .unwrap()
                })
            })
            .collect();
        let returners: Vec<_> = held
            .drain(..)
            .map(|lease| {
                let barrier = barrier.clone();
                std::thread::spawn(move || {
                    barrier.wait();
                    drop(lease);
                })
            })
            .collect();
        for returner in returners {
            returner.join().unwrap();
        }
        held.extend(getters.into_iter().map(|getter| getter.join().unwrap()));
        pool.audit().unwrap();
    }
}

/// Scenario 13: a connection that is broken on return makes room for whoever waits.
#[tokio::test(start_paused = true)]
async fn every_broken_return_serves_a_waiter_with_a_new_connection() {
    let (script, pool) = pool_with(5, |b| b);
    let users: Vec<_> = (0..10)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let mut held = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                    held.broken = true;
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    assert_eq!(script.connects(), 500, "one connect for each lease");
    assert_eq!(pool.statistics().closed_for(CloseReason::Broken), 500);
    assert!(script.most_live() <= 5);
    pool.audit_quiescent().unwrap();
}

/// Scenario 17: a storm on a cold pool opens no more than are wanted, few at a time.
#[tokio::test(start_paused = true)]
async fn a_storm_on_a_cold_pool_is_served_at_the_pace_of_its_connects() {
    let (script, pool) = pool_with(100, |b| b.check(Check::Never).keepalive(None));
    script.connect.otherwise(Step::Delay(ms(50)));
    let start = Instant::now();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let held = pool.get().await.unwrap();
                pass(ms(5)).await;
                drop(held);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(start.elapsed() <= ms(1000), "{:?}", start.elapsed());
    assert!(
        script.most_connecting() <= 8,
        "{} at once",
        script.most_connecting()
    );
    assert!(script.connects() <= 100);
    pass(ms(500)).await;
    let connects = script.connects();
    for _ in 0..100 {
        let users = (0..5).map(|_| async { drop(pool.get().await.unwrap()) });
        futures_util::future::join_all(users).await;
        pass(ms(10)).await;
    }
    assert_eq!(script.connects(), connects, "five users need no more");
    pool.audit_quiescent().unwrap();
}

/// Scenario 18, its part without a breaker: 500 callers a second meet a server that is down for a
/// minute at the pool's own pace, and the pool is full again soon after.
#[tokio::test(start_paused = true)]
async fn a_minute_of_outage_is_met_at_the_pace_of_one() {
    let (script, pool) = pool_with(16, |b| b.check(Check::Never));
    script.connect.otherwise(Step::Fail(ErrorClass::Transient));
    let mut callers = Vec::new();
    for _ in 0..30_000 {
        let pool = pool.clone();
        callers.push(tokio::spawn(async move {
            pool.get_timeout(ms(100)).await.map(drop)
        }));
        pass(ms(2)).await;
    }
    for caller in callers.drain(..) {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect));
        assert_eq!(error.connect_error_class(), Some(ErrorClass::Transient));
    }
    assert!(
        script.connects() <= 6 * 61,
        "{} attempts in a minute",
        script.connects()
    );
    script.connect.otherwise(Step::Ok);
    let back = Instant::now();
    let held = futures_util::future::try_join_all((0..16).map(|_| pool.get()))
        .await
        .unwrap();
    assert!(back.elapsed() <= ms(500), "{:?}", back.elapsed());
    assert_eq!(held.len(), 16);
    drop(held);
    pool.audit_quiescent().unwrap();
}

/// Scenario 19: connections of one age do not end together.
#[tokio::test(start_paused = true)]
async fn connections_born_together_expire_apart() {
    let recorder = Recorder::default();
    let (_, pool) = pool_with(400, |b| {
        b.observer(recorder.clone())
            .idle_timeout(None)
            .keepalive(None)
            .max_connecting(400)
    });
    drop(take(&pool, 400).await);
    let expired = || {
        recorder.count(|e| {
            matches!(
                e,
                Event::Closed {
                    reason: CloseReason::Expired,
                    ..
                }
            )
        })
    };
    let mut before = Vec::new();
    for _ in 0..190 {
        before.push(expired());
        pass(Duration::from_secs(10)).await;
        let retired = expired() - before.last().unwrap();
        assert!(retired <= 60, "{retired} of 400 were retired within 10 s");
    }
    assert_eq!(expired(), 400);
    let early = before[1600 / 10];
    assert_eq!(
        early, 0,
        "nothing expires before nine tenths of its lifetime"
    );
    pool.audit_quiescent().unwrap();
}

/// Scenario 22: the idle minimum is not overshot by one user of slow connects.
#[tokio::test(start_paused = true)]
async fn one_sequential_user_never_causes_more_than_one_beyond_the_minimum() {
    let (script, pool) = pool_with(10, |b| b.min_idle(2).keepalive(None));
    script.connect.otherwise(Step::Delay(ms(300)));
    for _ in 0..100 {
        let held = pool.get().await.unwrap();
        pass(ms(70)).await;
        drop(held);
        pass(ms(30)).await;
    }
    assert!(script.connects() <= 3, "{} connects", script.connects());
    assert!(script.most_live() <= 3);
    pool.audit_quiescent().unwrap();
}

/// Scenario 29, its part without an overload discipline: overload costs no throughput, and the
/// timeouts end with it.
#[tokio::test(start_paused = true)]
async fn timeouts_stop_when_the_load_is_within_capacity_again() {
    let (_, pool) = pool_with(10, |b| b.max_connecting(10).check(Check::Never));
    let (served, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let arrive = |every: Duration, span: Duration| {
        let (pool, served, late) = (pool.clone(), served.clone(), late.clone());
        async move {
            let end = Instant::now() + span;
            while Instant::now() < end {
                let (pool, served, late) = (pool.clone(), served.clone(), late.clone());
                tokio::spawn(async move {
                    let Ok(held) = pool.get_timeout(Duration::from_secs(3)).await else {
                        late.fetch_add(1, SeqCst);
                        return;
                    };
                    pass(ms(1000)).await;
                    served.fetch_add(1, SeqCst);
                    drop(held);
                });
                pass(every).await;
            }
        }
    };
    arrive(ms(1000) / 12, Duration::from_secs(60)).await;
    assert!(late.load(SeqCst) > 0, "the pool is overloaded");
    let done = served.load(SeqCst);
    assert!(
        done >= 560,
        "{done} were served in a minute at a capacity of 600"
    );
    arrive(ms(110), Duration::from_secs(30)).await;
    let before = late.load(SeqCst);
    arrive(ms(100), Duration::from_secs(30)).await;
    assert_eq!(
        late.load(SeqCst),
        before,
        "nobody is late at the capacity itself"
    );
    pass(Duration::from_secs(5)).await;
    pool.audit_quiescent().unwrap();
}

/// Bounded queue: beyond it callers are refused at once, whatever the load.
#[tokio::test(start_paused = true)]
async fn overload_is_refused_at_once_beyond_the_queue_and_costs_no_goodput() {
    let (_, pool) = pool_with(4, |b| b.max_waiters(20).check(Check::Never));
    let mut tasks = Vec::new();
    for _ in 0..1000 {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            let asked = Instant::now();
            match pool.get_timeout(ms(1000)).await {
                Ok(held) => {
                    pass(ms(40)).await;
                    drop(held);
                    true
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::QueueFull);
                    assert!(error.is_retryable());
                    assert_eq!(asked.elapsed(), Duration::ZERO);
                    assert!(pool.state().waiting <= 20);
                    false
                }
            }
        }));
        // Ten times what four connections can do in 40 ms each.
        pass(ms(1)).await;
    }
    let mut served = 0;
    for task in tasks {
        served += u32::from(task.await.unwrap());
    }
    // 100 in the second of arrivals, and those who waited at its end.
    assert!((115..=126).contains(&served), "{served} were served");
    pool.audit_quiescent().unwrap();
}
