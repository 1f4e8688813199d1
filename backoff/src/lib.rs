//! Retry delays, retry loops and retry budgets that cannot do harm.

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
