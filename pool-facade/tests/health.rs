//! How the pool is, in one word and in sentences, and that it gets well again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::time::Duration;

use pool_core::ErrorClass;
use pool_core::testing::{ScriptedError, Step};
use pool_facade::health::PoolLevel;
use pool_facade::{CallOptions, ErrorKind, pool_core};
use support::{ms, pass, pool};

#[tokio::test(start_paused = true)]
async fn failing_calls_are_a_warning_and_an_open_breaker_is_critical() {
    let (_, pool) = pool(4);
    assert_eq!(pool.health().level, PoolLevel::Healthy);
    let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
    for round in 0..100 {
        if round % 10 == 0 {
            pool.run(fail).await.unwrap_err();
        } else {
            pool.run(async |_| Ok(())).await.unwrap();
        }
        pass(ms(10)).await;
    }
    let health = pool.health();
    assert_eq!(health.level, PoolLevel::Warning, "{health}");
    assert!(
        health.to_string().contains("% of operations fail"),
        "{health}"
    );
    while pool.run(fail).await.unwrap_err().kind() != ErrorKind::Rejected {
        pass(ms(10)).await;
    }
    pass(ms(230)).await;
    let health = pool.health();
    assert_eq!(health.level, PoolLevel::Critical, "{health}");
    assert!(health.to_string().contains("breaker open"), "{health}");
    for _ in 0..2000 {
        let _ = pool.run(async |_| Ok(())).await;
        pass(ms(10)).await;
    }
    assert_eq!(pool.health().level, PoolLevel::Healthy, "{}", pool.health());
}

#[tokio::test(start_paused = true)]
async fn slow_acquires_are_a_warning_for_as_long_as_they_last() {
    let (script, pool) = pool(1);
    script.connect.then(Step::Delay(ms(400)));
    let started = tokio::time::Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        drop(pool.get().await.unwrap());
        pool.clear();
        script.connect.then(Step::Delay(ms(400)));
        pass(ms(10)).await;
    }
    let health = pool.health();
    assert!(
        health.to_string().contains("acquiring a connection takes"),
        "{health}"
    );
    for _ in 0..4000 {
        pool.run(async |_| Ok(())).await.unwrap();
        pass(ms(10)).await;
    }
    assert_eq!(pool.health().level, PoolLevel::Healthy, "{}", pool.health());
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_with_callers_waiting_is_critical() {
    let (_, pool) = pool(2);
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get_with(CallOptions::new()).await.map(drop) }
    });
    pass(ms(450)).await;
    let health = pool.health();
    assert_eq!(health.level, PoolLevel::Critical, "{health}");
    assert!(
        health.to_string().contains("2 of 2 connections in use"),
        "{health}"
    );
    assert!(health.to_string().contains("1 caller waiting"), "{health}");
    drop(held);
    waiting.await.unwrap().unwrap();
}
