//! Does one guarded call cost what was promised, as a multiple of its floor and of its rivals?
//!
//! All contenders run in turn, in another order each round, in rounds too short to be interrupted
//! often; the median round counts. Two threads that did not run at the same time try again. `F` is
//! one load and one fetch_add, the least that a call which is counted can cost.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures wall-clock time"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use breaker::{Breaker, Config, Outcome, Window};

const ROUNDS: usize = 201;
const CALLS: u32 = 20_000;
const TRIES: usize = 20;

struct Contender<'a> {
    name: &'static str,
    threads: usize,
    call: Box<dyn Fn(u32) + Sync + 'a>,
}

/// One contender alone and with two threads on the same object; each makes all calls of a round.
fn enter<'a>(
    found: &mut Vec<Contender<'a>>,
    names: [&'static str; 2],
    call: impl Fn() + Sync + Copy + 'a,
) {
    for (name, threads) in names.into_iter().zip([1, 2]) {
        found.push(Contender {
            name,
            threads,
            call: Box::new(move |calls| (0..calls).for_each(|_| call())),
        });
    }
}

impl Contender<'_> {
    /// Nanoseconds of one call, of the slower thread; `None` if two threads did not run at once.
    fn round(&self) -> Option<f64> {
        let ready = AtomicUsize::new(0);
        let work = || {
            ready.fetch_add(1, Ordering::SeqCst);
            while ready.load(Ordering::SeqCst) < self.threads {
                spin_loop();
            }
            let start = Instant::now();
            (self.call)(CALLS);
            (start, Instant::now())
        };
        let (one, two) = std::thread::scope(|scope| {
            // Both are new, so that they are neighbours to whatever numbers its threads.
            let other = (self.threads == 2).then(|| scope.spawn(work));
            let own = scope.spawn(work).join().expect("no panic");
            (own, other.map_or(own, |it| it.join().expect("no panic")))
        });
        let apart = one.0.max(two.0) - one.0.min(two.0);
        let slower = (one.1 - one.0).max(two.1 - two.0);
        (10 * apart < slower).then(|| slower.as_secs_f64() * 1e9 / f64::from(CALLS))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One call that succeeds, dated by its caller.
fn given(breaker: &Breaker, now: Instant) {
    let permit = breaker.admit_at(black_box(now)).expect("closed");
    permit.settle_at(Outcome::Success, black_box(now));
}

fn main() {
    let (flag, count) = (AtomicU64::new(1), AtomicU64::new(0));
    let now = Instant::now();
    let breaker = |config: Config| Breaker::new(config).expect("a good config");
    let quick = breaker(Config::new().degraded(None));
    let full = breaker(Config::new());
    let window = Window::Count { calls: 100 };
    let counting = breaker(Config::new().window(window).degraded(None));
    let timed = breaker(Config::new().degraded(None));
    let hour = Duration::from_secs(3600);
    let open = breaker(Config::classic(1, hour, 1));
    open.admit().expect("closed").failure();
    let recloser = recloser::Recloser::custom().closed_len(100).build();
    let shut = recloser::Recloser::custom()
        .closed_len(1)
        .open_wait(hour)
        .build();
    for _ in 0..3 {
        let _failed = shut.call(|| Err::<(), ()>(()));
    }

    let mut all = Vec::new();
    enter(&mut all, ["F", "F, 2 threads"], || {
        if black_box(&flag).load(Ordering::Acquire) == 1 {
            black_box(&count).fetch_add(1, Ordering::Relaxed);
        }
    });
    enter(&mut all, ["clock", "clock, 2 threads"], || {
        black_box(Instant::now());
    });
    enter(
        &mut all,
        ["degraded off", "degraded off, 2 threads"],
        || {
            given(&quick, now);
        },
    );
    enter(&mut all, ["degraded on", "degraded on, 2 threads"], || {
        given(&full, now);
    });
    enter(
        &mut all,
        ["count window", "count window, 2 threads"],
        || {
            given(&counting, now);
        },
    );
    enter(&mut all, ["own clock", "own clock, 2 threads"], || {
        timed.admit().expect("closed").success();
    });
    enter(&mut all, ["recloser", "recloser, 2 threads"], || {
        recloser.call(|| Ok::<(), ()>(())).expect("closed");
    });
    enter(&mut all, ["open", "open, 2 threads"], || {
        assert!(open.admit().is_err());
    });
    enter(
        &mut all,
        ["recloser open", "recloser open, 2 threads"],
        || {
            assert!(shut.call(|| Ok::<(), ()>(())).is_err());
        },
    );

    let times = measure(&all);
    report(&all, &times);
}

/// The times of each contender. All take their turn, in another order each round.
fn measure(all: &[Contender<'_>]) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); all.len()];
    for round in 0..ROUNDS {
        for turn in 0..all.len() {
            let index = (round + turn * 5) % all.len();
            times[index].extend((0..TRIES).find_map(|_| all[index].round()));
        }
    }
    times
}

fn report(all: &[Contender<'_>], times: &[Vec<f64>]) {
    let of = |name: &str| {
        let index = all.iter().position(|contender| contender.name == name);
        median(&times[index.expect("it was entered")])
    };
    println!("settings: recloser closed_len 100; ours the defaults, count window of 100 calls");
    for (contender, times) in all.iter().zip(times) {
        let (name, rounds) = (contender.name, times.len());
        println!("{name:26} {:7.1} ns, {rounds} rounds", median(times));
    }
    for (ours, extra, floor, bar) in [
        ("degraded off", None, "F", 1.3),
        ("degraded on", None, "F", 2.3),
        ("degraded on", None, "recloser", 0.9),
        ("own clock", Some("degraded off"), "clock", 1.1),
        ("degraded off, 2 threads", None, "F, 2 threads", 0.3),
        ("degraded off, 2 threads", None, "degraded off", 1.3),
        ("count window, 2 threads", None, "F, 2 threads", 1.5),
        ("open", None, "recloser open", 1.0),
    ] {
        let ratio = (of(ours) - extra.map_or(0.0, of)) / of(floor);
        let verdict = if ratio <= bar { "met" } else { "MISSED" };
        let less = extra.map_or(String::new(), |name| format!(" less {name}"));
        println!("{ours}{less}: {ratio:.2} x {floor}, bar {bar}: {verdict}");
    }
}
