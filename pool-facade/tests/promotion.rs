//! A replica that takes the place of a primary which is gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use pool_core::ErrorClass;
use pool_core::testing::{Script, Step};
use pool_facade::balance::Role;
use pool_facade::health::Report;
use pool_facade::{CallOptions, Endpoint, Pool, pool_core, testing};
use support::pass;

#[tokio::test(start_paused = true)]
async fn it_is_found_within_three_seconds_and_asked_no_more_than_that_takes() {
    testing::seed(1);
    let (old, new) = (Script::new(), Script::new());
    old.connect.otherwise(Step::Fail(ErrorClass::Transient));
    let promoted = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU32::new(0));
    let (is_promoted, count) = (promoted.clone(), asked.clone());
    let pool = Pool::builder()
        .endpoint(Endpoint::new("old", old.manager()).role(Role::Primary))
        .endpoint(Endpoint::new("new", new.manager()).role(Role::Replica))
        .probe(move |_| {
            count.fetch_add(1, SeqCst);
            let role = if is_promoted.load(SeqCst) {
                Role::Primary
            } else {
                Role::Replica
            };
            Box::pin(async move { Report::up().with_role(role) })
        })
        .build()
        .unwrap();
    let read = CallOptions::new().read_only();
    pool.run_with(read, async |_| Ok(())).await.unwrap();

    pass(Duration::from_secs(60)).await;
    pool.run(async |_| Ok(())).await.unwrap_err();
    let before = asked.swap(0, SeqCst);
    assert!((30..=70).contains(&before), "{before} times in 60 s");
    promoted.store(true, SeqCst);
    pass(Duration::from_secs(3)).await;
    pool.run(async |_| Ok(())).await.unwrap();

    asked.store(0, SeqCst);
    pass(Duration::from_secs(60)).await;
    let after = asked.load(SeqCst);
    assert!(after <= 8, "{after} times in 60 s");
}
