//! The invariants of the contract, each by a test of its number. Number 3 and 6 stand in
//! `deadlines.rs`, number 5 in `hooks.rs`; number 8 is the breaker's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pool_core::testing::Step;
use pool_core::{Check, CloseReason, ErrorClass};
use support::{Dice, ScriptedPool, ms, pass, pool, pool_with, settle, take};

/// Callers who come, go and leave at random, each under the eyes of `watch`.
async fn traffic(pool: &ScriptedPool, seed: u64, mut watch: impl FnMut(&ScriptedPool)) {
    let holders = Arc::new(Mutex::new(HashSet::new()));
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let (pool, holders) = (pool.clone(), holders.clone());
            let mut dice = Dice(seed + i);
            tokio::spawn(async move {
                for _ in 0..30 {
                    pass(ms(dice.below(10))).await;
                    let time = ms(1 + dice.below(30));
                    let patience = ms(dice.below(40));
                    let get = tokio::time::timeout(patience, pool.get_timeout(time));
                    let Ok(Ok(mut held)) = get.await else {
                        continue;
                    };
                    assert!(
                        !held.broken && !held.busy,
                        "a connection known to be unfit is lent"
                    );
                    let id = held.id;
                    assert!(
                        holders.lock().unwrap().insert(id),
                        "two hold one connection"
                    );
                    pass(ms(dice.below(8))).await;
                    holders.lock().unwrap().remove(&id);
                    held.broken = dice.below(10) == 0;
                }
            })
        })
        .collect();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        pass(ms(1)).await;
        watch(pool);
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn invariant_1_the_parts_make_up_the_size_which_keeps_the_maximum_and_the_target() {
    let (script, pool) = pool_with(6, |b| b.check(Check::Always));
    script.connect.otherwise(Step::Delay(ms(3)));
    script.is_valid.otherwise(Step::Delay(ms(1)));
    script.close.otherwise(Step::Delay(ms(2)));
    let mut ticks = 0;
    traffic(&pool, 1, |pool| {
        ticks += 1;
        let s = pool.state();
        let parts = s.idle + s.leased + s.connecting + s.checking + s.resetting + s.closing;
        assert_eq!(parts, s.size, "{s:?}");
        assert!(s.size <= 6, "{s:?}");
        pool.audit().unwrap();
    })
    .await;
    assert!(ticks > 100);
    assert!(script.most_live() <= 6);
    let held = take(&pool, 6).await;
    pool.resize(2).unwrap();
    drop(held);
    pass(ms(10)).await;
    assert!(
        pool.state().size <= 2,
        "the target holds once the returns are in"
    );
    pool.audit_quiescent().unwrap();
}

