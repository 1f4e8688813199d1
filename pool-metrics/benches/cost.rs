//! What does counting cost an acquire, and a scrape its program?
//!
//! Ratios in one run, each contender in turn, medians of many rounds: absolute figures drift with
//! the machine. A bar that is missed is printed as missed.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(
    clippy::disallowed_methods,
    reason = "reading the clock is among what is measured"
)]
#![expect(clippy::unwrap_used, reason = "constants")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use histogram::AtomicHistogram;
use pool_metrics::{
    AcquirePath, PoolRecorder, PoolSnapshot, Registry, Report, RequestOutcome, Source, Tally,
    TimeHistogram, prometheus_text,
};

struct Busy {
    name: String,
    recorder: PoolRecorder,
}

impl Source for Busy {
    fn collect(&self, now: Instant, report: &mut Report) {
        let mut pool = PoolSnapshot::new(&self.name, "postgres");
        pool.acquired[AcquirePath::Idle] = 1_000_000;
        self.recorder.add_to(&mut pool, now);
        report.push_pool(pool);
    }
}

fn busy_registry(pools: usize, now: Instant) -> (Registry, Vec<pool_metrics::Registration>) {
    let registry = Registry::new();
    let registrations = (0..pools)
        .map(|number| {
            let recorder = PoolRecorder::new(now);
            let class = recorder.class("default", now);
            for micros in 0..2000 {
                let time = Duration::from_micros(1 + micros * micros % 90_000);
                recorder.acquire_time.record(time);
                recorder.wait_time.record(time);
                recorder.use_time.record(2 * time);
                class.record(RequestOutcome::Success, time);
            }
            recorder.connect_time.record(Duration::from_millis(5));
            let name = format!("pool-{number}");
            registry
                .register(Arc::new(Busy { name, recorder }))
                .unwrap()
        })
        .collect();
    (registry, registrations)
}

/// Nanoseconds for one call of each contender: medians of rounds in which all take turns.
fn medians<const N: usize>(calls: u32, contenders: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut rounds: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..101 {
        for turn in 0..N {
            let place = (round + turn) % N;
            let start = Instant::now();
            for _ in 0..calls {
                contenders[place]();
            }
            rounds[place].push(start.elapsed().as_nanos() as f64 / f64::from(calls));
        }
    }
    rounds.map(|mut round| {
        round.sort_by(f64::total_cmp);
        round[round.len() / 2]
    })
}

fn verdict(question: &str, value: f64, bar: f64, unit: &str) {
    let verdict = if value <= bar { "met" } else { "MISSED" };
    println!("{question:<58} {value:>7.2}{unit}  bar {bar:>5.2}{unit}  {verdict}");
}

fn main() {
    let start = Instant::now();
    let shared = AtomicU64::new(0);
    let uses = Tally::default();
    let acquire = TimeHistogram::new(start);
    let [add, fast] = medians(
        10_000,
        [
            &mut || {
                shared.fetch_add(1, Relaxed);
            },
            // What the owner of a slot does: count, and time one acquire in 64.
            &mut || {
                if black_box(&uses).increment() % 64 == 0 {
                    let begin = Instant::now();
                    acquire.record_weighted(black_box(begin.elapsed()), 64);
                }
            },
        ],
    );

    let floor = AtomicHistogram::new(5, 40).unwrap();
    let times = TimeHistogram::new(start);
    let [least, slow] = medians(
        1_000,
        [
            &mut || {
                let begin = Instant::now();
                floor
                    .increment(black_box(begin.elapsed()).as_nanos() as u64)
                    .unwrap();
            },
            &mut || {
                let begin = Instant::now();
                times.record(black_box(begin.elapsed()));
            },
        ],
    );

    let (registry, _registrations) = busy_registry(100, start);
    let mut now = start;
    let [scrape] = medians(
        1,
        [&mut || {
            now += Duration::from_secs(15);
            black_box(prometheus_text(&registry.collect(now)));
        }],
    );

    println!("one atomic add {add:.1} ns, two clock reads and an increment {least:.1} ns");
    verdict(
        "count an immediate acquire / one atomic add",
        fast / add,
        0.4,
        "x ",
    );
    verdict(
        "record a slow acquire / two clock reads + one increment",
        slow / least,
        1.2,
        "x ",
    );
    verdict(
        "scrape, for each of 100 pools",
        scrape / 100.0 / 1000.0,
        20.0,
        "us",
    );
}
