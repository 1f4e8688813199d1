//! The whole breaker, with its listener and operators, under random schedules of three threads.
//!
//! `cargo test -p breaker --release --features shuttle --test shuttle`
#![cfg(all(feature = "shuttle", not(loom)))]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's time starts somewhere and is then made up"
)]
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use breaker::{
    Breaker, Change, Config, Event, Mode, OpenTime, Outcome, Rejected, State, Totals, Window,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

const SCHEDULES: usize = 3000;
const MS: Duration = Duration::from_millis(1);

fn config() -> Config {
    Config::new()
        .window(Window::Time {
            buckets: 2,
            width: 10 * MS,
        })
        .minimum_calls(2)
        .failure_rate(0.7)
        .consecutive(3)
        .open_time(OpenTime::Constant(10 * MS))
        .half_open(2, 1)
        .half_open_deadline(20 * MS)
}

/// Runs three threads of it together.
fn together(work: impl Fn(u64) + Send + Sync + 'static) {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let work = Arc::clone(&work);
            thread::spawn(move || work(number))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// What one thread has seen of its calls.
#[derive(Default)]
struct Seen {
    ended: u64,
    open: u64,
    busy: u64,
    limited: u64,
    forced: u64,
}

/// One random call or command at a random moment.
fn act(breaker: &Breaker, base: Instant, seen: &mut Seen) {
    let mut random = thread_rng();
    let now = base + random.gen_range(0..60) * MS;
    let outcome = match random.gen_range(0..14) {
        0 => return breaker.tick_at(now),
        1 => return breaker.reset(),
        2 => {
            let modes = [Mode::Automatic, Mode::ForcedOpen, Mode::MetricsOnly];
            return breaker.force(modes[random.gen_range(0..modes.len())]);
        }
        3 => return drop(breaker.snapshot_at(now)),
        4..=6 => Some(Outcome::Success),
        7 | 8 => Some(Outcome::Failure),
        9 | 10 => Some(Outcome::Overload),
        11 => Some(Outcome::Ignored),
        _ => None,
    };
    match breaker.admit_at(now) {
        Ok(permit) => {
            thread::yield_now();
            seen.ended += 1;
            match outcome {
                Some(outcome) => permit.settle_at(outcome, now + 5 * MS),
                None => permit.cancel_at(now),
            }
        }
        Err(Rejected::Open { .. }) => seen.open += 1,
        Err(Rejected::ProbesBusy { .. }) => seen.busy += 1,
        Err(Rejected::Limited { .. }) => seen.limited += 1,
        Err(_) => seen.forced += 1,
    }
}

const fn ended(totals: &Totals) -> u64 {
    totals.successes
        + totals.failures
        + totals.overloads
        + totals.ignored
        + totals.cancelled
        + totals.stale
}

#[test]
fn every_call_is_counted_once_and_every_event_told_once_in_order() {
    let run = || {
        let base = Instant::now();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let breaker = Breaker::builder(config())
            .seed(1)
            .clock(move || base)
            .listener(move |event: &Event| {
                thread::yield_now();
                told.lock().unwrap().push(event.clone());
            })
            .open_time(|opening| {
                thread::yield_now();
                // Tells the openings apart.
                Duration::from_millis(10 + u64::from(opening.openings))
            })
            .build()
            .unwrap();
        let breaker = Arc::new(breaker);
        let sum = Arc::new(Mutex::new(Seen::default()));
        let (own, total) = (Arc::clone(&breaker), Arc::clone(&sum));
        together(move |_| {
            let mut seen = Seen::default();
            (0..6).for_each(|_| act(&own, base, &mut seen));
            let mut total = total.lock().unwrap();
            total.ended += seen.ended;
            total.open += seen.open;
            total.busy += seen.busy;
            total.limited += seen.limited;
            total.forced += seen.forced;
        });
        let snapshot = breaker.snapshot_at(base);
        let (seen, totals) = (sum.lock().unwrap(), snapshot.totals);
        assert_eq!(ended(&totals), seen.ended);
        assert_eq!(snapshot.in_flight, Some(0));
        assert_eq!(snapshot.stale_in_flight, 0);
        let refused = [
            (totals.rejected_open, seen.open),
            (totals.rejected_probes_busy, seen.busy),
            (totals.rejected_limited, seen.limited),
            (totals.rejected_forced, seen.forced),
        ];
        assert!(refused.iter().all(|(counted, seen)| counted == seen));
        let heard = heard.lock().unwrap();
        assert!(
            heard
                .iter()
                .map(|event| event.sequence)
                .eq(1..=snapshot.sequence)
        );
        for event in heard.iter() {
            if let Change::Transition { open_for, .. } = event.change {
                // Unless it was over before the answer came.
                let decided = open_for.is_none_or(|time| time > 10 * MS);
                assert!(decided || event.sequence < snapshot.sequence);
            }
        }
    };
    shuttle::check_random(run, SCHEDULES);
    shuttle::check_pct(run, SCHEDULES, 3);
}

#[test]
fn half_open_admits_its_probes_and_nobody_else() {
    let run = || {
        let base = Instant::now();
        let breaker = Breaker::builder(config().failure_rate(None))
            .clock(move || base)
            .build()
            .unwrap();
        for _ in 0..3 {
            breaker
                .admit_at(base)
                .unwrap()
                .settle_at(Outcome::Failure, base);
        }
        assert_eq!(breaker.state(), State::Open);
        let breaker = Arc::new(breaker);
        let admitted = Arc::new(Mutex::new(0));
        let (own, sum) = (Arc::clone(&breaker), Arc::clone(&admitted));
        together(move |number| {
            let later = base + 10 * MS;
            let permits: Vec<_> = (0..2).filter_map(|_| own.admit_at(later).ok()).collect();
            *sum.lock().unwrap() += permits.len();
            // A cancelled probe makes room; whoever looks later may take it.
            if number == 0 {
                *sum.lock().unwrap() -= permits.len();
                drop(permits);
            } else {
                permits.into_iter().for_each(std::mem::forget);
            }
        });
        let kept = *admitted.lock().unwrap();
        assert!(kept <= 2);
        assert_eq!(breaker.snapshot_at(base).probes as usize, kept);
        // Degraded, open, half-open, and that once.
        assert_eq!(breaker.snapshot_at(base).sequence, 3);
    };
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn what_was_admitted_before_a_reset_counts_for_nothing_after_it() {
    let run = || {
        let base = Instant::now();
        let breaker = Breaker::builder(config().failure_rate(None).consecutive(None))
            .clock(move || base)
            .build()
            .unwrap();
        let breaker = Arc::new(breaker);
        let permits: Vec<_> = (0..3)
            .map(|_| Mutex::new(Some(breaker.admit_owned_at(base).unwrap())))
            .collect();
        let own = Arc::clone(&breaker);
        together(move |number| {
            let permit = permits[number as usize].lock().unwrap().take().unwrap();
            if number == 0 {
                own.reset();
            }
            permit.settle_at(Outcome::Success, base);
            own.admit_at(base)
                .unwrap()
                .settle_at(Outcome::Success, base);
        });
        let snapshot = breaker.snapshot_at(base);
        let totals = snapshot.totals;
        assert_eq!(totals.successes + totals.stale, 6);
        assert!(totals.stale >= 1, "the first of the resetting thread");
        // In the window is what came after the reset: at least that thread's own last call.
        assert!((1..=totals.successes).contains(&snapshot.counts.successes));
        assert!(snapshot.counts.successes + totals.stale <= 6);
        assert_eq!(snapshot.in_flight, Some(0));
    };
    shuttle::check_random(run, SCHEDULES);
}
