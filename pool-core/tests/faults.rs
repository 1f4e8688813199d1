//! What happens when the server fails while connections are opened.

#![expect(
    clippy::disallowed_methods,
    reason = "time is paused: a sleep is a step of the clock"
)]

use std::time::Duration;

use pool_core::testing::{Script, Step};
use pool_core::{ErrorClass, ErrorKind, Pool, Stage};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Scenario 8: a caller who leaves does not cancel the connect.
#[tokio::test(start_paused = true)]
async fn a_connect_outlives_the_caller_that_asked_for_it() {
    let script = Script::new();
    script
        .connect
        .otherwise(Step::Delay(Duration::from_secs(4)));
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let error = pool.get_timeout(ms(1000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect));
    tokio::time::advance(Duration::from_secs(4)).await;
    tokio::task::yield_now().await;
    assert_eq!(pool.state().idle, 1);
    assert!(pool.try_get().is_some());
    assert_eq!(script.connects(), 1);
    pool.audit_quiescent().unwrap();
}

/// Scenario 14: an error that will not pass reaches every waiter at once.
#[tokio::test(start_paused = true)]
async fn a_permanent_error_reaches_every_waiter_at_once() {
    let script = Script::new();
    script.connect.otherwise(Step::Fail(ErrorClass::Permanent));
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let before = tokio::time::Instant::now();
    let (a, b) = tokio::join!(pool.get(), pool.get());
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(error.connect_error().unwrap().0, ErrorClass::Permanent);
        assert!(!error.is_retryable());
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(script.connects(), 1);
    pool.audit_quiescent().unwrap();
}

/// Scenario 15: those who wait are served soon after the server is back.
#[tokio::test(start_paused = true)]
async fn a_waiter_survives_a_short_outage() {
    let script = Script::new();
    script.connect.otherwise(Step::Fail(ErrorClass::Transient));
    let pool = Pool::builder(script.manager()).max_size(4).build().unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get_timeout(ms(800)).await.map(drop) }
    });
    tokio::time::sleep(ms(100)).await;
    assert!(
        script.connects() <= 8,
        "{} attempts in 100 ms",
        script.connects()
    );
    script.connect.otherwise(Step::Ok);
    let back = tokio::time::Instant::now();
    waiter.await.unwrap().unwrap();
    assert!(back.elapsed() <= ms(300), "{:?}", back.elapsed());
    pool.audit_quiescent().unwrap();
}

/// Scenario 10: capacity survives a manager that panics.
#[tokio::test(start_paused = true)]
async fn a_panic_in_connect_costs_one_caller_and_no_capacity() {
    let script = Script::new();
    script.connect.then(Step::Panic);
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let error = pool.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectPanicked);
    drop(pool.get().await.unwrap());
    assert_eq!(pool.statistics().panics, 1);
    pool.audit_quiescent().unwrap();
}

/// The bar: at most 24 attempts in 2 s and 60 in 10 s, whatever the number of callers.
#[tokio::test(start_paused = true)]
async fn an_outage_is_met_with_one_schedule_whatever_the_number_of_callers() {
    for (seconds, most) in [(2, 24), (10, 60)] {
        let script = Script::new();
        script.connect.otherwise(Step::Fail(ErrorClass::Transient));
        let pool = Pool::builder(script.manager())
            .max_size(16)
            .build()
            .unwrap();
        let callers: Vec<_> = (0..64)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { while pool.get_timeout(ms(100)).await.is_err() {} })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert!(
            script.connects() <= most,
            "{} in {seconds} s",
            script.connects()
        );
        script.connect.otherwise(Step::Ok);
        let back = tokio::time::Instant::now();
        for caller in callers {
            caller.await.unwrap();
        }
        assert!(back.elapsed() <= ms(500), "{:?}", back.elapsed());
        pool.audit_quiescent().unwrap();
    }
}

/// Scenario 7: a connection that was being checked when its getter left is never lent again.
#[tokio::test(start_paused = true)]
async fn leaving_in_the_middle_of_a_check_discards_the_connection() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(1)
        .check(pool_core::Check::Always)
        .build()
        .unwrap();
    let first = pool.get().await.unwrap().id;
    script.is_valid.then(Step::Hang);
    let mut getter = Box::pin(pool.get());
    assert!(futures_util::poll!(&mut getter).is_pending());
    assert_eq!(pool.state().checking, 1);
    drop(getter);
    let second = pool.get().await.unwrap();
    assert_ne!(second.id, first);
    assert!(!second.busy);
    drop(second);
    pool.audit_quiescent().unwrap();
    assert_eq!(
        pool.statistics()
            .closed_for(pool_core::CloseReason::CheckCancelled),
        1
    );
}

/// Scenario 16: fifty silent connections cost a few probes, not fifty.
#[tokio::test(start_paused = true)]
async fn a_generation_of_silent_connections_is_swept_after_a_few_probes() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(50)
        .check(pool_core::Check::Always)
        .validate_timeout(ms(200))
        .build()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(pool.get().await.unwrap());
    }
    drop(held);
    assert_eq!(pool.state().idle, 50);
    script.is_valid.otherwise(Step::Fail(ErrorClass::Broken));
    drop(pool.get_timeout(ms(3000)).await.unwrap());
    assert!(script.checks() <= 3, "{} probes", script.checks());
    assert_eq!(pool.statistics().sweeps, 1);
    assert_eq!(pool.state().size, 1);
    pool.audit_quiescent().unwrap();
}
