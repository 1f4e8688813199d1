//! Crate.
#![forbid(unsafe_code)]

mod breaker;
mod builder;
mod call;
mod clock;
mod config;
mod event;
mod limit;
mod machine;
mod overdue;
mod permit;
mod probes;
mod rejected;
mod snapshot;
mod state;
mod stripe;
mod sync;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
mod trace;
mod validate;
mod window;

pub use breaker::Breaker;
pub use builder::Builder;
pub use clock::Clock;
pub use config::{Config, Degraded, HalfOpen, Health, OpenTime, Slow, Window};
pub use event::{Change, Event};
pub use machine::{Machine, Opening, Ticket};
pub use permit::Permit;
pub use rejected::{Error, Rejected};
pub use snapshot::{Snapshot, Totals};
pub use state::{Cause, Mode, Outcome, State};
pub use validate::{ConfigErrors, Violation};
pub use window::Counts;
