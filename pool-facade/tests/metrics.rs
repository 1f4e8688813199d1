//! One line puts the whole pool into a registry.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::{Arc, Mutex};

use pool_core::ErrorClass;
use pool_core::testing::{Script, ScriptedError, Step};
use pool_facade::pool_metrics::{
    AcquirePath, BreakerEdge, BreakerState, CallOutcome, CloseReason, ConnectError, Disposition,
    Registry, Rejection, Report, RequestOutcome, RetryOutcome, TripCause, prometheus_text,
};
use pool_facade::{CallOptions, ErrorKind, pool_core};
use support::{ms, now, pass, pool_with};

fn collect(registry: &Registry) -> Report {
    registry.collect(now())
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_in_the_numbers() {
    let registry = Registry::new();
    let (script, pool) = pool_with(2, |builder| {
        builder.name("orders").kind("postgres").metrics(&registry)
    });
    for _ in 0..10 {
        pool.run(async |_| Ok(())).await.unwrap();
    }
    let options = || CallOptions::new().idempotent();
    let mut attempt = 0;
    let count = Mutex::new(&mut attempt);
    let flaky = pool.run_with(options(), async |_| {
        let mut attempt = count.lock().unwrap();
        **attempt += 1;
        match **attempt {
            1 => Err(ScriptedError::new(ErrorClass::Transient)),
            _ => Ok(()),
        }
    });
    flaky.await.unwrap();
    pool.get().await.unwrap().invalidate();
    script.connect.then(Step::Fail(ErrorClass::Overload));
    pass(ms(1)).await;
    pool.run(async |_| Ok(())).await.unwrap();
    let report = collect(&registry);
    let orders = &report.pools[0];
    assert_eq!((&*orders.name, &*orders.kind), ("orders/db", "postgres"));
    assert_eq!((orders.max, orders.idle, orders.used), (2, 1, 0));
    assert_eq!(orders.created, 2);
    assert_eq!(orders.closed[CloseReason::Invalidated], 1);
    assert_eq!(orders.connection_errors[ConnectError::Overload], 1);
    assert_eq!(orders.acquired.total(), 14);
    assert_eq!(orders.acquired[AcquirePath::Waited], 2);
    assert_eq!(orders.released[Disposition::Returned], 13);
    assert_eq!(orders.released[Disposition::Discarded], 1);
    assert_eq!(orders.acquire_time.count(), 14);
    assert_eq!(orders.connect_time.count(), 2);
    assert_eq!(orders.classes[0].requests[RequestOutcome::Success], 12);
    assert_eq!(orders.classes[0].requests[RequestOutcome::Failure], 2);
    let retry = &report.retries[0];
    assert_eq!((&*retry.policy, retry.attempts), ("orders", 1));
    assert_eq!(retry.calls[RetryOutcome::FirstTry], 11);
    assert_eq!(retry.calls[RetryOutcome::AfterRetry], 1);
    let page = prometheus_text(&report);
    assert!(page.contains(r#"pool_connections_created_total{pool="orders/db"} 2"#));
    drop(pool);
    assert!(collect(&registry).pools.is_empty(), "gone with the pool");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_is_in_the_numbers_and_in_the_events() {
    let registry = Registry::new();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let (_, pool) = pool_with(2, |builder| {
        builder.metrics(&registry).on_event(move |node, event| {
            told.lock().unwrap().push(format!("{node}: {event:?}"));
        })
    });
    for _ in 0..5 {
        let fail = async |_: &mut _| Err::<(), _>(ScriptedError::new(ErrorClass::Transient));
        pool.run(fail).await.unwrap_err();
    }
    assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Rejected);
    let report = collect(&registry);
    let breaker = &report.breakers[0];
    assert_eq!(breaker.state, BreakerState::Open);
    assert_eq!(breaker.trips[TripCause::Consecutive], 1);
    assert_eq!(breaker.transitions[BreakerEdge::ClosedOpen], 1);
    assert_eq!(breaker.calls[CallOutcome::Failure], 5);
    assert_eq!(breaker.rejected[Rejection::Open], 1);
    let events = events.lock().unwrap();
    assert!(events[0].starts_with("db: Connected"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn probes_of_several_nodes_are_in_the_numbers() {
    let registry = Registry::new();
    let second = Script::new();
    let (_, pool) = pool_with(2, |builder| {
        builder.node("other", second.manager()).metrics(&registry)
    });
    second.is_valid.otherwise(Step::Fail(ErrorClass::Broken));
    drop(pool.get().await.unwrap());
    pass(ms(30_000)).await;
    let report = collect(&registry);
    assert_eq!(report.health.len(), 2);
    assert!(report.health[0].checks >= 3 && report.health[0].failures.total() == 0);
    assert!(report.health[0].up && !report.health[1].up);
    assert!(report.health[1].failures.total() >= 3);
    assert!(report.health[1].consecutive_failures >= 3);
}
