//! Sizes, ages and ends.

#![expect(
    clippy::disallowed_methods,
    reason = "time is paused: a sleep is a step of the clock"
)]

use std::time::Duration;

use pool_core::testing::{Script, Step};
use pool_core::{Abandoned, Check, CloseReason, ErrorKind, Pool, ResetAt, Verdict};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Scenario 23: a shrink is a bound from the start, and a shrink and growth is no licence.
#[tokio::test(start_paused = true)]
async fn resizing_is_exact() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(16)
        .build()
        .unwrap();
    pool.resize(4).unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    assert!(pool.get_timeout(ms(10)).await.is_err());
    pool.resize(16).unwrap();
    for _ in 0..12 {
        held.push(pool.get().await.unwrap());
    }
    assert!(pool.get_timeout(ms(10)).await.is_err());
    assert_eq!(script.most_live(), 16);
    pool.resize(4).unwrap();
    drop(held);
    settle().await;
    assert_eq!((pool.state().size, pool.state().idle), (4, 4));
    assert_eq!(pool.statistics().closed_for(CloseReason::Surplus), 12);
    pool.audit_quiescent().unwrap();
}

/// Scenario 24.
#[tokio::test(start_paused = true)]
async fn a_waiter_at_size_zero_is_served_when_the_pool_grows() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(2).build().unwrap();
    pool.resize(0).unwrap();
    assert!(pool.get_timeout(ms(50)).await.is_err());
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;
    pool.resize(1).unwrap();
    waiter.await.unwrap().unwrap();
    assert_eq!(script.connects(), 1);
    pool.audit_quiescent().unwrap();
}

/// Scenario 25: closing with one of each kind.
#[tokio::test(start_paused = true)]
async fn close_ends_everything_in_time_and_reports_what_is_held() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(3).build().unwrap();
    let lent = pool.get().await.unwrap();
    drop(pool.get().await.unwrap());
    script.connect.otherwise(Step::Hang);
    let idle = pool.get().await.unwrap();
    let parked = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop).map_err(|e| e.kind()) }
    });
    settle().await;
    drop(idle);
    settle().await;
    assert_eq!(parked.await.unwrap(), Ok(()));
    let late = tokio::spawn({
        let pool = pool.clone();
        async move {
            let _a = pool.get().await;
            pool.get().await.map(drop).map_err(|e| e.kind())
        }
    });
    settle().await;
    assert_eq!(pool.state().connecting, 1);
    let before = tokio::time::Instant::now();
    let (report, again) = tokio::join!(pool.close(ms(1000)), pool.close(ms(1000)));
    assert!(before.elapsed() <= ms(1100), "{:?}", before.elapsed());
    assert_eq!(report.outstanding, 1);
    assert_eq!(report.aborted + again.aborted, 1);
    assert_eq!(late.await.unwrap(), Err(ErrorKind::Closed));
    assert!(lent.is_cut());
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Closed);
    drop(lent);
    settle().await;
    assert_eq!(script.live(), 0);
    assert_eq!(pool.state().size, 0);
    pool.audit_quiescent().unwrap();
}

/// Scenario 26.
#[tokio::test(start_paused = true)]
async fn a_suspended_pool_lends_nothing_and_resumes_in_order() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    drop(pool.get().await.unwrap());
    pool.suspend();
    assert!(pool.try_get().is_none());
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;
    assert!(!waiter.is_finished());
    pool.clear();
    pool.resume();
    waiter.await.unwrap().unwrap();
    assert_eq!(script.connects(), 2);
    pool.audit_quiescent().unwrap();
}

/// Scenario 27.
#[tokio::test(start_paused = true)]
async fn clearing_closes_idle_ones_now_and_lent_ones_on_return() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(10)
        .build()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(pool.get().await.unwrap());
    }
    held.truncate(5);
    settle().await;
    pool.clear();
    settle().await;
    assert_eq!((pool.state().idle, pool.state().leased), (0, 5));
    drop(held);
    settle().await;
    assert_eq!(pool.state().size, 0);
    assert!(pool.get().await.unwrap().id >= 10);
    pool.audit_quiescent().unwrap();
}

/// Scenario 21: an untouched pool keeps its minimum without churn.
#[tokio::test(start_paused = true)]
async fn idle_timeout_never_trims_below_the_minimum() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(8)
        .min_idle(3)
        .idle_timeout(ms(500))
        .max_lifetime(None)
        .keepalive(None)
        .build_eager()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((script.connects(), pool.state().idle), (3, 3));
    pool.audit_quiescent().unwrap();
}

/// Scenario 21, second half: the replacement is there before the old one goes.
#[tokio::test(start_paused = true)]
async fn an_expired_idle_connection_is_replaced_before_it_is_closed() {
    let script = Script::new();
    script.connect.otherwise(Step::Delay(ms(50)));
    let pool = Pool::builder(script.manager())
        .max_size(4)
        .min_idle(2)
        .idle_timeout(None)
        .max_lifetime(Duration::from_secs(60))
        .build_eager()
        .await
        .unwrap();
    for _ in 0..3000 {
        tokio::time::sleep(ms(100)).await;
        assert!(pool.state().idle >= 2, "{:?}", pool.state());
    }
    assert!(pool.statistics().closed_for(CloseReason::Expired) >= 8);
    assert!(script.connects() <= 14, "{}", script.connects());
    pool.audit_quiescent().unwrap();
}

