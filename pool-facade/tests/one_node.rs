//! A pool of one node: order of asking, leasing and admitting, and what becomes of failures.

mod support;

use std::time::Duration;

use backoff::Stop;
use pool_core::ErrorClass;
use pool_core::testing::{Script, ScriptedError, Step};
use pool_facade::{CallOptions, ErrorKind, Judgement, Outcome, Pool, pool_core};
use support::{ms, pass, pool, pool_with};

#[tokio::test(start_paused = true)]
async fn three_lines_are_a_useful_pool() {
    let pool = Pool::builder()
        .node("db", Script::new().manager())
        .build()
        .unwrap();
    let id = pool
        .run(async |connection| Ok(connection.id))
        .await
        .unwrap();
    assert_eq!(id, 0);
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_the_breaker_and_then_nobody_is_connected() {
    let (_, pool) = pool(2);
    for _ in 0..5 {
        let error = pool
            .run(async |_| Err::<(), _>(ScriptedError::new(ErrorClass::Transient)))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Operation);
        assert_eq!(
            error.operation(),
            Some(&ScriptedError::new(ErrorClass::Transient))
        );
        assert_eq!(error.attempts(), 1);
    }
    let error = pool.run(async |_| Ok(())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.retry_after().unwrap() <= ms(250));
    assert_eq!(error.class(), Some(ErrorClass::Transient));
    assert_eq!(error.node(), Some("db"));
    assert!(error.is_retryable());
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Rejected);
    assert!(pool.try_get().is_none());
    assert!(!pool.ready().ready, "{}", pool.ready());
    // Once the open time is over calls probe, and heal.
    pass(ms(300)).await;
    pool.run(async |_| Ok(())).await.unwrap();
    pool.run(async |_| Ok(())).await.unwrap();
    assert!(pool.ready().ready);
    let state = pool.state().nodes[0].breaker;
    assert_eq!(state, breaker::State::Degraded);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_executed_or_is_idempotent_is_tried_again() {
    // class, attempts as it is, attempts if idempotent
    for (class, attempts, idempotent) in [
        (ErrorClass::Transient, 1, 3),
        (ErrorClass::Broken, 1, 3),
        (ErrorClass::WrongRole, 3, 3),
        (ErrorClass::Caller, 1, 1),
        (ErrorClass::Permanent, 1, 1),
    ] {
        let (_, pool) = pool(2);
        let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(class));
        let error = pool.run(fail).await.unwrap_err();
        assert_eq!(error.attempts(), attempts, "{class}");
        pool.reset_breakers();
        let options = CallOptions::new().idempotent();
        let error = pool.run_with(options, fail).await.unwrap_err();
        assert_eq!(error.attempts(), idempotent, "{class} idempotent");
    }
}

#[tokio::test(start_paused = true)]
async fn when_everything_fails_the_budget_ends_retries_for_all() {
    let (_, pool) = pool_with(2, |builder| {
        builder.configure(|config| {
            config.breaker.consecutive = None;
            config.breaker.failure_rate = None;
        })
    });
    let mut denied = 0;
    for _ in 0..100 {
        let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
        let options = CallOptions::new().idempotent();
        let error = pool.run_with(options, fail).await.unwrap_err();
        denied += u64::from(error.stop() == Some(Stop::Budget));
    }
    let retries = pool.statistics().retries;
    assert_eq!((retries.attempts, retries.denied), (10, denied));
    assert!(denied >= 90, "{retries:?}");
    // Ten successes pay for one retry.
    for _ in 0..10 {
        pool.run(async |_| Ok(())).await.unwrap();
    }
    let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
    let options = CallOptions::new().idempotent();
    let error = pool.run_with(options, fail).await.unwrap_err();
    assert_eq!((error.attempts(), error.stop()), (2, Some(Stop::Budget)));
}

