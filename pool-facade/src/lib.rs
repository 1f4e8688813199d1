//! The complete pool: one or several nodes, each with a breaker, under one balancer.
//!
//! [`pool_core`] is re-exported as a module; the same name never means two things at this root.

#![forbid(unsafe_code)]

pub mod balance;
mod builder;
mod call;
pub mod config;
mod control;
mod discover;
mod endpoint;
mod error;
mod gate;
mod guard;
mod judge;
mod metrics;
mod node;
mod nodes;
mod observe;
mod options;
mod plan;
mod pool;
mod probe;
mod random;
mod run;
mod shared;
mod state;
#[cfg(feature = "test-util")]
pub mod testing;
mod within;

pub use builder::Builder;
pub use config::{Config, ConfigErrors};
pub use discover::{Discover, DiscoverError};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind};
pub use guard::{Guard, Outcome, Scope};
pub use health;
pub use judge::{By, ByPool, Judge, Judgement};
pub use options::CallOptions;
pub use pool::Pool;
pub use pool_core;
pub use pool_metrics;
pub use shared::RetryStatistics;
pub use state::{NodeState, NodeStatistics, Readiness, State, Statistics};
