//! The breaker alone, on plain threads: four of them call a service that fails and comes back.
//!
//! `cargo run -p pool-facade --example breaker_without_tokio`
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use breaker::{Breaker, Change, Config, Error as CallError, Outcome, State};

fn main() -> Result<(), Box<dyn Error>> {
    let breaker = Breaker::builder(Config::new())
        .listener(|event| {
            if let Change::Transition {
                from, to, cause, ..
            } = event.change
            {
                println!("{from} -> {to}: {cause}");
            }
        })
        .build()?;
    let service = Service::default();
    let refused = AtomicU32::new(0);
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let answer = breaker.call(Outcome::of, || service.ask());
                    if let Err(CallError::Rejected(rejected)) = answer {
                        refused.fetch_add(1, Relaxed);
                        // Whoever is refused is told when to ask again.
                        thread::park_timeout(rejected.retry_after().unwrap_or_default());
                    }
                }
            });
        }
        pause(50);
        service.down.store(true, Relaxed);
        while breaker.state() != State::Open {
            pause(1);
        }
        pause(400);
        service.down.store(false, Relaxed);
        // Back by way of a few probes and the degraded state, as nobody can know how much the
        // service bears now.
        while breaker.state() != State::Closed {
            pause(1);
        }
        done.store(true, Relaxed);
    });

    let totals = breaker.snapshot().totals;
    println!(
        "{} answered, {} failed, {} refused without a call",
        totals.successes,
        totals.failures,
        refused.into_inner()
    );
    Ok(())
}

/// A service somewhere else, of which one can only tell that it does not answer.
#[derive(Default)]
struct Service {
    down: AtomicBool,
}

impl Service {
    fn ask(&self) -> Result<&'static str, &'static str> {
        pause(1);
        if self.down.load(Relaxed) {
            return Err("connection refused");
        }
        Ok("an answer")
    }
}

fn pause(millis: u64) {
    thread::park_timeout(Duration::from_millis(millis));
}
