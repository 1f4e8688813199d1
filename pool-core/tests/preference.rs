//! Which of several idle connections is lent.

mod support;

use pool_core::Pool;
use pool_core::testing::Script;
use support::take;

#[tokio::test(start_paused = true)]
async fn a_preferred_connection_is_lent_before_a_warmer_one_and_the_others_when_there_is_none() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(9).build().unwrap();
    drop(take(&pool, 9).await);

    pool.prefer(|id| id == 6 || id == 7);
    let held = take(&pool, 9).await;
    let ids: Vec<_> = held.iter().map(|held| held.info().id).collect();
    assert!(ids[..2].contains(&6) && ids[..2].contains(&7), "{ids:?}");
    drop(held);

    pool.prefer(|_| true);
    let warmest = pool.get().await.unwrap().info().id;
    assert!(![6, 7].contains(&warmest));
    pool.audit_quiescent().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_preferred_whatever_was_thought_of_its_predecessor() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(2).build().unwrap();
    let mut held = take(&pool, 2).await;
    pool.prefer(|_| false);
    held[0].invalidate();
    drop(held);
    let held = take(&pool, 2).await;
    let newer = held.iter().map(|held| held.info().id).max();
    drop(held);
    assert_eq!(Some(pool.get().await.unwrap().info().id), newer);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_get_whatever_comes_back() {
    let script = Script::new();
    let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    pool.prefer(|_| false);
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.is_ok() }
    });
    tokio::task::yield_now().await;
    drop(held);
    assert!(waiting.await.unwrap());
    pool.prefer(|_| panic!("scripted panic"));
    assert!(pool.try_get().is_some());
}
