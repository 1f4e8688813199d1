//! Sequences of operations, read from bytes.
//!
//! Property tests, the smoke run and the fuzzer share them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use breaker::{
    Breaker, Config, Degraded, Event, Health, Machine, Mode, OpenTime, Outcome, Permit, Slow,
    Snapshot, State, Ticket, Window,
};

use super::model::{Model, Params, Shape};

fn params(choice: u8) -> Params {
    Params {
        shape: match choice % 4 {
            0 => Shape::Count(4),
            1 => Shape::Count(9),
            2 => Shape::Time {
                buckets: 1,
                width_ms: 40,
            },
            _ => Shape::Time {
                buckets: 4,
                width_ms: 10,
            },
        },
        minimum: [1, 3, 4][usize::from(choice >> 2) % 3],
        rate: [None, Some(0.5), Some(0.75), Some(1.0)][usize::from(choice >> 4) % 4],
        row: [None, Some(3)][usize::from(choice >> 6) % 2],
        open_ms: 30,
        probes: 3,
        successes: 2,
        deadline_ms: 50,
        degraded: [None, Some((0.4, 0.2, 25))][usize::from(choice >> 7)],
    }
}

/// Drives the machine and the naive model side by side.
pub fn specify(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let Some(choice) = bytes.next() else { return };
    let base = Instant::now();
    let mut machine = Machine::new(params(choice).config(), 1, base).expect("a good config");
    let mut model = Model::new(params(choice));
    let mut running: Vec<(Ticket, u64)> = Vec::new();
    let mut now_ms = 0;
    for byte in bytes {
        let pick = usize::from(byte >> 3);
        let now = base + Duration::from_millis(now_ms);
        let outcome = match byte % 8 {
            0 => {
                now_ms += pick as u64;
                continue;
            }
            1..=3 => {
                let before = machine.snapshot(now);
                if before
                    .limit
                    .is_some_and(|limit| current_calls(&before) >= limit)
                {
                    // The ramp's limit is not the model's business.
                    return;
                }
                match (machine.admit(now), model.admit(now_ms)) {
                    (Ok(ticket), Ok(epoch)) => running.push((ticket, epoch)),
                    (Err(rejected), Err(_)) => assert_eq!(rejected, model.refusal(now_ms)),
                    both => panic!("{both:?}"),
                }
                continue;
            }
            4 => Some(Outcome::Success),
            5 | 6 => Some(Outcome::Failure),
            _ if pick % 2 == 0 => Some(Outcome::Ignored),
            _ => None,
        };
        if running.is_empty() {
            continue;
        }
        let (ticket, epoch) = running.swap_remove(pick % running.len());
        match outcome {
            Some(outcome) => machine.settle(ticket, outcome, now),
            None => machine.cancel(ticket, now),
        }
        model.settle(epoch, outcome, now_ms);
        let snapshot = machine.snapshot(now);
        assert_eq!((snapshot.state, snapshot.epoch), (model.state, model.epoch));
        let (good, bad, row) = model.count(now_ms);
        let counts = snapshot.counts;
        assert_eq!(
            (counts.successes, counts.failures),
            (good.into(), bad.into())
        );
        assert_eq!(counts.streak, u64::from(row));
        assert_eq!(
            snapshot.in_flight.unwrap_or(running.len() as u64),
            running.len() as u64
        );
    }
}

fn current_calls(snapshot: &Snapshot) -> u64 {
    snapshot
        .in_flight
        .map_or(0, |calls| calls - snapshot.stale_in_flight)
}

fn config(choice: u8) -> Config {
    let config = Config::new()
        .minimum_calls(4)
        .failure_rate([0.6, 0.95][usize::from(choice) % 2])
        .open_time(OpenTime::Exponential {
            first: Duration::from_millis(20),
            max: Duration::from_millis(70),
        })
        .forget_opening(Duration::from_millis(60))
        .half_open(3, 2)
        .health(Health::default());
    let mut degraded = Degraded::default();
    degraded.hold = Duration::from_millis(30);
    let config = match (choice >> 1) % 3 {
        0 => config.window(Window::Time {
            buckets: 4,
            width: Duration::from_millis(10),
        }),
        1 => config.window(Window::Count { calls: 8 }),
        _ => config.window(Window::Time {
            buckets: 1,
            width: Duration::from_millis(35),
        }),
    };
    let config = config.degraded([Some(degraded), None][usize::from(choice >> 3) % 2]);
    match (choice >> 4) % 4 {
        0 => config.slow(Slow::new(Duration::from_millis(16), 0.8).degrade(0.5)),
        1 => config.confidence(1.0),
        _ => config,
    }
}