/// Scenario 20.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_idle_is_retired_too() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(1)
        .max_lifetime(Duration::from_secs(10))
        .build()
        .unwrap();
    for _ in 0..100 {
        let held = pool.get().await.unwrap();
        tokio::time::sleep(ms(300)).await;
        drop(held);
    }
    assert!(
        (3..=5).contains(&script.connects()),
        "{}",
        script.connects()
    );
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_used_connection_is_reset_in_the_background_before_it_is_lent_again() {
    let script = Script::new();
    *script.reset_at.lock().unwrap() = ResetAt::Return;
    script.reset.otherwise(Step::Delay(ms(5)));
    let pool = Pool::builder(script.manager()).max_size(2).build().unwrap();
    for _ in 0..20 {
        let mut held = pool.get().await.unwrap();
        assert_eq!(held.dirt, 0);
        held.dirt = 1;
    }
    tokio::time::sleep(ms(100)).await;
    assert_eq!(script.resets(), 20);
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_returned_connection_is_reset_at_once_each_time() {
    for step in [Step::Ok, Step::Delay(ms(5))] {
        let script = Script::new();
        *script.reset_at.lock().unwrap() = ResetAt::Return;
        script.reset.otherwise(step);
        let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
        for round in 0..20 {
            drop(pool.get_timeout(ms(10)).await.unwrap());
            tokio::time::sleep(ms(10)).await;
            assert_eq!(pool.state().idle, 1, "round {round}, {step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_connection_is_reset_before_it_is_checked() {
    for at in [ResetAt::Never, ResetAt::Checkout] {
        let script = Script::new();
        *script.reset_at.lock().unwrap() = at;
        *script.abandoned.lock().unwrap() = Abandoned::Reset;
        let builder = Pool::builder(script.manager());
        let pool = builder.max_size(1).keepalive(ms(300)).build().unwrap();
        let mut held = pool.get().await.unwrap();
        drop(held.operation());
        drop(held);
        tokio::time::sleep(ms(600)).await;
        assert_eq!((script.resets(), script.checks()), (1, 1), "{at:?}");
    }
}

#[test]
fn a_pool_in_a_static_serves_two_runtimes_one_after_the_other() {
    static POOL: std::sync::OnceLock<Pool<pool_core::testing::Scripted>> =
        std::sync::OnceLock::new();
    let script = Script::new();
    let pool = POOL.get_or_init(|| {
        Pool::builder(script.manager())
            .max_size(2)
            .keepalive(ms(300))
            .build()
            .unwrap()
    });
    for round in 1..=2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(async {
            drop(pool.get().await.unwrap());
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(
                script.checks() > 10 * (round - 1),
                "the control plane runs again"
            );
            script.connect.then(Step::Hang);
            let held = pool.get().await.unwrap();
            assert!(pool.get_timeout(ms(1)).await.is_err());
            drop(held);
        });
        script.connect.otherwise(Step::Ok);
        pool.audit().unwrap();
        assert_eq!(
            pool.state().connecting,
            0,
            "the connect ended with its runtime"
        );
    }
}

#[test]
fn guards_may_be_dropped_anywhere_and_outlive_everything() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(4).build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (a, b, c) = runtime.block_on(async {
        (
            pool.get().await.unwrap(),
            pool.get().await.unwrap(),
            pool.get().await.unwrap(),
        )
    });
    drop(a);
    drop(runtime);
    drop(b);
    assert_eq!(pool.state().idle, 2);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _held = c;
        panic!("a user's panic");
    }));
    assert!(unwound.is_err());
    pool.audit().unwrap();
    assert_eq!(pool.statistics().closed_for(CloseReason::UserPanic), 1);
    let d = pool
        .get_blocking(std::time::Instant::now() + ms(100))
        .unwrap();
    drop(pool);
    drop(d);
    assert_eq!(script.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_dropped_midway_discards_its_connection() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(1)
        .check(Check::Never)
        .build()
        .unwrap();
    let first = {
        let mut held = pool.get().await.unwrap();
        let scope = held.operation();
        let id = scope.id;
        drop(scope);
        id
    };
    settle().await;
    let mut held = pool.get().await.unwrap();
    assert_ne!(held.id, first);
    held.operation().complete();
    let second = held.id;
    drop(held);
    assert_eq!(pool.get().await.unwrap().id, second);
    pool.retain(|_, info| {
        if info.id == second {
            Verdict::Discard
        } else {
            Verdict::Keep
        }
    });
    settle().await;
    assert_eq!(pool.state().size, 0);
    let result = pool.run(async |c| Ok::<_, ()>(c.id)).await.unwrap();
    assert_eq!(result, 2);
    pool.audit_quiescent().unwrap();
}
