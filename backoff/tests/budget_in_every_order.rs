//! The bucket under shuttle: its source, as it is, on shuttle's atomics.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../src/budget/bucket.rs"]
mod bucket;

use std::sync::Arc;

use bucket::Bucket;
use shuttle::{
    sync::atomic::AtomicU64,
    thread::{JoinHandle, spawn},
};

/// Two takers of three units and one who puts one at a time, from a level of four out of five.
fn race() {
    let bucket = Arc::new(Bucket::new(4, 5));
    let takers: Vec<JoinHandle<u64>> = (0..2)
        .map(|_| {
            let bucket = Arc::clone(&bucket);
            spawn(move || (0..2).map(|_| 3 * u64::from(bucket.try_take(3))).sum())
        })
        .collect();
    let putter = {
        let bucket = Arc::clone(&bucket);
        spawn(move || {
            for _ in 0..3 {
                bucket.put(1);
                assert!(bucket.level() <= 5, "above full");
            }
        })
    };
    let taken: u64 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
    putter.join().unwrap();
    assert!(taken <= 4 + 3, "{taken} taken");
    // At most two of the three units put found no room; nothing else is lost.
    assert!(taken + bucket.level() <= 4 + 3);
    assert!(taken + bucket.level() > 4);
}

#[test]
fn no_order_of_events_overspends_or_loses_units() {
    shuttle::check_random(race, 5_000);
    shuttle::check_pct(race, 5_000, 3);
}
