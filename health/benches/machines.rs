//! What does probing cost?
//!
//! `poll` of ten thousand targets beside a scan of their due times, and `Outlier::record` beside a
//! bare counter.
//!
//! Times are criterion's. Instructions are counted by callgrind, on this very binary: each workload
//! runs in a process of its own, once short and once long, and the difference is divided by the
//! difference in operations. Without valgrind the instructions are reported as not measured.
#![allow(missing_docs, reason = "a benchmark has no interface")]
#![allow(clippy::print_stdout, reason = "the counts are for people to read")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark needs some instant to begin with"
)]

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::Criterion;
use health::{Group, GroupAction, GroupPolicy, Outcome, Outlier, OutlierPolicy, Report, TargetId};

const TARGETS: usize = 10_000;
const WORKLOAD: &str = "HEALTH_BENCH_WORKLOAD";

/// A group of targets of which all are known to be up, and its clock.
struct Rig {
    group: Group<u32>,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let now = Instant::now();
        let mut group = Group::with_seed(GroupPolicy::new(), 1, now).expect("valid");
        for key in 0..TARGETS as u32 {
            group.insert(key, now);
        }
        let mut rig = Self { group, now };
        for _ in 0..2 * TARGETS {
            rig.probe();
        }
        rig
    }

    /// Everything that one probe costs: wait, start, result.
    fn probe(&mut self) {
        loop {
            match self.group.poll(self.now) {
                GroupAction::Probe(probe) => {
                    black_box(self.group.on_result(probe, Report::up(), self.now));
                    return;
                }
                GroupAction::Event(_) => {}
                GroupAction::WaitUntil(until) => self.now = until.expect("there are targets"),
            }
        }
    }

    /// A poll that finds nothing to do.
    fn idle(&mut self) {
        black_box(self.group.poll(black_box(self.now)));
    }
}

/// What a list of due times costs per poll.
struct Scan(Vec<Instant>);

impl Scan {
    fn new() -> Self {
        let now = Instant::now();
        let due = |n: usize| now + Duration::from_micros(n as u64 * 7919 % 10_000_000);
        Self((0..TARGETS).map(due).collect())
    }

    fn poll(&self) {
        black_box(
            black_box(&self.0)
                .iter()
                .enumerate()
                .min_by_key(|(_, at)| **at),
        );
    }
}

struct Traffic {
    outlier: Outlier,
    ids: Vec<TargetId>,
    now: Instant,
    turn: usize,
}

impl Traffic {
    fn new() -> Self {
        let now = Instant::now();
        let mut outlier = Outlier::new(OutlierPolicy::new(), now).expect("valid");
        let ids = (0..16).map(|_| outlier.insert()).collect();
        let turn = 0;
        Self {
            outlier,
            ids,
            now,
            turn,
        }
    }

    /// One result in ten is a failure.
    fn record(&mut self) {
        self.turn += 1;
        let failed = self.turn % 10 == 0;
        let outcome = if failed {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        let id = self.ids[self.turn % 16];
        black_box(
            self.outlier
                .record(black_box(id), black_box(outcome), self.now),
        );
    }
}

/// The least that recording an outcome can be.
struct Counters {
    counts: Vec<(u64, u64)>,
    turn: usize,
}

impl Counters {
    fn new() -> Self {
        let counts = vec![(0, 0); 16];
        Self { counts, turn: 0 }
    }

    fn record(&mut self) {
        self.turn += 1;
        let (successes, failures) = &mut self.counts[self.turn % 16];
        *(if black_box(self.turn % 10 == 0) {
            failures
        } else {
            successes
        }) += 1;
        black_box(&self.counts);
    }
}

const NAMES: [&str; 5] = [
    "poll 10000 targets, nothing due",
    "poll 10000 targets, probe and result",
    "baseline: scan of 10000 due times",
    "Outlier::record, 10 % failures",
    "baseline: bare counter",
];

/// Builds a workload; calling the result does it once.
fn workload(name: &str) -> Box<dyn FnMut()> {
    match NAMES.iter().position(|other| *other == name) {
        Some(0) => {
            let mut rig = Rig::new();
            Box::new(move || rig.idle())
        }
        Some(1) => {
            let mut rig = Rig::new();
            Box::new(move || rig.probe())
        }
        Some(2) => {
            let scan = Scan::new();
            Box::new(move || scan.poll())
        }
        Some(3) => {
            let mut traffic = Traffic::new();
            Box::new(move || traffic.record())
        }
        Some(4) => {
            let mut counters = Counters::new();
            Box::new(move || counters.record())
        }
        _ => panic!("no workload {name:?}"),
    }
}

/// The instructions of a process that does a workload so many times, if they can be counted.
fn instructions(name: &str, times: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .env(WORKLOAD, format!("{times}:{name}"))
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let (_, collected) = report.split_once("Collected : ")?;
    collected.split_whitespace().next()?.parse().ok()
}

fn main() {
    if let Ok(order) = std::env::var(WORKLOAD) {
        let (times, name) = order.split_once(':').expect("times:name");
        let mut run = workload(name);
        for _ in 0..times.parse::<u32>().expect("a number") {
            run();
        }
        return;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for name in NAMES {
        let mut run = workload(name);
        criterion.bench_function(name, |bencher| bencher.iter(&mut run));
    }
    criterion.final_summary();
    println!("\ninstructions per operation (callgrind)");
    for name in NAMES {
        let (few, many) = (1_000, 3_000);
        match (instructions(name, few), instructions(name, many)) {
            (Some(less), Some(more)) => {
                let per_operation = more.saturating_sub(less) as f64 / f64::from(many - few);
                println!("{name:40} {per_operation:10.1}");
            }
            _ => println!("{name:40} not measured: valgrind does not run here"),
        }
    }
}
