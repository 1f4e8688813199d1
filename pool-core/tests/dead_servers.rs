//! Servers that are there and do not serve: they say nothing, or throw everybody out.

mod support;

use pool_core::testing::{Script, Step};
use pool_core::{Check, ErrorClass, ErrorKind, Pool, Stage};
use support::{ms, pass};

/// A server that lets everybody in and throws them out at once is asked at a pace.
#[tokio::test(start_paused = true)]
async fn connections_that_are_dead_on_arrival_are_opened_at_the_pace_of_failures() {
    let script = Script::new();
    script.connect.otherwise(Step::Yield(3));
    script.has_broken.otherwise(Step::Fail(ErrorClass::Broken));
    let pool = Pool::builder(script.manager()).max_size(4).build().unwrap();
    let error = pool.get_timeout(ms(2000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect));
    let attempts = pool.statistics().connects;
    assert!((2..=24).contains(&attempts), "{attempts} in 2 s");
    pool.audit_quiescent().unwrap();
}

/// Eight idle connections fall silent: three are asked, the others go unasked, as soon as
/// the server is known to take new ones.
#[tokio::test(start_paused = true)]
async fn silent_connections_are_condemned_after_three_though_none_is_wanted() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(8)
        .check(Check::Always)
        .validate_timeout(ms(100))
        .build()
        .unwrap();
    let held: Vec<_> = futures_util::future::join_all((0..8).map(|_| pool.get())).await;
    drop(held);
    script.is_valid.otherwise(Step::Hang);
    let asked = script.checks();
    let lent = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert_eq!(script.checks() - asked, 3);
    assert_eq!(pool.statistics().sweeps, 1);
    drop(lent);
}

/// Never used is no proof: what was opened long ago for the idle minimum is checked as well.
#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_has_used_yet_is_checked_once_it_is_old() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(1)
        .min_idle(1)
        .check(Check::Always)
        .keepalive(None)
        .build()
        .unwrap();
    pool.warm().await.unwrap();
    pass(ms(60)).await;
    script.is_valid.otherwise(Step::Fail(ErrorClass::Broken));
    pass(ms(5000)).await;
    let id = pool.get().await.unwrap().info().id;
    assert!(script.checks() >= 1);
    assert!(id > 0, "the silent one was lent");
}

/// The evidence that one silent connection asked for is not wanted once another has answered.
#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_suspicion_that_one_silent_connection_raised() {
    let script = Script::new();
    let pool = Pool::builder(script.manager())
        .max_size(2)
        .check(Check::Always)
        .validate_timeout(ms(100))
        .build()
        .unwrap();
    drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
    pass(ms(2000)).await;
    script.is_valid.then(Step::Hang);
    script.close.otherwise(Step::Delay(ms(50)));
    drop(pool.get().await.unwrap());
    pass(ms(2000)).await;
    assert_eq!(pool.statistics().connects, 2);
    assert_eq!(pool.state().size, 1);
}
