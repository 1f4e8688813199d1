//! The async loop on Tokio's paused clock, and the policy for tower.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![cfg(all(feature = "tokio", feature = "tower"))]

mod support;

use std::{
    collections::HashSet,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use backoff::{
    Budget, Cost, Hint, Policy, Stop, TokioSleep, retry,
    tower::{RetryPolicy, Verdict},
};
use support::{ms, seconds};
use tokio::time::Instant;
use tower::{ServiceExt, retry::Retry, service_fn};

#[tokio::test(start_paused = true)]
async fn the_async_loop_waits_on_the_clock_of_the_runtime() {
    let start = Instant::now();
    let retry = retry(seconds(9)).deadline(start.into_std() + ms(5999));
    let error = retry.run(|| ready(Err::<(), _>("no"))).await.unwrap_err();
    assert_eq!(
        (error.stop, error.attempts, error.elapsed),
        (Stop::Deadline, 3, ms(3000))
    );
    assert_eq!(start.elapsed(), ms(3000));
}

#[tokio::test(start_paused = true)]
async fn a_retry_can_be_spawned() {
    let task = tokio::spawn(async {
        let retry = retry(seconds(3)).when(|_: &u8| true).notify(|_, _| {});
        retry.run(|| async { Err::<(), _>(7) }).await
    });
    assert_eq!(task.await.unwrap().unwrap_err().error, 7);
}

/// Notes every sleep instead of sleeping it.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<Duration>>>);

impl backoff::Sleep for Noted {
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        self.0.lock().unwrap().push(span);
        ready(())
    }
}

fn classify(result: &Result<u16, &'static str>) -> Verdict {
    match result {
        Ok(200) => Verdict::Success,
        Ok(503) => Verdict::Retry(Cost::Timeout, Hint::Silent),
        Ok(_) => Verdict::Permanent,
        Err(_) => Verdict::Retry(Cost::Failure, Hint::Silent),
    }
}

#[tokio::test(start_paused = true)]
async fn tower_retries_by_the_verdict_and_pays_from_the_shared_budget() {
    for (answers, expected, balance) in [
        (
            vec![Ok(503), Err("gone"), Ok(200)],
            Ok(200),
            10.0 - 3.0 + 0.1,
        ),
        (vec![Ok(404)], Ok(404), 10.0),
        (vec![Err("1"), Err("2"), Err("3")], Err("3"), 8.0),
    ] {
        let budget = Arc::new(Budget::default());
        let policy = RetryPolicy::new(seconds(3), TokioSleep, Arc::clone(&budget), classify);
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let server = service_fn(move |()| ready(answers.lock().unwrap().next().unwrap()));
        assert_eq!(Retry::new(policy, server).oneshot(()).await, expected);
        assert_eq!(budget.balance(), balance);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_tower_stack_do_not_share_their_jitter() {
    let noted = Noted::default();
    let budget = Arc::new(Budget::builder().capacity(5000).build().unwrap());
    let policy = Policy::exponential(ms(1000), ms(1000))
        .max_attempts(2)
        .build()
        .unwrap();
    let policy = RetryPolicy::new(policy, noted.clone(), budget, classify);
    let service = Retry::new(policy, service_fn(|()| ready(Err("gone"))));
    for _ in 0..2000 {
        assert_eq!(service.clone().oneshot(()).await, Err("gone"));
    }
    let distinct: HashSet<Duration> = noted.0.lock().unwrap().iter().copied().collect();
    assert_eq!(distinct.len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn a_tower_wait_that_is_dropped_costs_nothing() {
    let budget = Arc::new(Budget::default());
    let policy = RetryPolicy::new(seconds(3), TokioSleep, Arc::clone(&budget), classify);
    let service = Retry::new(policy, service_fn(|()| ready(Err("gone"))));
    assert!(
        tokio::time::timeout(ms(500), service.clone().oneshot(()))
            .await
            .is_err()
    );
    assert_eq!(budget.balance(), 10.0);
    assert!(
        tokio::time::timeout(ms(1500), service.oneshot(()))
            .await
            .is_err()
    );
    assert_eq!(budget.balance(), 9.0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_tower_policy_begins_at_the_beginning() {
    use tower::retry::Policy as _;

    let budget = Arc::new(Budget::default());
    let mut policy = RetryPolicy::new(seconds(2), TokioSleep, budget, classify);
    assert!(policy.retry(&mut (), &mut Err("gone")).is_some());
    assert!(policy.retry(&mut (), &mut Err("gone")).is_none());
    assert!(policy.clone().retry(&mut (), &mut Err("gone")).is_some());
}
