//! What does one jittered delay cost? Ours beside a floor and the peers, in turn, in one run.
//!
//! Every contender gives exponential delays from 100 ms to 10 s with jitter, eight to a sequence,
//! as a retry would take them; the sequence is made outside the timing where a crate allows it.
//! The floor is the least code that can do it: a xorshift, a shift and a multiplication.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench reads the clock and prints"
)]

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use backoff::{Jitter, Policy, Ratio};
use backon::BackoffBuilder;

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);
const DELAYS: usize = 8;
const SEQUENCES: usize = 20_000;
const ROUNDS: usize = 15;

fn main() -> ExitCode {
    let mut contenders = contenders();
    let mut rounds = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (times, (_, contender)) in rounds.iter_mut().zip(&mut contenders) {
            times.push(contender());
        }
    }
    let medians: Vec<f64> = rounds
        .iter_mut()
        .map(|times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        })
        .collect();
    report(&contenders, &medians);
    ExitCode::SUCCESS
}

/// The floor, ours and the peers, in the order in which `report` expects them.
fn contenders() -> Vec<Contender> {
    let builder = Policy::exponential(BASE, CAP).no_max_attempts();
    let full = builder.build().expect("the policy is valid");
    let equal = builder
        .jitter(Jitter::Equal)
        .build()
        .expect("the policy is valid");
    let plus_minus = builder
        .jitter(Jitter::PlusMinus(Ratio::percent(20)))
        .build()
        .expect("the policy is valid");
    let factor = builder
        .factor(Ratio::new(3, 2))
        .build()
        .expect("the policy is valid");
    let fibonacci = Policy::fibonacci(BASE, CAP)
        .no_max_attempts()
        .build()
        .expect("it is valid");
    let decorrelated = Policy::decorrelated(BASE, CAP)
        .no_max_attempts()
        .build()
        .expect("the policy is valid");
    let backon = backon::ExponentialBuilder::default()
        .with_min_delay(BASE)
        .with_max_delay(CAP)
        .with_jitter()
        .without_max_times();
    let exponential = exponential_backoff::Backoff::new(u32::MAX, BASE, CAP);

    vec![
        ("floor", Box::new(|| time(Floor::new))),
        ("ours, full", Box::new(move || time(|| full.delays()))),
        ("ours, equal", Box::new(move || time(|| equal.delays()))),
        (
            "ours, plus or minus",
            Box::new(move || time(|| plus_minus.delays())),
        ),
        (
            "ours, factor 3/2",
            Box::new(move || time(|| factor.delays())),
        ),
        (
            "ours, fibonacci",
            Box::new(move || time(|| fibonacci.delays())),
        ),
        (
            "ours, decorrelated",
            Box::new(move || time(|| decorrelated.delays())),
        ),
        ("backon", Box::new(move || time(|| backon.build()))),
        ("tokio-retry", Box::new(|| time(tokio_retry))),
        (
            "exponential-backoff",
            Box::new(move || time(|| exponential.iter().map(Option::unwrap_or_default))),
        ),
        (
            "failsafe",
            Box::new(|| time(|| failsafe::backoff::equal_jittered(Duration::from_secs(1), CAP))),
        ),
    ]
}

fn report(contenders: &[Contender], medians: &[f64]) {
    println!("{:<22}{:>12}{:>10}", "one jittered delay", "ns", "x floor");
    for ((name, _), median) in contenders.iter().zip(medians) {
        println!("{name:<22}{median:>12.2}{:>10.2}", median / medians[0]);
    }
    let best_peer = medians[7..].iter().copied().fold(f64::INFINITY, f64::min);
    let bars = [
        ("ours, full <= 4 x floor", medians[1] / medians[0], 4.0),
        (
            "ours, full <= 0.35 x best peer",
            medians[1] / best_peer,
            0.35,
        ),
    ];
    for (bar, ratio, limit) in bars {
        let verdict = if ratio <= limit { "met" } else { "MISSED" };
        println!("bar: {bar}: {ratio:.2}, {verdict}");
    }
}

fn tokio_retry() -> impl Iterator<Item = Duration> {
    tokio_retry::strategy::ExponentialBackoff::from_millis(2)
        .factor(50)
        .max_delay(CAP)
        .map(tokio_retry::strategy::jitter)
}

/// A name, and how to measure it.
type Contender = (&'static str, Box<dyn FnMut() -> f64>);

/// Nanoseconds per delay.
fn time<I: Iterator<Item = Duration>>(sequence: impl Fn() -> I) -> f64 {
    let mut sequences: Vec<I> = (0..SEQUENCES).map(|_| sequence()).collect();
    let start = Instant::now();
    for delays in &mut sequences {
        for _ in 0..DELAYS {
            black_box(delays.next());
        }
    }
    start.elapsed().as_nanos() as f64 / (SEQUENCES * DELAYS) as f64
}

struct Floor {
    state: u64,
    attempt: u32,
}

impl Floor {
    fn new() -> Self {
        Self {
            state: 0x1234_5678_9abc_def1,
            attempt: 0,
        }
    }
}

impl Iterator for Floor {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let ceiling_ns = (100_000_000_u64 << self.attempt.min(20)).min(10_000_000_000);
        self.attempt += 1;
        let delay_ns = (u128::from(self.state) * u128::from(ceiling_ns)) >> 64;
        Some(Duration::from_nanos(delay_ns as u64))
    }
}
