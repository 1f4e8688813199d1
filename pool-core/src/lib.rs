//! A connection pool that stays fast and correct while its server does not.
//!
//! One [`Pool`] lends the connections that one [`Manager`] makes. What sets it apart:
//!
//! - **Cancelling is safe.** A future dropped at any await loses no capacity and never leaves a
//!   half-done exchange to the next user; see [`Pooled::operation`].
//! - **Waiting is fair.** Those who wait are served in order, by direct hand-over. A caller who was
//!   woken but never polled again holds nobody up; see [`Config::handoff_grace`].
//! - **Connecting is detached.** Connections are opened in tasks of their own, no more than are
//!   wanted, at one pace for the whole pool; see [`ConnectGate`]. A wrong password reaches every
//!   waiting caller at once.
//! - **Everything ends.** Every stage has a time limit inside one total; see [`Config`].
//! - **The books balance.** [`Statistics`] and [`State`] add up, cancelled acquires included.
//!
//! The default feature `tokio` brings [`runtime::Tokio`]; without it any [`runtime::Runtime`] will
//! do. `test-util` brings `testing`, a scripted manager for tests against outages.

#![deny(unsafe_code)]

mod acquire;
mod blocking;
mod boxed;
mod builder;
mod closing;
mod config;
mod connect;
mod core;
mod error;
mod event;
mod gate;
mod guard;
mod hooks;
mod hot;
mod inspect;
mod latency;
mod lease;
mod ledger;
mod maintenance;
mod manager;
mod options;
mod pool;
mod queue;
mod random;
mod run;
pub mod runtime;
#[cfg(all(test, any(loom, feature = "shuttle")))]
mod schedules;
mod slot;
mod stats;
mod sync;
#[cfg(feature = "test-util")]
pub mod testing;
mod waiter;
mod within;

pub use boxed::BoxManager;
pub use builder::{BuildError, Builder};
pub use closing::CloseReport;
pub use config::{Check, Config, ConfigErrors, Violation, WhenSuspended};
pub use error::{Error, ErrorKind, Stage};
pub use event::{Event, Observer, Sample};
pub use gate::{Admission, ConnectGate, Pacing};
pub use guard::{Pooled, Scope};
pub use hooks::{ConnectionInfo, Verdict};
pub use latency::Latency;
pub use manager::{
    Abandoned, AbortHandle, CloseReason, ConnectContext, ErrorClass, Manager, ResetAt,
};
pub use options::GetOptions;
pub use pool::{Pool, WeakPool};
pub use run::{Operation, RunError};
pub use stats::{State, Statistics};
