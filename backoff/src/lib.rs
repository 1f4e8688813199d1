//! Retry delays, retry loops and retry budgets that cannot do harm.
//!
//! ```
//! use std::{io, time::Duration};
//!
//! use backoff::{Policy, retry};
//!
//! let policy = Policy::exponential(Duration::from_millis(1), Duration::from_secs(2))
//!     .max_attempts(5)
//!     .build()?;
//!
//! let mut answers = [Err(io::ErrorKind::ConnectionRefused), Ok("hello")].into_iter();
//! let answer = retry(policy)
//!     .when(|error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused)
//!     .run_blocking(|| answers.next().unwrap().map_err(io::Error::from))?;
//! assert_eq!(answer, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why jitter
//!
//! Clients that fail together wait equally long together, and come back together. A hundred
//! clients that contend for one row are done after 60.7 s with plain exponential delays and after
//! 4.9 s with full jitter, for half the calls (30 runs, `tests/jitter_ends_contention.rs`, after
//! the model of the AWS Architecture Blog):
//!
//! | delays | time | calls per client |
//! |---|---|---|
//! | none | 2.0 s | 24.2 |
//! | exponential, [`Jitter::None`] | 60.7 s | 18.5 |
//! | exponential, [`Jitter::Full`] | 4.9 s | 8.8 |
//! | exponential, [`Jitter::Equal`] | 6.5 s | 8.9 |
//! | exponential, [`Jitter::PlusMinus`] a half | 5.7 s | 8.1 |
//! | [decorrelated](Policy::decorrelated) | 4.2 s | 10.1 |
//!
//! So full jitter is the default. It must hold at the cap too, where a long outage leaves
//! everybody: the cap bounds the range that a delay is drawn from, and nothing is drawn and then
//! cut off. And every sequence must have a seed of its own, which [`SplitMix64::unique`] sees to.
//!
//! # Why a budget, and not just attempts
//!
//! "Three attempts" is a promise to one call. To the system behind it, it is three times the load
//! in the moment when it cannot carry the load it has; and the retries keep it down after the cause
//! is gone. A [`Budget`] is shared by all calls: successes fill it, retries empty it, so that
//! retries are a tenth of the successes however bad the day.
//!
//! ```
//! use backoff::{Budget, Policy, Stop, retry};
//!
//! static BUDGET: Budget = match Budget::builder().build() {
//!     Ok(budget) => budget,
//!     Err(_) => panic!("the budget is valid"),
//! };
//! const POLICY: Policy = match Policy::fixed(std::time::Duration::from_micros(10)).build() {
//!     Ok(policy) => policy,
//!     Err(_) => panic!("the policy is valid"),
//! };
//!
//! let mut attempts = 0;
//! for _ in 0..1000 {
//!     let error = retry(POLICY)
//!         .budget(&BUDGET)
//!         .run_blocking(|| {
//!             attempts += 1;
//!             Err::<(), _>("down")
//!         })
//!         .unwrap_err();
//!     assert!(matches!(error.stop, Stop::Attempts | Stop::Budget));
//! }
//! assert_eq!(attempts, 1010);
//! ```
//!
//! # Async
//!
//! With the feature `tokio`, [`Retry`] has `run`; with any other runtime, [`Retry::run_with`] takes
//! a [`Sleep`], which is one method or a closure. A retry that is dropped stops where it is and has
//! paid for no attempt that had not begun.
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?
//! #     .block_on(async {
//! use std::time::{Duration, Instant};
//!
//! use backoff::{Admission, Budget, Cost, Hint, Policy, retry};
//!
//! #[derive(Debug)]
//! struct Busy {
//!     retry_after: Option<Duration>,
//! }
//!
//! let budget = Budget::default();
//! let mut answers = [Err(Busy { retry_after: Some(Duration::from_secs(1)) }), Ok(42)].into_iter();
//! let answer = retry(Policy::default())
//!     .hint(|busy: &Busy| busy.retry_after.map_or(Hint::Silent, Hint::After))
//!     .cost(|_| Cost::Timeout)
//!     .gate(|_now: Instant| Admission::Now) // or what your breaker says
//!     .deadline(tokio::time::Instant::now().into_std() + Duration::from_secs(5))
//!     .budget(&budget)
//!     .run(|| {
//!         let answer = answers.next().unwrap();
//!         async { answer }
//!     })
//!     .await;
//! assert_eq!(answer.unwrap(), 42);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! For slow calls rather than failed ones there is [`hedge`]; for `tower` services there is
//! `tower::RetryPolicy` (feature `tower`); for a loop of your own there is [`Session`], which
//! decides and neither waits nor reads a clock.
//!
//! # Without `std`
//!
//! Without default features this is a `no_std` crate without `alloc`: policies and [`Delays`],
//! in integer nanoseconds. There is no source of randomness then, and none is made up: the caller
//! passes an [`Rng`], seeded with something of the device's own.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod budget;
#[cfg(feature = "std")]
mod clock;
mod config;
mod curve;
mod delays;
#[cfg(feature = "std")]
mod hedge;
mod jitter;
mod policy;
mod ratio;
#[cfg(feature = "std")]
mod retry;
mod rng;
#[cfg(feature = "std")]
mod session;
#[cfg(feature = "std")]
mod sleep;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "std")]
pub use budget::{Budget, BudgetBuilder, Charge, Cost};
#[cfg(feature = "std")]
pub use clock::ThreadSleep;
#[cfg(feature = "tokio")]
pub use clock::TokioSleep;
pub use config::{ConfigError, ConfigErrors};
pub use delays::Delays;
#[cfg(feature = "std")]
pub use hedge::{Hedge, hedge};
pub use jitter::Jitter;
pub use policy::{Policy, PolicyBuilder};
pub use ratio::Ratio;
#[cfg(feature = "std")]
pub use retry::{Retry, RetryError, retry};
pub use rng::{Rng, SplitMix64};
#[cfg(feature = "std")]
pub use session::{Admission, Hint, Session, Stop};
#[cfg(feature = "std")]
pub use sleep::{BlockingSleep, Sleep};
