//! What a call costs in memory: nothing, once its connection is there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pool_core::testing::ScriptedConnection;
use pool_facade::{Endpoint, pool_core};
use support::pool;

/// Polls a future that needs no waiting.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it had to wait"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_faults_allocates_nothing() {
    let (script, pool) = pool(2);
    for name in ["one node", "the best of several"] {
        pool.warm().await.unwrap();
        let work = async |connection: &mut ScriptedConnection| Ok(connection.id);
        ready(pool.run(work)).unwrap();
        let cost = allocation_counter::measure(|| {
            for _ in 0..1000 {
                ready(pool.run(work)).unwrap();
            }
        });
        assert_eq!(cost.count_total, 0, "{name}: {cost:?}");
        let cost = allocation_counter::measure(|| {
            for _ in 0..1000 {
                drop(ready(pool.get()).unwrap());
            }
        });
        assert_eq!(cost.count_total, 0, "{name}: {cost:?}");
        let _ = pool.add(Endpoint::new("another", script.manager()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_future_of_a_call_holds_nothing_that_is_seldom_needed() {
    let (_, pool) = pool(1);
    let run = pool.run(async |connection: &mut ScriptedConnection| Ok(connection.id));
    let (run, get) = (size_of_val(&run), size_of_val(&pool.get()));
    assert!(run <= 768 && get <= 512, "{run} and {get} bytes");
}
