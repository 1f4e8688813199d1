//! The outage row: one schedule of attempts for all callers, who are told the reason at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use pool_core::ErrorClass;
use pool_core::testing::{Scripted, Step};
use pool_facade::{ErrorKind, Pool, pool_core};
use support::{ms, pass, pool, settle};
use tokio::time::Instant;

/// What an outage came to.
#[derive(Debug)]
struct Outage {
    connects: u64,
    slowest_refusal: Duration,
    first_success: Duration,
}

/// 64 callers who try again every 5 ms, at a server that is gone for so long and was used before.
async fn outage(length: Duration, failing: Step) -> Outage {
    let (script, pool) = pool(16);
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(pool.get().await.unwrap());
    }
    let before = script.connects();
    script.connect.otherwise(failing);
    for mut guard in held {
        guard.broken = true;
    }
    pool.reset_breakers();
    let slowest = Arc::new(AtomicU64::new(0));
    let served = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (pool, slowest, served) = (pool.clone(), slowest.clone(), served.clone());
            tokio::spawn(call_until_served(pool, slowest, served))
        })
        .collect();
    pass(length).await;
    let connects = script.connects() - before;
    assert!(!served.load(SeqCst));
    script.connect.otherwise(Step::Delay(ms(5)));
    let back = Instant::now();
    while !served.load(SeqCst) {
        pass(ms(1)).await;
    }
    let first_success = back.elapsed();
    for caller in callers {
        caller.await.unwrap();
    }
    settle().await;
    assert_eq!(pool.state().total().leased, 0);
    Outage {
        connects,
        slowest_refusal: Duration::from_micros(slowest.load(SeqCst)),
        first_success,
    }
}

async fn call_until_served(pool: Pool<Scripted>, slowest: Arc<AtomicU64>, served: Arc<AtomicBool>) {
    loop {
        let started = Instant::now();
        match pool.run(async |_| Ok(())).await {
            Ok(()) => return served.store(true, SeqCst),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Connect);
                assert!(error.connect_error().is_some(), "the reason is told");
                assert_eq!(error.attempts(), 0);
                if !served.load(SeqCst) {
                    slowest.fetch_max(started.elapsed().as_micros() as u64, SeqCst);
                }
            }
        }
        pass(ms(5)).await;
    }
}

/// Refused at once, and refused after a round trip.
#[tokio::test(start_paused = true)]
async fn an_outage_is_met_by_one_schedule_and_its_callers_know_within_10_ms() {
    let mut first_successes = Vec::new();
    for round in 0..9 {
        let failing = if round % 2 == 0 {
            Step::Fail(ErrorClass::Transient)
        } else {
            Step::FailAfter(ms(1))
        };
        let (length, most) = if round % 4 == 0 { (10, 60) } else { (2, 24) };
        let outage = outage(Duration::from_secs(length), failing).await;
        assert!(outage.connects <= most, "{length} s: {outage:?}");
        assert!(outage.slowest_refusal <= ms(10), "{outage:?}");
        assert!(outage.first_success <= ms(500), "{outage:?}");
        first_successes.push(outage.first_success);
    }
    first_successes.sort();
    assert!(first_successes[4] <= ms(300), "{first_successes:?}");
}

/// While connecting fails, connections that are there go on being lent.
#[tokio::test(start_paused = true)]
async fn idle_connections_are_lent_while_the_connect_gate_is_shut() {
    let (script, pool) = pool(4);
    let first = pool.get().await.unwrap();
    script.connect.otherwise(Step::Fail(ErrorClass::Transient));
    let error = pool.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    drop(first);
    for _ in 0..100 {
        pool.run(async |_| Ok(())).await.unwrap();
    }
    assert!(pool.ready().ready);
}

/// A server that is only full is no outage: whoever waits is served by what there is.
#[tokio::test(start_paused = true)]
async fn a_full_server_refuses_nobody_who_can_wait() {
    let (script, pool) = pool(4);
    let first = pool.get().await.unwrap();
    script.connect.otherwise(Step::Fail(ErrorClass::Overload));
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run(async |_| Ok(())).await })
        })
        .collect();
    pass(Duration::from_secs(2)).await;
    drop(first);
    for caller in waiting {
        caller.await.unwrap().unwrap();
    }
    assert!(script.connects() <= 1 + 10, "{}", script.connects());
}

/// Connecting that hangs, once it is known to fail, keeps none waiting but the one for whom it is
/// tried.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_after_a_failure_keeps_one_caller_waiting() {
    let (script, pool) = pool(4);
    script.connect.otherwise(Step::Hang);
    let connect_timeout = pool.config().pool.connect_timeout;
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop).unwrap_err() }
    });
    pass(connect_timeout + ms(20)).await;
    assert_eq!(script.connects(), 2);
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(pool.get().await.unwrap_err().kind(), ErrorKind::Connect);
        assert!(asked.elapsed() <= ms(10), "{:?}", asked.elapsed());
    }
    assert!(!first.is_finished());
    assert_eq!(first.await.unwrap().kind(), ErrorKind::Connect);
    assert_eq!(script.connects(), 2);
    let statistics = pool.statistics().nodes[0].pool.clone();
    assert_eq!((statistics.started, statistics.failed), (21, 21));
    pool.audit_quiescent().unwrap();
}
