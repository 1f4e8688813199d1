//! Hooks and observers: when they are called, in which order, and what they may do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use pool_core::testing::{Script, Scripted, ScriptedError, Step};
use pool_core::{
    CloseReason, ErrorClass, ErrorKind, Event, Observer, Pool, Sample, Verdict, WeakPool,
};
use support::{Recorder, ms, pass, pool_with, settle, take};

/// Uses the pool, from within a callback.
#[derive(Clone, Default)]
struct Reentrant(
    Arc<OnceLock<WeakPool<Scripted>>>,
    Arc<Mutex<BTreeSet<&'static str>>>,
);

impl Reentrant {
    fn enter(&self, who: &'static str) {
        let Some(pool) = self.0.get().and_then(WeakPool::upgrade) else {
            return;
        };
        self.1.lock().unwrap().insert(who);
        pool.state();
        pool.statistics();
        pool.config();
        // Not from a checkout or return, which an acquire would cause again without end.
        if who.starts_with("on_event") || who == "on_tick" || who == "after_connect" {
            let mut get = std::pin::pin!(pool.get_timeout(ms(1)));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            drop(get.as_mut().poll(&mut cx));
            drop(pool.try_get());
        }
    }
}

impl Observer for Reentrant {
    fn on_event(&self, _: u64, _: &Event) {
        self.enter("on_event");
    }

    fn on_sample(&self, _: Sample, _: std::time::Duration) {
        self.enter("on_sample");
    }
}

/// Invariant 5: no lock is held when user code runs. Each callback uses the pool in every way that
/// takes a lock; with a lock held this would never end.
#[tokio::test(start_paused = true)]
async fn invariant_5_every_callback_may_use_the_pool() {
    let reentrant = Reentrant::default();
    let [connected, checkout, returned, tick] = [(); 4].map(|()| reentrant.clone());
    let (script, pool) = pool_with(2, |b| {
        b.observer(reentrant.clone())
            .after_connect(move |_, _| {
                connected.enter("after_connect");
                Box::pin(async { Ok(()) })
            })
            .on_checkout(move |_, _| {
                checkout.enter("on_checkout");
                Verdict::Keep
            })
            .on_return(move |_, _| {
                returned.enter("on_return");
                Verdict::Keep
            })
            .on_tick(move |_, _| tick.enter("on_tick"))
    });
    reentrant.0.set(pool.downgrade()).unwrap();
    for _ in 0..5 {
        drop(take(&pool, 2).await);
        pass(ms(300)).await;
        pool.retain(|_, _| {
            assert!(pool.state().leased >= 1);
            Verdict::Discard
        });
        pool.clear();
    }
    pass(ms(300)).await;
    let called = reentrant.1.lock().unwrap().clone();
    let all = [
        "after_connect",
        "on_checkout",
        "on_event",
        "on_return",
        "on_sample",
        "on_tick",
    ];
    assert!(called.iter().eq(&all), "{called:?}");
    assert!(script.connects() > 0);
    pool.audit_quiescent().unwrap();
}

/// Events are numbered from 0 without gaps, delivered in that order, one at a time.
#[tokio::test(start_paused = true)]
async fn events_arrive_in_order_and_tell_a_connections_life() {
    let recorder = Recorder::default();
    let (script, pool) = pool_with(1, |b| b.observer(recorder.clone()));
    script.connect.then(Step::Fail(ErrorClass::Transient));
    drop(pool.get().await.unwrap());
    pool.suspend();
    pool.resume();
    pool.resize(2).unwrap();
    pool.clear();
    settle().await;
    pool.close(ms(10)).await;
    let numbered = recorder.numbered();
    assert!(
        numbered
            .iter()
            .map(|(number, _)| *number)
            .eq(0..numbered.len() as u64)
    );
    let told: Vec<_> = recorder
        .events()
        .iter()
        .map(|event| match event {
            Event::ConnectFailed {
                class: ErrorClass::Transient,
                ..
            } => "failed",
            Event::Connected { connection: 1, .. } => "connected",
            Event::Suspended => "suspended",
            Event::Resumed => "resumed",
            Event::Resized { target: 2, .. } => "resized",
            Event::Closed {
                connection: 1,
                reason: CloseReason::Cleared,
                ..
            } => "closed",
            Event::Cleared { generation: 0, .. } => "cleared",
            Event::PoolClosed => "pool closed",
            _ => "something else",
        })
        .collect();
    let expected = [
        "failed",
        "connected",
        "suspended",
        "resumed",
        "resized",
        "closed",
        "cleared",
        "pool closed",
    ];
    assert_eq!(told, expected);
}

