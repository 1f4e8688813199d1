//! The task that runs probes, in paused time.
#![cfg(feature = "tokio")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use health::{
    Event, Events, Failure, Group, GroupPolicy, Outcome, Report, Runner, State, TargetId, spawn,
    spawn_batches,
};
use tokio::time::Instant;

fn group(keys: &[&'static str]) -> (Group<&'static str>, Vec<TargetId>) {
    let now = Instant::now().into_std();
    let mut group = Group::with_seed(GroupPolicy::new(), 1, now).expect("valid");
    let ids = keys.iter().map(|key| group.insert(*key, now)).collect();
    (group, ids)
}

/// An hour of paused time passes in no time, and a test that waits for nothing fails.
async fn within<T>(future: impl Future<Output = T>) -> T {
    let hour = Duration::from_secs(3_600);
    tokio::time::timeout(hour, future)
        .await
        .expect("it happens within an hour")
}

/// The next change of state, with its reason.
async fn next_state(events: &mut Events) -> (State, Option<Failure>) {
    loop {
        match within(events.next()).await.expect("still running") {
            Event::Changed(_, change) => return (change.to.state, change.failure),
            _ => continue,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_goes_down_and_comes_back_and_everybody_is_told() {
    let (group, ids) = group(&["a"]);
    let alive = Arc::new(AtomicBool::new(true));
    let probe = {
        let alive = Arc::clone(&alive);
        move |_| {
            let up = alive.load(Ordering::Relaxed);
            async move {
                if up {
                    Report::up()
                } else {
                    Report::down(Failure::Connect)
                }
            }
        }
    };
    let runner = spawn(group, probe);
    let mut events = runner.events();
    let mut watch = runner.watch();
    assert_eq!(next_state(&mut events).await, (State::Up, None));
    alive.store(false, Ordering::Relaxed);
    assert_eq!(
        next_state(&mut events).await,
        (State::Down, Some(Failure::Connect))
    );
    let seen = loop {
        let snapshot = within(watch.changed()).await.expect("still running");
        if snapshot.targets[0].status.state == State::Down {
            break snapshot;
        }
    };
    assert_eq!((seen.targets[0].id, seen.targets[0].key), (ids[0], "a"));
    alive.store(true, Ordering::Relaxed);
    assert_eq!(next_state(&mut events).await, (State::Up, None));
    let group = runner.stop().await.expect("running");
    assert_eq!(group.status(ids[0]).expect("a member").state, State::Up);
    assert_eq!(events.missed(), 0);
    while let Some(event) = within(events.next()).await {
        assert!(matches!(event, Event::Panic(_)), "{event:?}");
    }
    while within(watch.changed()).await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_probe_is_a_failed_probe_wherever_it_happens() {
    async fn later(_: &'static str) -> Report {
        tokio::task::yield_now().await;
        panic!("expected: a probe panics while it runs")
    }
    let at_once = |_| -> std::future::Ready<Report> { panic!("expected: the call panics") };
    let runners = [
        spawn(group(&["a"]).0, later),
        spawn(group(&["a"]).0, at_once),
    ];
    for mut events in runners.each_ref().map(Runner::events) {
        assert_eq!(
            next_state(&mut events).await,
            (State::Down, Some(Failure::Panic))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_cut_at_its_deadline_and_delays_nobody() {
    struct Cut(Arc<AtomicU32>);
    impl Drop for Cut {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let cut = Arc::new(AtomicU32::new(0));
    let cuts = Arc::clone(&cut);
    let runner = spawn(group(&["hangs", "answers"]).0, move |key| {
        let cut = Cut(Arc::clone(&cuts));
        async move {
            if key == "hangs" {
                std::future::pending::<()>().await;
            }
            std::mem::forget(cut);
            Report::<()>::up()
        }
    });
    let begin = Instant::now();
    let mut events = runner.events();
    assert_eq!(next_state(&mut events).await, (State::Up, None));
    assert!(begin.elapsed() <= Duration::from_millis(1_010));
    assert_eq!(
        next_state(&mut events).await,
        (State::Down, Some(Failure::Timeout))
    );
    assert!(cut.load(Ordering::Relaxed) >= 3);
}

#[tokio::test(start_paused = true)]
async fn stop_lets_the_probes_in_flight_finish_and_starts_no_more() {
    let started = Arc::new(AtomicU32::new(0));
    let finished = Arc::new(AtomicU32::new(0));
    let counters = (Arc::clone(&started), Arc::clone(&finished));
    let runner = spawn(group(&["a", "b", "c"]).0, move |_| {
        let (started, finished) = (Arc::clone(&counters.0), Arc::clone(&counters.1));
        async move {
            started.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep_until(Instant::now() + Duration::from_millis(900)).await;
            finished.fetch_add(1, Ordering::Relaxed);
            Report::<()>::up()
        }
    });
    // All three begin within the first second, and the first then takes another 900 ms.
    while started.load(Ordering::Relaxed) == 0 {
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let begin = Instant::now();
    let before = started.load(Ordering::Relaxed);
    let group = runner.stop().await.expect("running");
    assert!(begin.elapsed() <= Duration::from_secs(1));
    assert_eq!(started.load(Ordering::Relaxed), before);
    assert_eq!(finished.load(Ordering::Relaxed), before);
    assert_eq!(group.in_flight(), 0);
    let judged = group
        .targets()
        .filter(|(id, _)| group.status(*id).expect("a member").state == State::Up);
    assert_eq!(judged.count(), before as usize, "their results count");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_call_and_targets_without_a_report_have_failed() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let (group, ids) = {
        let now = Instant::now().into_std();
        let policy = GroupPolicy::new().batch(8, Duration::from_secs(1));
        let mut group = Group::with_seed(policy, 1, now).expect("valid");
        let ids: Vec<TargetId> = (0..8).map(|key| group.insert(key, now)).collect();
        (group, ids)
    };
    let runner = spawn_batches(group, move |keys: Vec<i32>| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            keys.iter()
                .take_while(|key| **key != 7)
                .map(|_| Report::<()>::up())
                .collect()
        }
    });
    let mut events = runner.events();
    next_state(&mut events).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1, "all eight in one call");
    while next_state(&mut events).await != (State::Down, Some(Failure::Other)) {}
    let group = runner.stop().await.expect("running");
    assert_eq!(group.status(ids[7]).expect("a member").state, State::Down);
}

#[tokio::test(start_paused = true)]
async fn targets_come_and_go_while_it_runs() {
    let runner: Runner<&str> = spawn(group(&[]).0, |_| async { Report::up() });
    let id = runner.insert("late").await.expect("running");
    let mut events = runner.events();
    assert_eq!(next_state(&mut events).await, (State::Up, None));
    assert_eq!(runner.snapshot().eligible().count(), 1);
    assert_eq!(runner.remove(id).await, Ok(Some("late")));
    assert_eq!(runner.remove(id).await, Ok(None));
    let group = runner.stop().await.expect("running");
    assert_eq!(group.targets().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_operations_eject_a_target_whose_probes_are_good() {
    let (group, ids) = group(&["liar", "good"]);
    let runner = spawn(group, |_| async { Report::up() });
    let mut events = runner.events();
    for _ in 0..2 {
        next_state(&mut events).await;
    }
    for _ in 0..5 {
        runner.record(ids[0], Outcome::Failure);
    }
    let ejection = loop {
        if let Event::Ejected(ejection) = within(events.next()).await.expect("running") {
            break ejection;
        }
    };
    assert_eq!(ejection.target, ids[0]);
    let mut watch = runner.watch();
    while watch.snapshot().eligible().count() != 1 {
        within(watch.changed()).await.expect("running");
    }
    while within(events.next()).await.expect("running") != Event::Returned(ids[0]) {}
    assert_eq!(runner.lost(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_runner_ends_the_task_and_its_probes() {
    let held = Arc::new(());
    let probe = {
        let held = Arc::clone(&held);
        move |_| {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Report::<()>::up()
            }
        }
    };
    let runner = spawn(group(&["a"]).0, probe);
    let mut events = runner.events();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    drop(runner);
    while within(events.next()).await.is_some() {}
    // What the task held is dropped with it.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&held), 1);
}
