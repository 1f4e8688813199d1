//! Metastability: a trigger that ends, and what would keep the collapse going without it.
//!
//! Four pools share a server that queues. Work whose caller has gone is done all the same, so that
//! callers who leave and come again make more of it than there would be without them. Each rig runs
//! twice: as the pool is, and with the defence off, in which case it must stay collapsed: else it
//! would prove nothing.

#![allow(clippy::print_stdout, reason = "the measured numbers are for reading")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backoff::{Ratio, Rng as _, SplitMix64};
use pool_core::testing::ScriptedError;
use pool_core::{ConnectContext, ErrorClass, Manager};
use pool_facade::{CallOptions, Config, Pool, testing};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Eight servers behind one queue.
struct Desk {
    /// When each of them has done what it was given.
    free_at: Mutex<[Instant; 8]>,
    /// How long they take.
    service: Mutex<Duration>,
    /// How long they take for a connection after a restart, in relation.
    connecting: u32,
    /// Restarts. Earlier connections are dead.
    epoch: Mutex<u64>,
}

impl Desk {
    /// Waits for work that is done whether anybody waits for it or not.
    async fn work(&self, times: u32) {
        let done = {
            let service = *self.service.lock().expect("nobody panics with it");
            let mut free_at = self.free_at.lock().expect("nobody panics with it");
            let next = free_at.iter_mut().min().expect("there are eight");
            *next = (*next).max(Instant::now()) + service * times;
            *next
        };
        sleep_until(done).await;
    }

    fn serve_within(&self, service: Duration) {
        *self.service.lock().expect("nobody panics with it") = service;
    }

    /// Nobody works for so long.
    fn stop(&self, time: Duration) {
        for free_at in &mut *self.free_at.lock().expect("nobody panics with it") {
            *free_at = (*free_at).max(Instant::now()) + time;
        }
    }

    fn epoch(&self) -> u64 {
        *self.epoch.lock().expect("nobody panics with it")
    }
}

#[derive(Clone)]
struct Clerk(Arc<Desk>);

/// A connection: the epoch that it belongs to.
struct Line(u64, Arc<Desk>);

impl Line {
    async fn ask(&self) -> Result<(), ScriptedError> {
        if self.0 < self.1.epoch() {
            return Err(ScriptedError::new(ErrorClass::Broken));
        }
        // A caller's own patience, as a driver has it.
        let patience = timeout_at(Instant::now() + PATIENCE, self.1.work(1));
        match patience.await {
            Ok(()) => Ok(()),
            Err(_) => Err(ScriptedError::new(ErrorClass::Overload)),
        }
    }
}

impl Manager for Clerk {
    type Connection = Line;
    type Error = ScriptedError;

    async fn connect(&self, _: ConnectContext) -> Result<Line, ScriptedError> {
        let epoch = self.0.epoch();
        self.0
            .work(if epoch > 0 { self.0.connecting } else { 1 })
            .await;
        Ok(Line(epoch, self.0.clone()))
    }

    fn classify(&self, error: &ScriptedError) -> ErrorClass {
        error.0
    }
}

#[derive(Debug, Clone, Copy)]
enum Trigger {
    /// Nothing is done for this long.
    Hang(Duration),
    /// All takes twice as long.
    Half(Duration),
    /// All connections die at once.
    Restart,
}