/// The rule of the order of asking: no retry goes to a breaker that is open.
#[tokio::test(start_paused = true)]
async fn the_failure_that_opens_the_breaker_is_not_tried_again() {
    let (_, pool) = pool(2);
    let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
    for _ in 0..4 {
        pool.run(fail).await.unwrap_err();
    }
    let options = CallOptions::new().idempotent();
    let error = pool.run_with(options, fail).await.unwrap_err();
    assert_eq!((error.attempts(), error.stop()), (1, Some(Stop::Gate)));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_ones_own_is_judged_by_ones_own_judge() {
    #[derive(Debug, PartialEq)]
    enum Mine {
        Busy,
        Other,
    }
    let (_, pool) = pool(2);
    let judge = |error: &Mine| match error {
        Mine::Busy => Judgement::new(ErrorClass::Overload)
            .not_executed()
            .retry_after(ms(700)),
        Mine::Other => ErrorClass::Caller.into(),
    };
    let mut calls = 0;
    let started = tokio::time::Instant::now();
    let cell = std::sync::atomic::AtomicU32::new(0);
    let answer = pool
        .run_with(CallOptions::new().judge(judge), async |_| {
            match cell.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Err(Mine::Busy),
                n => Ok(n),
            }
        })
        .await;
    calls += cell.into_inner();
    assert_eq!((answer.unwrap(), calls), (1, 2));
    assert!(started.elapsed() >= ms(700), "the hint is honoured");
    let error = pool
        .run_with(CallOptions::new().judge(judge), async |_| {
            Err::<(), _>(Mine::Other)
        })
        .await
        .unwrap_err();
    assert_eq!(error.into_operation().unwrap(), Mine::Other);
    assert_eq!(pool.statistics().retries.succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_out_of_time_ends_then_and_its_connection_is_not_lent_again() {
    let (script, pool) = pool(2);
    let options = || CallOptions::new().timeout(ms(100));
    let started = tokio::time::Instant::now();
    let error = pool
        .run_with(options(), async |_| {
            std::future::pending::<()>().await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OperationTimeout);
    assert_eq!(started.elapsed(), ms(100));
    pass(ms(1)).await;
    assert_eq!((script.live(), pool.state().total().size), (0, 0));
    assert_eq!(pool.statistics().nodes[0].breaker.totals.overloads, 1);
    // Waiting for the connection is part of the call.
    script.connect.otherwise(Step::Hang);
    let started = tokio::time::Instant::now();
    let error = pool
        .run_with(options(), async |_| Ok(()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(pool_core::Stage::Connect));
    assert_eq!(started.elapsed(), ms(100));
    assert!(
        error
            .to_string()
            .contains("pool `pool/db`: timed out in stage connect")
    );
}

#[tokio::test(start_paused = true)]
async fn a_guard_is_no_call_of_the_breaker_unless_it_is_reported_or_comes_back_broken() {
    let (_, pool) = pool(2);
    let totals = || pool.statistics().nodes[0].breaker.totals;
    drop(pool.get().await.unwrap());
    assert_eq!((totals().successes, totals().failures), (0, 0));
    pool.get().await.unwrap().report(Outcome::Success);
    assert_eq!((totals().successes, totals().failures), (1, 0));
    let mut guard = pool.get().await.unwrap();
    guard.broken = true;
    drop(guard);
    assert_eq!((totals().successes, totals().failures), (1, 1));
    // Reported and broken is one failure, not two.
    let mut guard = pool.get().await.unwrap();
    guard.report(ErrorClass::Broken);
    drop(guard);
    assert_eq!((totals().successes, totals().failures), (1, 2));
    pool.get().await.unwrap().invalidate();
    assert_eq!((totals().successes, totals().failures), (1, 3));
    assert_eq!(pool.state().nodes[0].pool.leased, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_everything_back_and_counts_for_nothing() {
    let (_, pool) = pool(2);
    let call = pool.run(async |_| {
        std::future::pending::<()>().await;
        Ok(())
    });
    let late = tokio::time::timeout(ms(50), call).await;
    assert!(late.is_err());
    pass(ms(1)).await;
    let breaker = pool.statistics().nodes[0].breaker.clone();
    assert_eq!((breaker.totals.cancelled, breaker.in_flight), (1, Some(0)));
    assert_eq!(pool.state().total().size, 0, "abandoned, so discarded");
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_says_so() {
    let (_, pool) = pool(2);
    let held = pool.get().await.unwrap();
    let report = pool.close(ms(10)).await;
    assert_eq!((report.aborted, report.outstanding), (1, 1));
    drop(held);
    assert!(pool.close(ms(10)).await.is_clean());
    let error = pool.run(async |_| Ok(())).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        (ErrorKind::Closed, false)
    );
    assert_eq!(pool.ready().to_string(), "not ready: the pool is closed");
}

#[test]
fn a_thread_without_a_runtime_is_served() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let (_, pool) = pool(2);
    runtime.block_on(async { drop(pool.get().await.unwrap()) });
    let deadline = pool_core::runtime::Timer::now(&pool_core::runtime::Tokio::default())
        + Duration::from_secs(5);
    let guard = pool.get_blocking(deadline).unwrap();
    assert_eq!(guard.id, 0);
}

#[tokio::test(start_paused = true)]
async fn the_longest_spans_of_a_call_are_welcome() {
    let (_, pool) = pool(1);
    let options = CallOptions::new().timeout(Duration::MAX);
    let id = pool.run_with(options, async |connection| {
        Ok::<_, ScriptedError>(connection.id)
    });
    assert_eq!(id.await.unwrap(), 0);
    assert!(pool.close(Duration::MAX).await.is_clean());
}