/// By the books: whatever became of the acquires, every slot can be leased again.
#[tokio::test(start_paused = true)]
async fn invariant_2_every_slot_comes_back_once_on_every_path() {
    let (script, pool) = pool_with(3, |b| b.check(Check::Always).connect_timeout(ms(50)));
    for (connect, check) in [
        (Step::Ok, Step::Ok),
        (
            Step::Fail(ErrorClass::Transient),
            Step::Fail(ErrorClass::Broken),
        ),
        (Step::Hang, Step::Hang),
        (Step::Panic, Step::Panic),
        (Step::Yield(2), Step::Yield(2)),
    ] {
        for polls in 0..8 {
            script.connect.otherwise(connect);
            script.is_valid.otherwise(check);
            let mut getters: Vec<_> = (0..5).map(|_| Box::pin(pool.get_timeout(ms(30)))).collect();
            for _ in 0..polls {
                for getter in &mut getters {
                    // One that has ended must not be polled again; a fresh one takes its place.
                    if let std::task::Poll::Ready(result) = futures_util::poll!(&mut *getter) {
                        drop(result);
                        *getter = Box::pin(pool.get_timeout(ms(30)));
                    }
                }
                tokio::task::yield_now().await;
                pool.audit().unwrap();
            }
            drop(getters);
            script.connect.otherwise(Step::Ok);
            script.is_valid.otherwise(Step::Ok);
            drop(take(&pool, 3).await);
            settle().await;
            pool.audit_quiescent().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn invariant_4_a_connection_has_one_holder_and_none_is_lent_that_is_known_to_be_unfit() {
    let (script, pool) = pool_with(4, |b| b.check(Check::Always).max_lifetime(ms(60)));
    script.is_valid.otherwise(Step::Delay(ms(1)));
    traffic(&pool, 77, |_| ()).await;
    assert!(pool.statistics().closed_for(CloseReason::Broken) > 0);
    assert!(pool.statistics().closed_for(CloseReason::Expired) > 0);
    assert!(script.most_live() <= 4);
    // Each kind of unfit, one by one.
    let unfit = pool.get().await.unwrap().id;
    pool.clear();
    assert_ne!(
        pool.get().await.unwrap().id,
        unfit,
        "of a cleared generation"
    );
    let mut held = pool.get().await.unwrap();
    let unfit = held.id;
    drop(held.operation());
    drop(held);
    assert_ne!(pool.get().await.unwrap().id, unfit, "half used");
    pool.audit_quiescent().unwrap();
    // Cleared, or expired, between the offer and the poll of the one it was made to.
    // (Without `Check::IdleFor` an age is known to the tick's 200 ms only.)
    let (_, pool) = pool_with(4, |b| b.max_lifetime(ms(60)));
    for expire in [false, true] {
        let held = take(&pool, 4).await;
        let old: Vec<_> = held.iter().map(|connection| connection.id).collect();
        let mut waiter = Box::pin(pool.get());
        assert!(futures_util::poll!(&mut waiter).is_pending());
        drop(held);
        if expire {
            tokio::time::advance(ms(60)).await;
        } else {
            pool.clear();
        }
        assert!(
            !old.contains(&waiter.await.unwrap().id),
            "unfit since the offer"
        );
    }
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn invariant_7_nobody_is_overtaken_and_many_who_do_not_come_delay_little() {
    let (_, pool) = pool_with(2, |b| b.check(Check::Never).max_waiters(5000));
    let held = take(&pool, 2).await;
    let mut absent: Vec<_> = (0..3000).map(|_| Box::pin(pool.get())).collect();
    for waiter in &mut absent {
        assert!(futures_util::poll!(waiter).is_pending());
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let live: Vec<_> = (0..50)
        .map(|i| {
            let (pool, order) = (pool.clone(), order.clone());
            tokio::spawn(async move {
                let held = pool.get().await.unwrap();
                order.lock().unwrap().push(i);
                pass(ms(1)).await;
                drop(held);
            })
        })
        .collect();
    settle().await;
    let given = tokio::time::Instant::now();
    drop(held);
    while order.lock().unwrap().is_empty() {
        assert!(given.elapsed() <= ms(200), "grace and 100 ms have passed");
        pool.audit().unwrap();
        pass(ms(1)).await;
    }
    drop(absent);
    for task in live {
        task.await.unwrap();
    }
    assert_eq!(order.lock().unwrap().len(), 50);
    pool.audit_quiescent().unwrap();
}

/// Nothing of the pool is left: no task, no connection, no memory of it.
#[tokio::test(start_paused = true)]
async fn invariant_9_nothing_is_left_after_close_but_what_the_report_names() {
    let (script, pool) = pool_with(5, |b| b.min_idle(2).keepalive(ms(100)));
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let mut held = take(&pool, 4).await;
    script.connect.otherwise(Step::Hang);
    drop(held.split_off(2));
    settle().await;
    assert!(metrics.num_alive_tasks() > before);
    let report = pool.close(ms(50)).await;
    assert_eq!((report.outstanding, report.aborted), (2, 2));
    settle().await;
    assert_eq!(metrics.num_alive_tasks(), before, "no task");
    assert_eq!(script.live(), 2, "but what is held");
    drop(held);
    assert_eq!(
        (script.live(), pool.state().size),
        (0, 0),
        "closed on return"
    );
    assert!(pool.close(ms(0)).await.is_clean());
    drop(pool);
    assert_eq!(Arc::strong_count(&script), 1);
}

/// Scenario 30 is this invariant.
#[tokio::test(start_paused = true)]
async fn invariant_10_the_accounts_balance_at_quiescence() {
    let mut seen = [0; 5];
    for seed in 0..20 {
        let (script, pool) = pool_with(3, |b| b.max_waiters(12).connect_timeout(ms(20)));
        for _ in 0..10 {
            let fail = Step::Fail(ErrorClass::Transient);
            script
                .connect
                .then(fail)
                .then(Step::Delay(ms(5)))
                .then(Step::Hang)
                .then(Step::Ok);
        }
        traffic(&pool, seed * 100, |pool| {
            let s = pool.statistics();
            let ended = s.direct + s.waited + s.timed_out + s.cancelled + s.failed;
            assert!(ended <= s.started, "{s:?}");
            assert!(s.closed() <= s.created, "{s:?}");
        })
        .await;
        pass(ms(100)).await;
        pool.audit_quiescent().unwrap();
        let s = pool.statistics();
        let ends = [s.direct, s.waited, s.timed_out, s.cancelled, s.failed];
        for (seen, more) in seen.iter_mut().zip(ends) {
            *seen += more;
        }
        let by_reason: u64 = CloseReason::ALL.iter().map(|r| s.closed_for(*r)).sum();
        assert_eq!(s.created - by_reason, script.live() as u64);
        assert_eq!(s.connects, script.connects());
    }
    assert!(
        seen.iter().all(|ends| *ends > 0),
        "every end was tried: {seen:?}"
    );
}

/// A jump of the clock, as after a suspended process, closes no more than a few at a time.
#[tokio::test(start_paused = true)]
async fn invariant_11_a_jump_of_the_clock_never_causes_a_mass_close() {
    let (script, pool) = pool(100);
    drop(take(&pool, 100).await);
    settle().await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    let mut live = script.live();
    for _ in 0..300 {
        pass(ms(100)).await;
        let now = script.live();
        assert!(
            live - now <= 10,
            "{} of {live} were closed in one tick",
            live - now
        );
        live = now;
    }
    pool.audit_quiescent().unwrap();
}