/// Drives the machine and the shared breaker side by side: they must agree in every number, and
/// whatever the machine does must be allowed.
pub fn refine(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let Some(choice) = bytes.next() else { return };
    let base = Instant::now();
    let time = Arc::new(Mutex::new(base));
    let clock = Arc::clone(&time);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let breaker = Breaker::builder(config(choice))
        .seed(9)
        .clock(move || *clock.lock().expect("no panic under it"))
        .listener(move |event: &Event| {
            listener
                .lock()
                .expect("no panic under it")
                .push(event.clone());
        })
        .build()
        .expect("a good config");
    let machine = Machine::new(config(choice), 9, base).expect("a good config");
    let mut pair = Pair {
        machine,
        breaker: &breaker,
        running: Vec::new(),
        choice,
    };
    let mut told: Vec<Event> = Vec::new();
    let mut now_ms = 1000;
    while let Some(byte) = bytes.next() {
        let pick = usize::from(byte >> 4);
        // The base lies ahead of some of these times: they count as the base.
        let now = base + Duration::from_millis(now_ms) - Duration::from_millis(995);
        *time.lock().expect("no panic under it") = now;
        match byte % 16 {
            0 | 1 => now_ms += pick as u64,
            2 => now_ms = now_ms.saturating_sub(pick as u64).max(900),
            // With a slow-call rule, calls that never end are stepped over within the test.
            3..=7 => pair.admit(now, (pair.choice >> 4) % 4 != 0 && now_ms < 5000),
            8..=13 if !pair.running.is_empty() => pair.end(byte % 16, pick, now),
            14 => {
                pair.machine.tick(now);
                breaker.tick_at(now);
            }
            15 => pair.command(pick, bytes.next().unwrap_or(choice), now),
            _ => {}
        }
        pair.compare(now);
        while let Some(event) = pair.machine.next_event() {
            told.push(event);
        }
        assert_eq!(told, *heard.lock().expect("no panic under it"));
        assert!(
            told.iter()
                .map(|event| event.sequence)
                .eq(1..=told.len() as u64)
        );
    }
}

struct Pair<'a> {
    machine: Machine,
    breaker: &'a Breaker,
    running: Vec<(Ticket, Permit<&'a Breaker>)>,
    choice: u8,
}

impl Pair<'_> {
    fn admit(&mut self, now: Instant, limited: bool) {
        let before = self.machine.snapshot(now);
        match (self.machine.admit(now), self.breaker.admit_at(now)) {
            (Ok(ticket), Ok(permit)) => {
                let degraded = before.state == State::Degraded && before.mode == Mode::Automatic;
                if limited && degraded {
                    let after = self.machine.snapshot(now);
                    assert!(current_calls(&after) <= after.limit.unwrap_or(u64::MAX));
                }
                self.running.push((ticket, permit));
            }
            (Err(ours), Err(theirs)) => {
                assert_eq!(ours, theirs);
                assert!(ours.retry_after() != Some(Duration::ZERO));
                assert!(before.state != State::Closed || before.mode == Mode::ForcedOpen);
            }
            both => panic!("{both:?}"),
        }
    }

    fn end(&mut self, kind: u8, pick: usize, now: Instant) {
        let (ticket, permit) = self.running.swap_remove(pick % self.running.len());
        let outcome = match kind {
            8 | 9 => Outcome::Success,
            10 => Outcome::Failure,
            11 => Outcome::Overload,
            12 => Outcome::Ignored,
            _ => {
                self.machine.cancel(ticket, now);
                return permit.cancel_at(now);
            }
        };
        if pick % 4 == 3 {
            let hint = Duration::from_millis(pick as u64 * 20);
            self.machine.settle_with_hint(ticket, outcome, hint, now);
            permit.settle_with_hint_at(outcome, hint, now);
        } else {
            self.machine.settle(ticket, outcome, now);
            permit.settle_at(outcome, now);
        }
    }

    fn command(&mut self, pick: usize, choice: u8, now: Instant) {
        match pick {
            0..=3 => {
                let modes = [
                    Mode::Automatic,
                    Mode::ForcedOpen,
                    Mode::ForcedClosed,
                    Mode::MetricsOnly,
                ];
                self.machine.force(modes[pick], now);
                self.breaker.force(modes[pick]);
            }
            4 => {
                self.machine.reset(now);
                self.breaker.reset();
            }
            5..=9 => {
                let healthy = [0, 4, 6, 9, 10][pick - 5];
                self.machine.report_health(healthy, 10, now);
                self.breaker.report_health_at(healthy, 10, now);
            }
            _ => {
                self.choice = choice;
                let ours = self.machine.configure(config(choice), now);
                assert_eq!(ours, self.breaker.configure(config(choice)));
            }
        }
    }

    fn compare(&self, now: Instant) {
        assert_eq!(self.machine.snapshot(now), self.breaker.snapshot_at(now));
        assert_eq!(self.machine.state(), self.breaker.state());
        assert_eq!(self.machine.limit(), self.breaker.limit());
    }
}