/// The share of good calls in each second, and the attempts per call over all.
async fn play(config: &Config, trigger: Trigger, connecting: u32) -> (Vec<f64>, f64) {
    testing::seed(1);
    let desk = Arc::new(Desk {
        free_at: Mutex::new([Instant::now(); 8]),
        service: Mutex::new(SERVICE),
        connecting,
        epoch: Mutex::new(0),
    });
    let pool = |index: usize| {
        let builder = Pool::builder()
            .config(config.clone())
            .name(index.to_string());
        builder
            .node("desk", Clerk(desk.clone()))
            .build()
            .expect("a valid configuration")
    };
    let pools: Vec<_> = (0..4).map(pool).collect();
    let calls = Arc::new(Mutex::new(vec![(0u32, 0u32); SECONDS]));
    let (start, mut random) = (Instant::now(), SplitMix64::from_seed(1));
    let mut next = start;
    let mut triggered = false;
    let mut healed = false;
    while next < start + Duration::from_secs(SECONDS as u64) {
        sleep_until(next).await;
        let unit = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        next += Duration::from_secs_f64(-(1.0 - unit).ln() / RATE);
        let since = start.elapsed();
        if since >= BEGIN && !std::mem::replace(&mut triggered, true) {
            match trigger {
                Trigger::Hang(time) => desk.stop(time),
                Trigger::Half(_) => desk.serve_within(SERVICE * 2),
                Trigger::Restart => *desk.epoch.lock().expect("nobody panics with it") += 1,
            }
        }
        if let Trigger::Half(time) = trigger {
            if since >= BEGIN + time && !std::mem::replace(&mut healed, true) {
                desk.serve_within(SERVICE);
            }
        }
        let pool = pools[(random.next_u64() % 4) as usize].clone();
        let calls = calls.clone();
        tokio::spawn(async move {
            let options = CallOptions::new().idempotent();
            let result = pool
                .run_with(options, async |line: &mut Line| line.ask().await)
                .await;
            let second = (since.as_secs() as usize).min(SECONDS - 1);
            let mut calls = calls.lock().expect("nobody panics with it");
            calls[second].0 += u32::from(result.is_ok());
            calls[second].1 += 1;
        });
    }
    let calls = calls.lock().expect("nobody panics with it");
    let good = calls
        .iter()
        .map(|(good, all)| f64::from(*good) / f64::from((*all).max(1)));
    let retries: u64 = pools
        .iter()
        .map(|it| it.statistics().retries.attempts)
        .sum();
    let all: u32 = calls.iter().map(|(_, all)| all).sum();
    (good.collect(), 1.0 + retries as f64 / f64::from(all))
}

/// As the pool is.
fn defended() -> Config {
    let mut config = Config::default();
    // Five times what the server can work on within the patience of its callers.
    config.pool.max_size = 250;
    config.pool.acquire_timeout = Some(PATIENCE);
    config
}

/// As if retries were free and nobody refused.
fn defenceless() -> Config {
    let mut config = defended();
    config.retry.budget.capacity = 1_000_000;
    config.retry.budget.deposit = Ratio::percent(1000);
    config.breaker.mode = breaker::Mode::ForcedClosed;
    config
}

async fn recovers(trigger: Trigger, connecting: u32, over: usize) {
    let (good, attempts) = play(&defended(), trigger, connecting).await;
    println!("{trigger:?}, as it is: {good:.2?}, {attempts:.3} attempts per call");
    assert!(attempts <= 1.1);
    assert!(good[2] >= 0.99);
    assert!(good[over + 3..].iter().all(|good| *good >= 0.95));
}

async fn collapses(config: Config, trigger: Trigger, connecting: u32, over: usize) {
    let (good, attempts) = play(&config, trigger, connecting).await;
    println!("{trigger:?}, without defence: {good:.2?}, {attempts:.3} attempts per call");
    assert!(good[2] >= 0.99);
    assert!(good[over + 3..].iter().all(|good| *good <= 0.5));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hung_is_served_well_again_in_three_seconds() {
    let hang = Trigger::Hang(Duration::from_secs(5));
    recovers(hang, 1, 8).await;
    collapses(defenceless(), hang, 1, 8).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_had_lost_half_of_its_capacity_is_served_well_again_in_three_seconds() {
    let half = Trigger::Half(Duration::from_secs(5));
    recovers(half, 1, 8).await;
    collapses(defenceless(), half, 1, 8).await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_server_where_logging_in_is_dear_is_not_kept_down_by_its_callers() {
    recovers(Trigger::Restart, 5, 3).await;
    let mut config = defenceless();
    config.pool.max_connecting = config.pool.max_size;
    config.connect.initial_delay = Duration::from_millis(1);
    config.connect.max_delay = Duration::from_millis(1);
    collapses(config, Trigger::Restart, 5, 3).await;
}

const SERVICE: Duration = Duration::from_millis(10);
/// Calls in a second: four fifths of what the eight can do.
const RATE: f64 = 640.0;
const PATIENCE: Duration = Duration::from_millis(250);
const BEGIN: Duration = Duration::from_secs(3);
const SECONDS: usize = 18;
