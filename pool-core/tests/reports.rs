//! Leaks and nested acquires are reported with the places that caused them.

mod support;

use pool_core::{Event, Pool};
use support::{Recorder, ScriptedPool, ms, pass, pool_with, settle};

fn reported(recorder: &Recorder) -> Vec<(u32, u32)> {
    let lines = recorder
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::NestedAcquire { site, holds, .. } => {
                assert_eq!((site.file(), holds.file()), (file!(), file!()));
                Some((site.line(), holds.line()))
            }
            _ => None,
        });
    lines.collect()
}

fn watched() -> (Recorder, ScriptedPool) {
    let recorder = Recorder::default();
    let (_, pool) = pool_with(1, |b| b.leak_report(ms(1000)).observer(recorder.clone()));
    (recorder, pool)
}

/// The fault: nested get. A task that waits while it holds is named, with both places.
#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_itself_is_reported_with_both_places() {
    let (recorder, pool) = watched();
    let (holds, site) = tokio::spawn(async move {
        let _held = pool.get().await.unwrap();
        let holds = line!() - 1;
        assert!(pool.get_timeout(ms(100)).await.is_err());
        (holds, line!() - 1)
    })
    .await
    .unwrap();
    assert_eq!(reported(&recorder), [(site, holds)]);
}

#[tokio::test(start_paused = true)]
async fn two_tasks_that_share_a_connection_are_not_taken_for_one() {
    let (recorder, pool) = watched();
    let users: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let held = pool.get().await.unwrap();
                pass(ms(10)).await;
                drop(held);
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    assert!(reported(&recorder).is_empty());
}

/// Extra to the scenarios: the report clears with the return, and a later lease is told anew.
#[tokio::test(start_paused = true)]
async fn a_long_lease_is_reported_once_and_a_short_one_never() {
    let (recorder, pool) = watched();
    let long = |event: &Event| matches!(event, Event::HeldTooLong { .. });
    for _ in 0..20 {
        let held = pool.get().await.unwrap();
        pass(ms(200)).await;
        drop(held);
    }
    assert_eq!(recorder.count(long), 0);
    for round in 1..=2 {
        let held = pool.get().await.unwrap();
        pass(ms(3000)).await;
        assert_eq!(recorder.count(long), round);
        drop(held);
        pass(ms(3000)).await;
        assert_eq!(recorder.count(long), round);
    }
}

/// Every way to get names its caller, not the pool's own lines.
#[tokio::test(start_paused = true)]
async fn every_way_to_acquire_names_the_line_that_calls_it() {
    async fn of(pool: &Pool<pool_core::testing::Scripted>, recorder: &Recorder) -> u32 {
        let before = recorder.events().len();
        pass(ms(2000)).await;
        let told = recorder.events().split_off(before);
        let lines: Vec<_> = told
            .iter()
            .filter_map(|event| match event {
                Event::HeldTooLong { site, .. } => {
                    assert_eq!(site.file(), file!());
                    Some(site.line())
                }
                _ => None,
            })
            .collect();
        assert_eq!(lines.len(), 1, "{:?}", pool.state());
        lines[0]
    }
    let (recorder, pool) = watched();
    let held = pool.get().await.unwrap();
    assert_eq!(of(&pool, &recorder).await, line!() - 1);
    drop(held);
    let held = pool.try_get().unwrap();
    assert_eq!(of(&pool, &recorder).await, line!() - 1);
    drop(held);
    let held = pool.get_timeout(ms(10)).await.unwrap();
    assert_eq!(of(&pool, &recorder).await, line!() - 1);
    drop(held);
    let held = pool.get_with(pool_core::GetOptions::new()).await.unwrap();
    assert_eq!(of(&pool, &recorder).await, line!() - 1);
    drop(held);
    let running = tokio::spawn({
        let pool = pool.clone();
        async move {
            let work = pool.run(async |_| {
                pass(ms(10_000)).await;
                Ok::<_, ()>(())
            });
            work.await.unwrap();
        }
    });
    settle().await;
    let line = of(&pool, &recorder).await;
    assert!((line!() - 12..line!()).contains(&line));
    running.await.unwrap();
    pool.audit_quiescent().unwrap();
}
