//! The published comparison of jitters, reproduced: clients that contend for one row.
//!
//! After "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: every client reads a
//! version and then writes if it is still the same, waits by its policy if it is not, and begins
//! again. The network takes |N(10, 2)| ms each way.

#![cfg(feature = "std")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by a panic and prints its seed"
)]
use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use backoff::{Jitter, Policy, PolicyBuilder, Ratio, Rng, SplitMix64};

const CLIENTS: usize = 100;
const RUNS: u64 = 30;
const BASE: Duration = Duration::from_millis(5);
const CAP: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A read arrives.
    Read,
    /// A write arrives, of what was read at this version.
    Write(u64),
}

/// Means of the time until all clients are done, in milliseconds, and of their calls.
fn contend(policy: Option<PolicyBuilder>) -> (f64, f64) {
    let policy = policy.map(|builder| builder.no_max_attempts().build().unwrap());
    let (mut time, mut calls) = (0.0, 0.0);
    for run in 0..RUNS {
        let mut rng = SplitMix64::from_seed(run);
        let mut delays: Vec<_> = (0..CLIENTS)
            .map(|_| policy.map(|policy| policy.delays_from(SplitMix64::from_seed(rng.next_u64()))))
            .collect();
        let mut events: BinaryHeap<_> = (0..CLIENTS)
            .map(|client| Reverse((network(&mut rng), client, Event::Read)))
            .collect();
        let mut version = 0;
        let mut end = 0;
        while let Some(Reverse((now, client, event))) = events.pop() {
            end = now;
            // There and back.
            let mut next = now + network(&mut rng) + network(&mut rng);
            match event {
                Event::Read => events.push(Reverse((next, client, Event::Write(version)))),
                Event::Write(read) => {
                    calls += 1.0;
                    if read == version {
                        version += 1;
                        continue;
                    }
                    if let Some(delays) = &mut delays[client] {
                        next += delays.next().unwrap().as_nanos() as u64;
                    }
                    events.push(Reverse((next, client, Event::Read)));
                }
            }
        }
        time += end as f64 / 1e6;
    }
    (time / RUNS as f64, calls / RUNS as f64)
}

/// |N(10, 2)| ms in nanoseconds, the normal as the sum of twelve uniforms.
fn network(rng: &mut SplitMix64) -> u64 {
    let normal: f64 = (0..12)
        .map(|_| rng.next_u64() as f64 / 2_f64.powi(64))
        .sum::<f64>()
        - 6.0;
    ((10.0 + 2.0 * normal) * 1e6).abs() as u64
}

#[test]
fn the_published_findings_hold() {
    let exponential = Policy::exponential(BASE, CAP);
    let none = contend(None);
    let bare = contend(Some(exponential.jitter(Jitter::None)));
    let full = contend(Some(exponential));
    let equal = contend(Some(exponential.jitter(Jitter::Equal)));
    let half = contend(Some(
        exponential.jitter(Jitter::PlusMinus(Ratio::new(1, 2))),
    ));
    let decorrelated = contend(Some(Policy::decorrelated(BASE, CAP)));
    let (time, calls) = (
        |outcome: (f64, f64)| outcome.0,
        |outcome: (f64, f64)| outcome.1,
    );
    for (name, outcome) in [
        ("no delay", none),
        ("no jitter", bare),
        ("full", full),
        ("equal", equal),
        ("plus or minus half", half),
        ("decorrelated", decorrelated),
    ] {
        eprintln!(
            "{name:>18}: {:6.0} ms, {:5.0} calls",
            time(outcome),
            calls(outcome)
        );
    }

    let squared = (CLIENTS * CLIENTS) as f64 / 4.0;
    assert!(
        (calls(none) / squared - 1.0).abs() < 0.1,
        "without delay, calls are quadratic"
    );
    assert!(calls(full) <= 0.4 * calls(none));
    assert!(
        time(full) <= 0.1 * time(bare),
        "delays without jitter only move the herd"
    );
    assert!((calls(full) / calls(equal) - 1.0).abs() <= 0.08);
    assert!(time(full) < time(equal) && time(full) < time(half));
    assert!(time(decorrelated) <= time(full) && calls(decorrelated) >= 1.15 * calls(full));
}
