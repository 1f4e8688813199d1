//! Sequences of operations, read from bytes, so that property tests, the smoke run and the fuzzer
//! share them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use breaker::{
    Breaker, Config, Degraded, Event, Health, Machine, Mode, OpenTime, Outcome, Permit, Rejected,
    Slow, State, Ticket, Window,
};

use super::model::{Model, Params, Shape};

/// Drives the machine and the naive model side by side.
pub fn specify(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let Some(choice) = bytes.next() else { return };
    let params = Params {
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
    };
    let base = Instant::now();
    let mut machine = Machine::new(params.config(), 1, base).expect("a good config");
    let mut model = Model::new(params);
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
                let calls = before.in_flight.map(|calls| calls - before.stale_in_flight);
                if before
                    .limit
                    .is_some_and(|limit| calls.is_some_and(|calls| calls >= limit))
                {
                    // The ramp's limit is not the model's business.
                    return;
                }
                match (machine.admit(now), model.admit(now_ms)) {
                    (Ok(ticket), Ok(epoch)) => running.push((ticket, epoch)),
                    (Err(rejected), Err(_)) => {
                        let retry_after = Duration::from_millis(model.retry_ms(now_ms));
                        let expected = match model.state {
                            State::Open => Rejected::Open { retry_after },
                            _ => Rejected::ProbesBusy { retry_after },
                        };
                        assert_eq!(rejected, expected);
                    }
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
    let Some(mut choice) = bytes.next() else {
        return;
    };
    let base = Instant::now();
    let time = Arc::new(Mutex::new(base));
    let clock = Arc::clone(&time);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let mut machine = Machine::new(config(choice), 9, base).expect("a good config");
    let breaker = Breaker::builder(config(choice))
        .seed(9)
        .clock(move || *clock.lock().expect("no panic under it"))
        .listener(move |event: &Event| {
            listener
                .lock()
                .expect("no panic under it")
                .push(event.clone())
        })
        .build()
        .expect("a good config");
    let mut told: Vec<Event> = Vec::new();
    let mut running: Vec<(Ticket, Permit<&Breaker>)> = Vec::new();
    let mut now_ms = 1000;
    while let Some(byte) = bytes.next() {
        let pick = usize::from(byte >> 4);
        // The base lies ahead of some of these times: they count as the base.
        let now = base + Duration::from_millis(now_ms) - Duration::from_millis(995);
        *time.lock().expect("no panic under it") = now;
        let before = machine.snapshot(now);
        match byte % 16 {
            0 | 1 => now_ms += pick as u64,
            2 => now_ms = now_ms.saturating_sub(pick as u64).max(900),
            3..=7 => match (machine.admit(now), breaker.admit_at(now)) {
                (Ok(ticket), Ok(permit)) => {
                    // With a slow-call rule, calls that never end are stepped over within the test.
                    let patient = (choice >> 4) % 4 != 0 && now_ms < 5000;
                    if patient && before.state == State::Degraded && before.mode == Mode::Automatic
                    {
                        let limit = machine.limit().unwrap_or(u64::MAX);
                        let after = machine.snapshot(now);
                        let calls = after.in_flight.map(|calls| calls - after.stale_in_flight);
                        assert!(calls.is_none_or(|calls| calls <= limit));
                    }
                    running.push((ticket, permit));
                }
                (Err(ours), Err(theirs)) => {
                    assert_eq!(ours, theirs);
                    assert!(ours.retry_after() != Some(Duration::ZERO));
                    assert!(before.state != State::Closed || before.mode == Mode::ForcedOpen);
                }
                both => panic!("{both:?}"),
            },
            8..=13 if !running.is_empty() => {
                let (ticket, permit) = running.swap_remove(pick % running.len());
                let outcome = match byte % 16 {
                    8 | 9 => Outcome::Success,
                    10 => Outcome::Failure,
                    11 => Outcome::Overload,
                    12 => Outcome::Ignored,
                    _ => {
                        machine.cancel(ticket, now);
                        permit.cancel_at(now);
                        continue;
                    }
                };
                if pick % 4 == 3 {
                    let hint = Duration::from_millis(pick as u64 * 20);
                    machine.settle_with_hint(ticket, outcome, hint, now);
                    permit.settle_with_hint_at(outcome, hint, now);
                } else {
                    machine.settle(ticket, outcome, now);
                    permit.settle_at(outcome, now);
                }
            }
            14 => {
                machine.tick(now);
                breaker.tick_at(now);
            }
            15 => match pick {
                0..=3 => {
                    let mode = [
                        Mode::Automatic,
                        Mode::ForcedOpen,
                        Mode::ForcedClosed,
                        Mode::MetricsOnly,
                    ][pick];
                    machine.force(mode, now);
                    breaker.force(mode);
                }
                4 => {
                    machine.reset(now);
                    breaker.reset();
                }
                5..=9 => {
                    let healthy = [0, 4, 6, 9, 10][pick - 5];
                    machine.report_health(healthy, 10, now);
                    breaker.report_health_at(healthy, 10, now);
                }
                _ => {
                    let Some(next) = bytes.next() else { return };
                    choice = next;
                    let ours = machine.configure(config(choice), now);
                    assert_eq!(ours, breaker.configure(config(choice)));
                }
            },
            _ => {}
        }
        let (ours, theirs) = (machine.snapshot(now), breaker.snapshot_at(now));
        assert_eq!(
            (ours.in_flight.is_some(), ours.state),
            (theirs.in_flight.is_some(), theirs.state)
        );
        assert_eq!(ours.counts, theirs.counts);
        assert_eq!(ours.totals, theirs.totals);
        assert_eq!(
            (ours.sequence, ours.epoch, ours.mode),
            (theirs.sequence, theirs.epoch, theirs.mode)
        );
        assert_eq!(
            (ours.remaining, ours.probes),
            (theirs.remaining, theirs.probes)
        );
        assert_eq!(
            (ours.overdue, ours.openings_remembered),
            (theirs.overdue, theirs.openings_remembered)
        );
        assert_eq!(
            (ours.limit, ours.in_flight),
            (theirs.limit, theirs.in_flight)
        );
        assert_eq!(ours.stale_in_flight, theirs.stale_in_flight);
        while let Some(event) = machine.next_event() {
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
