//! A hundred thousand callers wait: what each costs in memory, and in wake-ups until it is served.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pool_core::{Check, ConnectContext, ErrorKind, Manager, Pool};
use support::{ms, pool_with, settle, take};

const WAITERS: u64 = 100_000;

/// A manager whose own futures are empty, so that what is measured is the pool's.
struct Numbers;

impl Manager for Numbers {
    type Connection = u64;
    type Error = std::convert::Infallible;

    async fn connect(&self, context: ConnectContext) -> Result<u64, Self::Error> {
        Ok(context.id)
    }
}

/// The fault: 100 000 waiters. At most 1 KiB each, the future included.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_waiters_cost_at_most_a_kibibyte_each() {
    let pool = Pool::builder(Numbers)
        .max_size(1)
        .max_waiters(WAITERS as usize)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut futures = Vec::new();
    let cost = allocation_counter::measure(|| {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..WAITERS {
            let mut future = Box::pin(pool.get());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            futures.push(future);
        }
    });
    let each = cost.bytes_max / WAITERS;
    assert!(each <= 1024, "{each} bytes each");
    assert_eq!(pool.state().waiting, 100_000);
    let refused = pool.get().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::QueueFull);
    let left = allocation_counter::measure(|| {
        futures.clear();
        drop(held);
    });
    assert_eq!((pool.state().waiting, pool.state().idle), (0, 1));
    assert!(left.bytes_current < 0, "leaving gives memory back");
    pool.audit_quiescent().unwrap();
}

/// What an idle connection costs beyond itself. The task that opened it is gone: a slot that held on
/// to its waker once kept the memory of the whole of it.
#[test]
fn an_idle_connection_costs_at_most_200_bytes() {
    const FEW: usize = 512;
    // Powers of two, so that no chunk of slots has room to spare.
    let [few, many] = [FEW, 2 * FEW].map(bytes_of_a_pool);
    let each = (many - few) / FEW as i64 - size_of::<u64>() as i64;
    assert!(each <= 200, "{each} bytes each");
}

/// Bytes of a pool whose connections are idle.
fn bytes_of_a_pool(size: usize) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut pool = None;
    let cost = allocation_counter::measure(|| {
        runtime.block_on(async {
            let opened = Pool::builder(Numbers).max_size(size).build();
            let opened = pool.insert(opened.expect("it is valid"));
            drop(take(opened, size).await);
            settle().await;
        });
    });
    assert_eq!(pool.map(|pool| pool.state().idle), Some(size));
    cost.bytes_current
}

/// The fault: 100 000 waiters. Serving one wakes one.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_waiters_are_drained_without_quadratic_wake_ups() {
    let (script, pool) = pool_with(4, |b| b.max_waiters(WAITERS as usize).check(Check::Never));
    let held = take(&pool, 4).await;
    let polls = Arc::new(AtomicU64::new(0));
    let mut waiters: FuturesUnordered<_> = (0..WAITERS)
        .map(|_| {
            let (pool, polls) = (pool.clone(), polls.clone());
            async move {
                let mut get = std::pin::pin!(pool.get());
                let counted = std::future::poll_fn(|cx| {
                    polls.fetch_add(1, SeqCst);
                    get.as_mut().poll(cx)
                });
                drop(counted.await.unwrap());
            }
        })
        .collect();
    assert_eq!(futures_util::poll!(waiters.next()), Poll::Pending);
    while pool.state().waiting < WAITERS as usize {
        assert_eq!(futures_util::poll!(waiters.next()), Poll::Pending);
    }
    assert_eq!(polls.load(SeqCst), WAITERS);
    drop(held);
    while waiters.next().await.is_some() {}
    let polls = polls.load(SeqCst);
    assert!(polls <= 2 * WAITERS + 100, "{polls} polls");
    assert_eq!(script.connects(), 4);
    pool.audit_quiescent().unwrap();
}

/// Closing answers all of them, each by one wake-up.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_waiters_are_told_at_once_that_the_pool_is_closed() {
    let (_, pool) = pool_with(1, |b| b.max_waiters(WAITERS as usize));
    let held = pool.get().await.unwrap();
    let mut futures: Vec<_> = (0..WAITERS).map(|_| Box::pin(pool.get())).collect();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut cx).is_pending());
    }
    let mut close = Box::pin(pool.close(ms(100)));
    assert!(futures_util::poll!(&mut close).is_pending());
    for future in &mut futures {
        let Poll::Ready(Err(error)) = future.as_mut().poll(&mut cx) else {
            panic!("a closed pool keeps somebody waiting")
        };
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    drop((futures, held));
    settle().await;
    assert!(close.await.is_clean());
}
