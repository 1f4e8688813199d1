//! A call that is dropped at any await, or that panics there, gives everything back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::FutureExt;
use pool_core::ErrorClass;
use pool_core::testing::{Script, Scripted, ScriptedConnection, ScriptedError, Step};
use pool_facade::{CallOptions, Judgement, Outcome, Pool, pool_core};
use support::{ms, pass, settle};

/// Two nodes; on both, connecting and resetting take a while.
fn pool_of_two() -> ([Arc<Script>; 2], Pool<Scripted>) {
    let scripts = [Script::new(), Script::new()];
    for script in &scripts {
        script.connect.otherwise(Step::Yield(2));
        script.reset.otherwise(Step::Yield(2));
        *script.reset_at.lock().unwrap() = pool_core::ResetAt::Checkout;
    }
    let pool = Pool::builder()
        .node("a", scripts[0].manager())
        .node("b", scripts[1].manager())
        .max_size(1)
        .build()
        .unwrap();
    (scripts, pool)
}

/// An operation of three awaits that fails the first time.
async fn work(connection: &mut ScriptedConnection, first: bool) -> Result<(), ScriptedError> {
    connection.busy = true;
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    connection.busy = false;
    if first {
        Err(ScriptedError::new(ErrorClass::Transient))
    } else {
        Ok(())
    }
}

/// Nothing is lost, and nothing half done is lent.
async fn expect_whole(pool: &Pool<Scripted>, scripts: &[Arc<Script>; 2]) {
    pass(ms(1)).await;
    settle().await;
    pool.audit_quiescent().unwrap();
    let state = pool.state();
    assert_eq!(state.total().leased, 0);
    let live: usize = scripts.iter().map(|script| script.live()).sum();
    assert_eq!(state.total().size, live);
    for _ in 0..10 {
        let mut guard = pool.get().await.unwrap();
        assert!(!guard.busy, "half done");
        guard.report(Outcome::Success);
    }
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_at_every_await() {
    let mut ended = false;
    for polls in 0.. {
        let (scripts, pool) = pool_of_two();
        let attempts = std::sync::atomic::AtomicU32::new(0);
        let options = CallOptions::new().idempotent();
        let mut call = Box::pin(pool.run_with(options, async |connection: &mut _| {
            let before = attempts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            work(connection, before == 0).await
        }));
        for _ in 0..polls {
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            ended = polled.is_ready();
            if ended {
                break;
            }
            // The delay before the second attempt passes too.
            pass(ms(20)).await;
        }
        drop(call);
        expect_whole(&pool, &scripts).await;
        if ended {
            assert!(polls >= 8, "it has more awaits than {polls}");
            break;
        }
    }
    assert!(ended);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_operation_or_the_judge_is_a_failure_and_costs_that_call_alone() {
    let (scripts, pool) = pool_of_two();
    let operation = async |_: &mut ScriptedConnection| -> Result<(), ScriptedError> {
        tokio::task::yield_now().await;
        panic!("a user's panic")
    };
    let panicked = AssertUnwindSafe(pool.run(operation)).catch_unwind().await;
    assert!(panicked.is_err());
    expect_whole(&pool, &scripts).await;
    let judge = |_: &ScriptedError| -> Judgement { panic!("a user's panic") };
    let options = CallOptions::new().judge(judge);
    let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
    let call = pool.run_with(options, fail);
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
    expect_whole(&pool, &scripts).await;
    let failures: u64 = (pool.statistics().nodes.iter())
        .map(|node| node.breaker.totals.failures)
        .sum();
    assert_eq!(failures, 2);
}
