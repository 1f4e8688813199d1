//! The hot paths alone, for counting: `cargo xtask bench --gate`.
//!
//! Without arguments it prints each path and the allocations of one operation; with a path and a
//! number it does that many operations and nothing else, for callgrind to count. Nothing in it
//! depends on time, chance or another thread.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program speaks to who runs it")]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use backoff::{Policy, SplitMix64};
use breaker::{Breaker, Config, Outcome, Window};
use pool_core::{Check, ConnectContext, Manager, Pool};

/// A path: its name, and how to do it so many times, all else being done before.
type Path = (&'static str, fn(u32) -> Counted);

/// The allocations of the operations alone.
struct Counted(u64);

const PATHS: [Path; 10] = [
    ("backoff/delay", backoff_delay),
    ("breaker/closed", |times| closed(times, Config::new())),
    ("breaker/count-window", |times| {
        let window = Window::Count { calls: 100 };
        closed(times, Config::new().window(window).degraded(None))
    }),
    ("breaker/degraded-off", |times| {
        closed(times, Config::new().degraded(None))
    }),
    ("breaker/open", breaker_open),
    ("pool/get-checked", |times| get(times, Check::Always)),
    ("pool/get-default", |times| {
        get(times, Check::IdleFor(Duration::from_secs(30)))
    }),
    ("pool/get-tuned", |times| get(times, Check::Never)),
    ("pool/hand-off", hand_off),
    ("pool/try-get", try_get),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        for (name, path) in PATHS {
            // The first hundred fill what is kept from then on.
            let each = (path(1100).0 - path(100).0) as f64 / 1000.0;
            println!("{name} {each}");
        }
        return ExitCode::SUCCESS;
    }
    let [name, times] = arguments.as_slice() else {
        return ExitCode::FAILURE;
    };
    let path = PATHS.iter().find(|path| path.0 == name);
    match (path, times.parse()) {
        (Some((_, path)), Ok(times)) => {
            path(times);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

fn backoff_delay(times: u32) -> Counted {
    let policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(10));
    let policy = policy.no_max_attempts().build().expect("it is valid");
    let mut delays = policy.delays_from(SplitMix64::from_seed(7));
    count(times, || {
        black_box(delays.next());
    })
}

#[expect(clippy::disallowed_methods, reason = "the calls need some date")]
fn closed(times: u32, config: Config) -> Counted {
    let breaker = Breaker::new(config).expect("it is valid");
    let now = Instant::now();
    count(times, || {
        let permit = breaker.admit_at(black_box(now)).expect("closed");
        permit.settle_at(Outcome::Success, black_box(now));
    })
}

#[expect(clippy::disallowed_methods, reason = "the calls need some date")]
fn breaker_open(times: u32) -> Counted {
    let config = Config::classic(1, Duration::from_secs(3600), 1);
    let breaker = Breaker::new(config).expect("it is valid");
    let now = Instant::now();
    let permit = breaker.admit_at(now).expect("closed");
    permit.settle_at(Outcome::Failure, now);
    count(times, || {
        assert!(breaker.admit_at(black_box(now)).is_err());
    })
}

/// Connects at once.
struct Ready;

impl Manager for Ready {
    type Connection = u64;
    type Error = std::convert::Infallible;

    async fn connect(&self, context: ConnectContext) -> Result<u64, Self::Error> {
        Ok(context.id)
    }
}

/// A pool of one connection, opened, on a runtime without other threads.
fn with_pool(check: Check, run: impl FnOnce(&Pool<Ready>) -> Counted) -> Counted {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let pool = Pool::builder(Ready).max_size(1).check(check);
        let pool = pool.build().expect("it is valid");
        drop(pool.get().await);
        run(&pool)
    })
}

fn get(times: u32, check: Check) -> Counted {
    with_pool(check, |pool| {
        let mut context = Context::from_waker(Waker::noop());
        count(times, || {
            let mut get = pin!(pool.get());
            assert!(get.as_mut().poll(&mut context).is_ready(), "it is idle");
        })
    })
}

fn try_get(times: u32) -> Counted {
    with_pool(Check::Never, |pool| {
        count(times, || {
            assert!(black_box(pool.try_get()).is_some());
        })
    })
}

/// A connection goes from who holds it to who waits.
fn hand_off(times: u32) -> Counted {
    with_pool(Check::Never, |pool| {
        let mut context = Context::from_waker(Waker::noop());
        let mut held = pool.try_get();
        count(times, || {
            let mut get = pin!(pool.get());
            assert!(get.as_mut().poll(&mut context).is_pending(), "it is lent");
            held = None;
            match get.as_mut().poll(&mut context) {
                std::task::Poll::Ready(Ok(next)) => held = Some(next),
                _ => panic!("it was handed over"),
            }
        })
    })
}

fn count(times: u32, mut operation: impl FnMut()) -> Counted {
    let info = allocation_counter::measure(|| (0..times).for_each(|_| operation()));
    Counted(info.count_total)
}
