//! What can be changed while a pool runs, and what a pool survives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::time::Duration;

use pool_core::testing::{Script, ScriptedError};
use pool_core::{ErrorClass, WhenSuspended};
use pool_facade::{CallOptions, Endpoint, ErrorKind, Pool, pool_core};
use support::{ms, pass, pool, pool_with, settle};

#[tokio::test(start_paused = true)]
async fn settings_hold_from_the_next_call_on() {
    let (script, pool) = pool(2);
    pool.reconfigure(|config| {
        config.retry.max_attempts = 2;
        config.breaker.consecutive = Some(3);
        config.pool.when_suspended = WhenSuspended::Refuse;
    })
    .unwrap();
    pool.resize(4).unwrap();
    let guards = [pool.get(), pool.get(), pool.get(), pool.get()];
    for guard in guards {
        std::mem::forget(guard.await.unwrap());
    }
    assert_eq!((script.live(), pool.config().pool.max_size), (4, 4));
    pool.resize(5).unwrap();
    let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
    let options = || CallOptions::new().idempotent();
    let error = pool.run_with(options(), fail).await.unwrap_err();
    assert_eq!(error.attempts(), 2);
    let error = pool.run_with(options(), fail).await.unwrap_err();
    assert_eq!(error.attempts(), 1, "the third failure opens the breaker");
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Rejected);
    pool.reset_breakers();
    pool.suspend();
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Suspended);
    assert!(!pool.ready().ready);
    pool.resume();
    pool.run(async |_| Ok(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_made_is_refused_as_a_whole_and_says_why() {
    let (_, pool) = pool(2);
    let before = pool.config();
    let errors = pool
        .reconfigure(|config| {
            config.pool.max_size = 0;
            config.pool.connect_rate = Some(7);
            config.retry.max_attempts = 9;
        })
        .unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("max_size"), "{text}");
    assert!(text.contains("build a new pool"), "{text}");
    assert_eq!(*pool.config(), *before);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_added_later_has_the_settings_of_then() {
    let (_, pool) = pool(2);
    pool.resize(1).unwrap();
    let script = Script::new();
    pool.add(Endpoint::new("late", script.manager())).unwrap();
    let state = pool.state();
    assert!(state.nodes.iter().all(|node| node.pool.target == 1));
}

/// The tick is dead together with its runtime; calls, connects and breakers go on without it.
#[test]
fn the_data_plane_needs_no_tick_and_a_pool_survives_its_runtime() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let (first, second) = (Script::new(), Script::new());
    let pool = Pool::builder()
        .node("a", first.manager())
        .node("b", second.manager())
        .max_size(2)
        .build()
        .unwrap();
    for _ in 0..3 {
        runtime().block_on(async {
            for _ in 0..50 {
                pool.run(async |_| Ok(())).await.unwrap();
            }
        });
    }
    // On a thread of no runtime at all.
    let served: Vec<_> = (0..4).map_while(|_| pool.try_get()).collect();
    assert!(!served.is_empty());
    drop(served);
    runtime().block_on(async {
        pool.run(async |_| Ok(())).await.unwrap();
        settle().await;
        pool.audit_quiescent().unwrap();
        assert!(pool.close(ms(10)).await.is_clean());
    });
    assert_eq!((first.live(), second.live()), (0, 0));
}

/// Start, warm up, serve, drain under load: each call is served or told that the pool is closed.
#[tokio::test(start_paused = true)]
async fn a_pool_warms_up_and_drains_under_load() {
    let (script, pool) = pool(4);
    pool.reconfigure(|config| config.pool.min_idle = 3).unwrap();
    pool.warm().await.unwrap();
    assert_eq!(script.live(), 3);
    assert!(pool.ready().ready);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                loop {
                    let call = pool.run(async |_| {
                        pass(ms(7)).await;
                        Ok(())
                    });
                    if let Err(error) = call.await {
                        break error.kind();
                    }
                }
            })
        })
        .collect();
    pass(ms(100)).await;
    let started = tokio::time::Instant::now();
    let report = pool.close(Duration::from_secs(1)).await;
    assert!(report.is_clean(), "{report}");
    assert!(
        started.elapsed() <= ms(20),
        "those under way came to their end"
    );
    for caller in callers {
        assert_eq!(caller.await.unwrap(), ErrorKind::Closed);
    }
    assert_eq!(script.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_added_to_a_closed_pool_is_refused_and_opens_nothing() {
    let (script, pool) = pool_with(2, |builder| {
        builder.configure(|config| config.pool.min_idle = 1)
    });
    drop(pool.get().await.unwrap());
    assert!(pool.close(ms(10)).await.is_clean());
    let late = Script::new();
    let errors = pool.add(Endpoint::new("late", late.manager())).unwrap_err();
    assert!(errors.to_string().contains("closed"), "{errors}");
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Closed);
    pass(Duration::from_secs(1)).await;
    assert_eq!((script.live(), late.connects()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_found_while_the_pool_closes_are_not_taken() {
    let late = Script::new();
    let found = late.clone();
    let (script, pool) = pool_with(2, |builder| {
        builder.discover(ms(500), move || {
            let found = found.clone();
            async move {
                pass(ms(300)).await;
                Ok::<_, String>(vec![Endpoint::new("late", found.manager())])
            }
        })
    });
    drop(pool.get().await.unwrap());
    // The lookup is under way.
    pass(ms(850)).await;
    pool.close(ms(10)).await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!((script.live(), late.connects()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_added_while_the_pool_is_suspended_does_not_lend_before_it_resumes() {
    let (_, pool) = pool_with(2, |builder| {
        builder.configure(|config| config.pool.when_suspended = WhenSuspended::Refuse)
    });
    pool.suspend();
    let script = Script::new();
    pool.add(Endpoint::new("b", script.manager())).unwrap();
    for _ in 0..10 {
        let error = pool.get().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Suspended, "{error}");
    }
    assert_eq!(script.connects(), 0);
    pool.resume();
    // Which node it is, is left to chance.
    for _ in 0..100 {
        drop(pool.get().await.unwrap());
    }
    assert!(script.connects() > 0, "it lends by now");
    pool.add(Endpoint::new("c", script.manager())).unwrap();
    assert!(pool.state().nodes.iter().all(|node| !node.pool.suspended));
}
