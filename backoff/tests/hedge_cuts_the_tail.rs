//! A hedge starts a second attempt only when it should, and the first success wins.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![cfg(feature = "tokio")]

use std::{cell::Cell, time::Duration};

use backoff::{Admission, Budget, Cost, Hedge, hedge};
use tokio::time::{Instant, sleep};

const AFTER: Duration = Duration::from_millis(20);

/// Attempt `n` takes `plan[n].0` ms and ends as `plan[n].1`: the result, how many attempts began,
/// and after how many milliseconds it came.
async fn run<G: FnMut(std::time::Instant) -> Admission>(
    hedge: Hedge<'_, G>,
    plan: [(u64, Result<u8, u8>); 2],
) -> (Result<u8, u8>, usize, u128) {
    let began = Cell::new(0);
    let start = Instant::now();
    let result = hedge
        .run(|| {
            let (span, result) = plan[began.get()];
            began.set(began.get() + 1);
            async move {
                sleep_ms(span).await;
                result
            }
        })
        .await;
    (result, began.get(), start.elapsed().as_millis())
}

#[expect(clippy::disallowed_methods, reason = "time is paused in these tests")]
async fn sleep_ms(span: u64) {
    sleep(Duration::from_millis(span)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fast_attempt_is_alone() {
    let budget = Budget::default();
    assert_eq!(
        run(hedge(AFTER, &budget), [(19, Ok(1)), (0, Ok(2))]).await,
        (Ok(1), 1, 19)
    );
    assert_eq!(
        run(hedge(AFTER, &budget), [(19, Err(1)), (0, Ok(2))]).await,
        (Err(1), 1, 19)
    );
    assert_eq!(budget.balance(), 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_gets_a_second_and_the_first_success_wins() {
    let budget = Budget::default();
    assert_eq!(
        run(hedge(AFTER, &budget), [(900, Ok(1)), (5, Ok(2))]).await,
        (Ok(2), 2, 25)
    );
    assert_eq!(
        run(hedge(AFTER, &budget), [(30, Ok(1)), (900, Ok(2))]).await,
        (Ok(1), 2, 30)
    );
    assert_eq!(budget.balance(), 10.0 - 2.0 + 0.2);
}

#[tokio::test(start_paused = true)]
async fn one_failure_of_two_is_not_the_end() {
    let budget = Budget::default();
    assert_eq!(
        run(hedge(AFTER, &budget), [(30, Err(1)), (40, Ok(2))]).await,
        (Ok(2), 2, 60)
    );
    assert_eq!(
        run(hedge(AFTER, &budget), [(90, Ok(1)), (5, Err(2))]).await,
        (Ok(1), 2, 90)
    );
    assert_eq!(
        run(hedge(AFTER, &budget), [(90, Err(1)), (5, Err(2))]).await,
        (Err(1), 2, 90)
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_or_a_gate_means_one_attempt() {
    let budget = Budget::default();
    let slow = [(100, Ok(1)), (0, Ok(2))];
    assert_eq!(
        run(hedge(AFTER, &budget).gate(|_| Admission::Never), slow)
            .await
            .1,
        1
    );
    let later = |now| Admission::NotBefore(now + AFTER);
    assert_eq!(
        run(hedge(AFTER, &budget).gate(later), slow).await,
        (Ok(1), 1, 100)
    );
    while budget.try_spend(Cost::Failure) {}
    assert_eq!(run(hedge(AFTER, &budget), slow).await, (Ok(1), 1, 100));
}

#[tokio::test(start_paused = true)]
async fn inside_a_retry_the_retry_deposits() {
    let budget = Budget::builder().initial(0).build().unwrap();
    run(
        hedge(AFTER, &budget).without_deposit(),
        [(0, Ok(1)), (0, Ok(2))],
    )
    .await
    .0
    .unwrap();
    assert_eq!(budget.balance(), 0.0);
    run(hedge(AFTER, &budget), [(0, Ok(1)), (0, Ok(2))])
        .await
        .0
        .unwrap();
    assert_eq!(budget.balance(), 0.1);
}

#[test]
fn a_hedge_shows_when_it_sends_a_second_attempt() {
    let budget = Budget::default();
    let shown = format!(
        "{:?}",
        hedge(Duration::from_millis(70), &budget).without_deposit()
    );
    assert!(
        shown.starts_with("Hedge { after: 70ms, budget: "),
        "{shown}"
    );
    assert!(shown.ends_with("deposits: false, .. }"), "{shown}");
}
