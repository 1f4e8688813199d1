//! What does one guarded call cost: admit and record a success, and a refusal?
//!
//! Floors: `F` is one load and one fetch_add, `clock` is one reading of the system's clock. With two
//! threads each makes the same number of calls on one breaker; the time is that of one call.

#![expect(missing_docs, reason = "criterion's macros write public functions")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures wall-clock time"
)]

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use breaker::{Breaker, Config, Outcome, Window};
use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use failsafe::{CircuitBreaker, backoff, failure_policy};

/// One line of the table, with one thread and with two.
fn compare(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, call: impl Fn() + Sync) {
    for threads in [1, 2] {
        group.bench_function(format!("{name}/{threads}"), |bencher| {
            bencher.iter_custom(|calls| {
                if threads == 1 {
                    let start = Instant::now();
                    (0..calls).for_each(|_| call());
                    return start.elapsed();
                }
                let barrier = Barrier::new(threads);
                std::thread::scope(|scope| {
                    let work = || {
                        barrier.wait();
                        let start = Instant::now();
                        (0..calls).for_each(|_| call());
                        start.elapsed()
                    };
                    let handles = [scope.spawn(work), scope.spawn(work)];
                    handles
                        .into_iter()
                        .map(|handle| handle.join().expect("no panic"))
                        .max()
                })
                .unwrap_or_default()
            });
        });
    }
}

fn closed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("closed");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let (flag, count) = (AtomicU64::new(1), AtomicU64::new(0));
    compare(&mut group, "floor_F", || {
        if black_box(&flag).load(Ordering::Acquire) == 1 {
            black_box(&count).fetch_add(1, Ordering::Relaxed);
        }
    });
    compare(&mut group, "floor_clock", || {
        black_box(Instant::now());
    });
    let now = Instant::now();
    for (name, config) in [
        ("ours_degraded_off", Config::new().degraded(None)),
        ("ours_degraded_on", Config::new()),
        (
            "ours_count_window",
            Config::new()
                .window(Window::Count { calls: 100 })
                .degraded(None),
        ),
    ] {
        let breaker = Breaker::new(config).expect("a good config");
        compare(&mut group, name, || {
            let permit = breaker.admit_at(black_box(now)).expect("closed");
            permit.settle_at(Outcome::Success, black_box(now));
        });
    }
    let breaker = Breaker::new(Config::new()).expect("a good config");
    compare(&mut group, "ours_own_clock", || {
        breaker.admit().expect("closed").success()
    });
    let recloser = recloser::Recloser::custom().closed_len(100).build();
    compare(&mut group, "recloser", || {
        recloser.call(|| Ok::<(), ()>(())).expect("closed");
    });
    let failsafe = failsafe();
    compare(&mut group, "failsafe", || {
        failsafe.call(|| Ok::<(), ()>(())).expect("closed");
    });
    group.finish();
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let wait = Duration::from_secs(3600);
    let breaker = Breaker::new(Config::classic(1, wait, 1)).expect("a good config");
    breaker.admit().expect("closed").failure();
    compare(&mut group, "ours", || assert!(breaker.admit().is_err()));
    let recloser = recloser::Recloser::custom()
        .closed_len(1)
        .open_wait(wait)
        .build();
    for _ in 0..3 {
        let _failed = recloser.call(|| Err::<(), ()>(()));
    }
    compare(&mut group, "recloser", || {
        let refused = recloser.call(|| Ok::<(), ()>(()));
        assert!(matches!(refused, Err(recloser::Error::Rejected)));
    });
    let failsafe = failsafe();
    for _ in 0..3 {
        let _failed = failsafe.call(|| Err::<(), ()>(()));
    }
    compare(&mut group, "failsafe", || {
        assert!(matches!(
            failsafe.call(|| Ok::<(), ()>(())),
            Err(failsafe::Error::Rejected)
        ));
    });
    group.finish();
}

fn failsafe() -> impl CircuitBreaker + Sync {
    let policy =
        failure_policy::consecutive_failures(3, backoff::constant(Duration::from_secs(3600)));
    failsafe::Config::new().failure_policy(policy).build()
}

criterion_group!(benches, closed, open);
criterion_main!(benches);
