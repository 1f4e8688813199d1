//! A circuit breaker with four states, for threads and tasks, without a runtime.
//!
//! A breaker stands in front of a backend and decides, call by call, whether to make the call at
//! all. The usual one knows all or nothing. That is right when the backend is gone and wrong when it
//! is merely too slow for the demand: opening then throws away what it could still have served. This
//! one has a state in between.
//!
//! ```text
//!             overload, failures, slow calls, low health
//!     ┌────────┐ ─────────────────────────────────▶ ┌──────────┐
//!     │ closed │                                    │ degraded │ ◀──────┐
//!     └────────┘ ◀───────────────────────────────── └──────────┘        │
//!          │      calm: nobody refused and few            │             │ enough probes
//!          │      failures for the hold time              │             │ succeed
//!          │                                              │             │
//!          │   failure rate, failures in a row, slow-call │             │
//!          │   rate, nothing healthy, limit futile        ▼             │
//!          │                                         ┌──────┐     ┌───────────┐
//!          └───────────────────────────────────────▶ │ open │ ──▶ │ half-open │
//!                                                    └──────┘ ◀── └───────────┘
//!                                         open time over ▶   ◀ probes fail or are late
//! ```
//!
//! | state | admits | left when |
//! |---|---|---|
//! | closed | every call | evidence turns bad |
//! | degraded | up to an adaptive limit on calls in flight, if overload set one; else every call | calm for the hold time, or worse |
//! | open | nothing | the open time is over |
//! | half-open | a few probes | they have proved something, or their deadline is over |
//!
//! There is no way from half-open to closed: what has just come back gets its load back by and by.
//! [`State::dot`] draws the same machine from the table that runs it; [`Cause`] names every edge.
//!
//! # Use
//!
//! Ask, make the call, tell how it ended. A permit that is dropped untold was cancelled and counts
//! for nothing; one that is dropped by a panic failed.
//!
//! ```
//! use breaker::{Breaker, Config, Outcome, Rejected};
//!
//! let breaker = Breaker::new(Config::new())?;
//! match breaker.admit() {
//!     Ok(permit) => {
//!         let optional_work = !permit.degraded();
//!         # let _ = optional_work;
//!         match "42".parse::<u32>() {
//!             Ok(_) => permit.success(),
//!             Err(_) => permit.failure(), // or overload() for timeouts, 429, 503; or ignore()
//!         }
//!     }
//!     Err(Rejected::Forced) => println!("an operator said no"),
//!     Err(rejected) => println!("come back in {:?}", rejected.retry_after()),
//! }
//! // The same for a closure, with a classifier:
//! let answer = breaker.call(Outcome::of, || "42".parse::<u32>());
//! assert_eq!(answer, Ok(42));
//! # Ok::<(), breaker::ConfigErrors>(())
//! ```
//!
//! Async, on any executor; dropping the future cancels:
//!
//! ```
//! # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//! use breaker::{Breaker, Config, Error, Outcome};
//!
//! # let breaker = Breaker::new(Config::new())?;
//! # async fn fetch() -> Result<u8, std::io::Error> { Ok(1) }
//! # let work = async {
//! let classify = |result: &Result<u8, std::io::Error>| match result {
//!     Ok(_) => Outcome::Success,
//!     Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Outcome::Overload,
//!     Err(_) => Outcome::Failure,
//! };
//! match breaker.call_async(classify, fetch()).await {
//!     Ok(value) => assert_eq!(value, 1),
//!     Err(Error::Rejected(rejected)) => println!("not made: {rejected}"),
//!     Err(Error::Failed(error)) => println!("failed: {error}"),
//! }
//! # };
//! # assert!(pin!(work).poll(&mut Context::from_waker(Waker::noop())).is_ready());
//! # Ok::<(), breaker::ConfigErrors>(())
//! ```
//!
//! Shared: a breaker is used by reference; behind an `Arc`, permits can travel.
//!
//! ```
//! use std::sync::Arc;
//! use breaker::{Breaker, Config};
//!
//! let breaker = Arc::new(Breaker::new(Config::new())?);
//! let threads: Vec<_> = (0..4)
//!     .map(|_| {
//!         let breaker = Arc::clone(&breaker);
//!         std::thread::spawn(move || breaker.admit_owned().map(|permit| permit.success()))
//!     })
//!     .collect();
//! for thread in threads {
//!     thread.join().expect("no panic").expect("closed");
//! }
//! assert_eq!(breaker.snapshot().totals.successes, 4);
//! # Ok::<(), breaker::ConfigErrors>(())
//! ```
//!
//! In a tower stack: feature `tower`, module `breaker::tower`. Events as `tracing` events: feature
//! `tracing`. One breaker guards one thing that can fail by itself: one host, not one service with
//! ten of them.
//!
//! # Which preset
//!
//! - [`Config::new`]: a backend that others use too and that can be overloaded. It opens only when
//!   hardly anything succeeds, briefly, and meets overload with the limit.
//! - [`Config::classic`]: a dependency that either works or does not, few calls, and a wish to leave
//!   it alone for a fixed time. No limit.
//! - [`Config::for_health`]: something else already watches the backend's health and tells it by
//!   [`Breaker::report_health`].
//!
//! # Degraded
//!
//! Timeouts and "too many requests" mean that fewer calls would be answered sooner. When they are
//! more than 5 % of the recent results, beyond what chance explains, the limit is set to 0.7 of the
//! calls in flight, then shrinks with each further signal and grows with the successes that come
//! while it is used. Refusing a *share* of the calls instead would leave what is in flight to the
//! demand. As long as there is a limit to shrink, overload does not open the breaker; it does when
//! the limit is at one and three calls in a row that were made under it still fail. Fast failures
//! are no overload: they degrade the breaker, as a signal to skip what is optional, and leave every
//! call admitted.
//!
//! With capacity cut to half in simulation, 0.97 to 1.00 of what is still possible is served at
//! 10 ms calls and 0.96 to 0.99 at 100 ms calls, and no breaker opens; one that opens at half of the
//! calls failing serves 0.15 to 0.40 of it, none at all 0.01 to 0.09. A harmless tail of one timeout
//! in a hundred costs at most 0.4 % more than itself
//! (`cargo test -p breaker --test simulation -- --nocapture`).
//!
//! # Parameters
//!
//! | parameter | default | why |
//! |---|---|---|
//! | [`window`](Config::window) | 10 × 100 ms | a second is many calls where it matters and soon forgotten; counted by thread, so that threads do not meet |
//! | [`minimum_calls`](Config::minimum_calls) | 10 | fewer prove nothing |
//! | [`failure_rate`](Config::failure_rate) | 0.95 | open is for a backend that is gone; half a backend is worth having. Overload counts here only when the degraded state is off |
//! | [`consecutive`](Config::consecutive) | 5 | finds a dead backend of few calls |
//! | [`confidence`](Config::confidence) | off | 1.64 keeps small samples from opening at low thresholds |
//! | [`slow`](Config::slow) | off | only you know what slow is, and it costs a lock per call |
//! | [`open_time`](Config::open_time) | 250 ms, doubling to 2 s, equal jitter | short, since the ramp guards the way back; jitter, so that clients do not come back together |
//! | [`longest_hint`](Config::longest_hint) | 60 s | no server can switch a client off for ever |
//! | [`forget_opening`](Config::forget_opening) | 10 s closed | one good second after a flap does not start over at 250 ms |
//! | [`half_open`](Config::half_open) | 5 probes, 2 successes | one probe is luck |
//! | [`half_open_deadline`](Config::half_open_deadline) | slow threshold, else 5 s | a probe that hangs is an answer |
//! | [`Degraded::enter`], [`leave`](Degraded::leave) | 0.2, 0.1 | apart, so that a rate between them changes nothing |
//! | [`Degraded::hold`] | 5 s | calm has to last |
//! | [`Degraded::overload`] | 0.05 | a tail of one timeout in a hundred is normal |
//! | [`Health::degrade`], [`recover`](Health::recover) | 0.5, 0.8 | the health rule; off by default |
//!
//! # Cost
//!
//! While closed, with a time window and no slow-call rule, a call is one load and one
//! compare-exchange on a line that belongs to the thread, and one `fetch_add` more when the degraded
//! state is on. Refusing while open takes no lock. Everything else takes one short mutex. Nothing is
//! allocated per call. `admit_at` and `settle_at` take the caller's time and read no clock.
//!
//! With the default window a breaker weighs 1000 bytes and 128 more for each stripe, of which there
//! are as many as cores, rounded up to a power of two, and at most eight.
//!
//! # Not here
//!
//! No retries, no timeouts, no health checks: those are other crates' work. A breaker does not share
//! its state with other processes. Silence never heals: without calls, or health reports, a breaker
//! stays as it is.
#![forbid(unsafe_code)]

mod breaker;
mod builder;
mod call;
mod clock;
mod config;
mod event;
mod hooks;
mod limit;
mod local;
mod machine;
mod overdue;
mod permit;
mod probes;
mod rejected;
mod snapshot;
mod state;
mod stripe;
mod sync;
mod ticket;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
mod trace;
mod validate;
mod window;
mod word;

pub use breaker::Breaker;
pub use builder::Builder;
pub use clock::Clock;
pub use config::{Config, Degraded, HalfOpen, Health, OpenTime, Slow, Window};
pub use event::{Change, Event};
pub use machine::{Machine, Opening};
pub use permit::Permit;
pub use rejected::{Error, Rejected};
pub use snapshot::{Snapshot, Totals};
pub use state::{Cause, Mode, Outcome, State};
pub use ticket::Ticket;
pub use validate::{ConfigErrors, Violation};
pub use window::Counts;