/// Many threads make events; the observer sees them one at a time, in order, none twice.
#[test]
fn events_of_many_threads_are_delivered_one_at_a_time() {
    #[derive(Default, Clone)]
    struct OneAtATime(Arc<Mutex<Vec<u64>>>);

    impl Observer for OneAtATime {
        fn on_event(&self, sequence: u64, _: &Event) {
            let mut seen = self.0.try_lock().expect("events are told one at a time");
            std::thread::yield_now();
            seen.push(sequence);
        }
    }

    let seen = OneAtATime::default();
    let (_, pool) = pool_with(1, |b| b.observer(seen.clone()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.suspend();
                    pool.resume();
                }
            });
        }
    });
    assert!(seen.0.lock().unwrap().iter().copied().eq(0..1600));
}

/// An observer that panics misses that event alone, and is not told of its own panic.
#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_goes_on_being_told() {
    struct Nervous(Recorder);

    impl Observer for Nervous {
        fn on_event(&self, sequence: u64, event: &Event) {
            self.0.on_event(sequence, event);
            assert!(sequence % 2 == 1, "an observer's panic");
        }
    }

    let recorder = Recorder::default();
    let (_, pool) = pool_with(1, |b| b.observer(Nervous(recorder.clone())));
    for _ in 0..4 {
        pool.suspend();
        pool.resume();
    }
    assert_eq!(recorder.events().len(), 8);
    assert_eq!(pool.statistics().panics, 4);
}

/// Hooks judge: what they refuse is closed, and somebody else's connection is found.
#[tokio::test(start_paused = true)]
async fn what_a_hook_refuses_is_closed_and_replaced() {
    let (script, pool) = pool_with(3, |b| {
        b.on_checkout(|connection, info| {
            assert_eq!(connection.id, info.id);
            if info.id == 0 && info.uses > 0 {
                Verdict::Discard
            } else {
                Verdict::Keep
            }
        })
        .on_return(|connection, _| {
            if connection.dirt > 0 {
                Verdict::Discard
            } else {
                Verdict::Keep
            }
        })
    });
    drop(pool.get().await.unwrap());
    let mut held = pool.get().await.unwrap();
    assert_eq!(held.id, 1, "the first was refused at its second use");
    held.dirt = 1;
    drop(held);
    assert_eq!(
        pool.get().await.unwrap().id,
        2,
        "the second was refused on return"
    );
    assert_eq!(pool.statistics().closed_for(CloseReason::Rejected), 2);
    assert_eq!(script.removed(), 2);
    pool.audit_quiescent().unwrap();
}

/// `after_connect` is part of connecting: its error is a connect error, and its time the connect's.
#[tokio::test(start_paused = true)]
async fn after_connect_is_part_of_connecting() {
    let script = Script::new();
    let calls = Arc::new(Mutex::new(0));
    let pool = Pool::builder(script.manager())
        .max_size(1)
        .connect_timeout(ms(200))
        .after_connect({
            let calls = calls.clone();
            move |connection, info| {
                assert_eq!(connection.id, info.id);
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                let call = *calls;
                Box::pin(async move {
                    match call {
                        1 => Err(forbidden().await),
                        2 => std::future::pending().await,
                        _ => Ok(()),
                    }
                })
            }
        })
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    drop(pool.get().await.unwrap());
    assert_eq!((*calls.lock().unwrap(), script.live()), (3, 1));
    assert_eq!(pool.statistics().connect_timeouts, 1);
    pool.audit_quiescent().unwrap();
}

/// A permanent error, made by the scripted manager itself as its type has no constructor here.
async fn forbidden() -> ScriptedError {
    let script = Script::new();
    script.connect.otherwise(Step::Fail(ErrorClass::Permanent));
    let other = Pool::builder(script.manager()).build().unwrap();
    other.dedicated().await.unwrap_err().unwrap()
}

/// Extra to the scenarios: `on_remove` is told of each connection once, whatever its end.
#[tokio::test(start_paused = true)]
async fn each_connection_is_removed_once_whatever_its_end() {
    let (script, pool) = pool_with(8, |b| b.check(pool_core::Check::Always).max_uses(3));
    for round in 0..40 {
        let mut held = take(&pool, 8).await;
        held[0].broken = true;
        held[1].invalidate();
        drop(held[2].operation());
        drop(held.pop().map(pool_core::Pooled::detach));
        if let Some(last) = held.pop() {
            last.close().await;
        }
        drop(held);
        match round % 4 {
            0 => pool.clear(),
            1 => pool.retain(|_, _| Verdict::Discard),
            2 => drop(script.is_valid.then(Step::Fail(ErrorClass::Broken))),
            _ => pass(ms(300)).await,
        }
        settle().await;
    }
    pool.close(ms(100)).await;
    // The script asserts that it is told of none twice; here, that it is told of all.
    assert_eq!(script.removed() as u64, pool.statistics().created);
    assert_eq!(pool.statistics().closed(), pool.statistics().created);
    assert_eq!((script.live(), pool.statistics().panics), (0, 0));
}
