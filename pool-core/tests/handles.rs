//! What a pool's handle can do beside lending.
//!
//! Add, detach, dedicated connections, retain, clear, suspend, reconfigure, weak handles and boxed
//! managers.

mod support;

use std::time::Duration;

use pool_core::testing::{Script, ScriptedConnection, ScriptedError, Step};
use pool_core::{BoxManager, CloseReason, ErrorKind, Pool, Verdict, WhenSuspended};
use support::{Recorder, ms, pass, pool, pool_with, settle, take};

#[tokio::test(start_paused = true)]
async fn detached_and_dedicated_connections_count_against_nothing() {
    let (script, pool) = pool(1);
    let dedicated = pool.dedicated().await.unwrap();
    assert_eq!((pool.state().size, script.live()), (0, 1));
    let detached = pool.get().await.unwrap().detach();
    assert_eq!(pool.statistics().closed_for(CloseReason::Detached), 1);
    let held = pool.get().await.unwrap();
    assert_eq!((pool.state().size, script.live()), (1, 3));
    pool.close(ms(0)).await;
    drop(held);
    assert_eq!(
        script.live(),
        2,
        "the pool has nothing to do with the others"
    );
    drop((dedicated, detached));
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn detaching_makes_room_for_a_waiter() {
    let (_, pool) = pool(1);
    let held = pool.get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(|held| held.id) }
    });
    settle().await;
    let _detached = held.detach();
    assert_eq!(waiter.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn added_connections_serve_waiters_and_keep_the_maximum() {
    let (script, pool) = pool(2);
    script.connect.otherwise(Step::Ok);
    let [a, b, c] = [
        pool.dedicated().await,
        pool.dedicated().await,
        pool.dedicated().await,
    ];
    script.connect.otherwise(Step::Hang);
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(|held| held.id) }
    });
    settle().await;
    pool.resize(3).unwrap();
    let a = a.unwrap();
    let id = a.id;
    pool.add(a).unwrap();
    assert_eq!(waiter.await.unwrap().unwrap(), id);
    pool.add(b.unwrap()).unwrap();
    // Two were added and one is connecting: full.
    let c = pool.add(c.unwrap()).unwrap_err();
    assert_eq!(pool.state().size, 3);
    pool.close(ms(0)).await;
    let c = pool.add(c).unwrap_err();
    drop(c);
    settle().await;
    assert_eq!(script.live(), 0);
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_a_guard_waits_for_the_close_and_then_frees_the_slot() {
    let (script, pool) = pool_with(1, |b| b.close_timeout(ms(200)));
    for (step, takes) in [
        (Step::Ok, 0),
        (Step::Delay(ms(50)), 50),
        (Step::Hang, 200),
        (Step::Panic, 0),
    ] {
        script.close.then(step);
        let held = pool.get().await.unwrap();
        let began = tokio::time::Instant::now();
        held.close().await;
        assert_eq!((began.elapsed(), pool.state().size), (ms(takes), 0));
    }
    script.close.then(Step::Hang);
    let mut close = Box::pin(pool.get().await.unwrap().close());
    assert!(futures_util::poll!(&mut close).is_pending());
    assert_eq!(pool.state().closing, 1);
    drop(close);
    assert_eq!(
        (script.live(), pool.state().size),
        (0, 0),
        "cancelled, it is cut"
    );
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn retain_sees_idle_connections_alone_and_closes_what_is_not_kept() {
    let (script, pool) = pool(6);
    let mut held = take(&pool, 6).await;
    held.truncate(2);
    settle().await;
    let mut seen = Vec::new();
    pool.retain(|connection, info| {
        assert_eq!((connection.id, info.uses), (info.id, 1));
        seen.push(info.id);
        if info.id % 2 == 0 {
            Verdict::Keep
        } else {
            Verdict::Discard
        }
    });
    settle().await;
    seen.sort_unstable();
    assert_eq!(seen, [2, 3, 4, 5]);
    assert_eq!(
        (pool.state().idle, pool.state().leased, script.live()),
        (2, 2, 4)
    );
    assert_eq!(pool.statistics().closed_for(CloseReason::NotRetained), 2);
    drop(held);
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_spread_clear_replaces_all_but_not_at_once() {
    let (script, pool) = pool_with(100, |b| b.min_idle(100).max_connecting(100).keepalive(None));
    pool.warm().await.unwrap();
    let first_new = script.connects();
    pool.clear_spread(Duration::from_secs(100));
    let mut before = 0;
    for _ in 0..11 {
        pass(Duration::from_secs(10)).await;
        let closed = pool.statistics().closed();
        assert!(
            closed - before <= 40,
            "{} of 100 within a tenth of the time",
            closed - before
        );
        before = closed;
    }
    pass(Duration::from_secs(2)).await;
    assert_eq!((pool.state().idle, pool.statistics().closed()), (100, 100));
    let held = take(&pool, 100).await;
    assert!(held.iter().all(|connection| connection.id >= first_new));
    drop(held);
    pool.audit_quiescent().unwrap();
}

/// Scenario 26: fail or wait as configured, return while suspended, clear while suspended.
#[tokio::test(start_paused = true)]
async fn a_suspended_pool_refuses_if_it_is_told_to_and_takes_returns() {
    let (_, pool) = pool_with(1, |b| b.when_suspended(WhenSuspended::Refuse));
    let held = pool.get().await.unwrap();
    pool.suspend();
    let error = pool.get().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        (ErrorKind::Suspended, true)
    );
    drop(held);
    settle().await;
    assert_eq!(pool.state().leased, 0);
    pool.reconfigure(|config| config.when_suspended = WhenSuspended::Wait)
        .unwrap();
    assert!(matches!(
        pool.get_timeout(ms(20)).await.unwrap_err().kind(),
        ErrorKind::Timeout(_)
    ));
    pool.resume();
    drop(pool.get().await.unwrap());
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn settings_change_at_once_and_together_or_not_at_all() {
    let recorder = Recorder::default();
    let (script, pool) = pool_with(4, |b| b.observer(recorder.clone()).name("first"));
    drop(take(&pool, 4).await);
    let errors = pool
        .reconfigure(|config| {
            config.max_size = 2;
            config.max_uses = Some(0);
            config.connect_timeout = Duration::ZERO;
        })
        .unwrap_err();
    let mut fields: Vec<_> = errors
        .violations()
        .iter()
        .map(|violation| violation.field)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["connect_timeout", "max_uses"]);
    assert_eq!(
        (pool.config().max_size, pool.state().size),
        (4, 4),
        "nothing has changed"
    );
    pool.reconfigure(|config| {
        config.max_size = 2;
        config.max_uses = Some(1);
        config.acquire_timeout = Some(ms(70));
        config.name = "second".into();
    })
    .unwrap();
    settle().await;
    assert_eq!(
        (pool.state().size, pool.config().name.as_str()),
        (2, "first")
    );
    let held = take(&pool, 2).await;
    let asked = tokio::time::Instant::now();
    assert!(pool.get().await.is_err());
    assert_eq!(asked.elapsed(), ms(70));
    drop(held);
    settle().await;
    assert_eq!(
        (
            pool.statistics().closed_for(CloseReason::MaxUses),
            script.live()
        ),
        (2, 0)
    );
    pool.reconfigure(|config| config.min_idle = 2).unwrap();
    pass(ms(500)).await;
    assert_eq!(pool.state().idle, 2);
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_weak_handle_does_not_keep_the_pool_open() {
    let (script, pool) = pool(1);
    let weak = pool.downgrade();
    drop(weak.upgrade().unwrap().get().await.unwrap());
    assert!(!pool.is_closed());
    let held = pool.get().await.unwrap();
    drop(pool);
    assert!(weak.upgrade().is_none());
    drop(held);
    assert_eq!(script.live(), 0);
}

/// A boxed manager is the manager in every respect.
#[tokio::test(start_paused = true)]
async fn a_boxed_manager_behaves_as_the_one_inside() {
    let script = Script::new();
    let boxed: BoxManager<ScriptedConnection, ScriptedError> = BoxManager::new(script.manager());
    let pool = Pool::builder(boxed)
        .max_size(2)
        .check(pool_core::Check::Always)
        .build()
        .unwrap();
    drop(take(&pool, 2).await);
    let mut held = pool.get().await.unwrap();
    assert_eq!(script.checks(), 1);
    held.broken = true;
    drop(held);
    script.is_valid.then(Step::Panic);
    drop(pool.get().await.unwrap());
    assert_eq!(pool.statistics().panics, 1);
    script
        .connect
        .otherwise(Step::Fail(pool_core::ErrorClass::Permanent));
    let held = pool.get().await.unwrap();
    let error = pool.get().await.unwrap_err();
    assert_eq!(
        error.connect_error_class(),
        Some(pool_core::ErrorClass::Permanent)
    );
    let report = pool.close(ms(10)).await;
    assert_eq!(report.aborted, 1);
    assert!(held.is_cut());
    drop(held);
    settle().await;
    assert_eq!(
        (script.live(), script.removed() as u64),
        (0, pool.statistics().created)
    );
    pool.audit_quiescent().unwrap();
}
