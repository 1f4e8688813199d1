//! Snapshots taken while others count: never ahead of the truth, never going back, exact at rest.

#![expect(
    clippy::disallowed_methods,
    reason = "only differences between dates count"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pool_metrics::{AcquirePath, PoolRecorder, PoolSnapshot};

const THREADS: u64 = 3;
const EVENTS: u64 = 20_000;

#[test]
fn a_snapshot_shows_only_what_happened_and_never_goes_back() {
    let start = Instant::now();
    let recorder = PoolRecorder::new(start);
    // Counted by each thread before it counts with the recorder: never behind it.
    let begun = AtomicU64::new(0);
    let snapshot = || {
        let mut pool = PoolSnapshot::new("p", "test");
        recorder.add_to(&mut pool, start);
        pool
    };

    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for event in 0..EVENTS {
                    begun.fetch_add(1, Ordering::SeqCst);
                    recorder.created.increment();
                    recorder.acquired.increment(AcquirePath::Created);
                    recorder.acquire_time.record(Duration::from_micros(event));
                    recorder.peak_used.observe(event);
                }
            });
        }
        let mut earlier = snapshot();
        while begun.load(Ordering::SeqCst) < THREADS * EVENTS {
            let later = snapshot();
            let begun = begun.load(Ordering::SeqCst);
            assert!(later.created <= begun && later.acquired.total() <= begun);
            assert!(later.acquire_time.count() <= begun);
            assert!(later.created >= earlier.created);
            assert!(later.peak_used >= earlier.peak_used);
            for (later, earlier) in later
                .acquire_time
                .buckets
                .iter()
                .zip(&earlier.acquire_time.buckets)
            {
                assert!(later >= earlier, "a bucket fell");
            }
            earlier = later;
        }
    });

    let pool = snapshot();
    assert_eq!(pool.created, THREADS * EVENTS);
    assert_eq!(pool.acquired[AcquirePath::Created], THREADS * EVENTS);
    assert_eq!(pool.acquire_time.count(), THREADS * EVENTS);
    assert_eq!(pool.peak_used, EVENTS - 1);
    let micros = THREADS * EVENTS * (EVENTS - 1) / 2;
    assert_eq!(pool.acquire_time.sum, Duration::from_micros(micros));
}
