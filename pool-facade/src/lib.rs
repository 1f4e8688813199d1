//! The complete pool: one or several nodes, each with a breaker, under one balancer.
//!
//! [`pool_core`] is re-exported as a module; the same name never means two things at this root.

#![forbid(unsafe_code)]

pub mod balance;
pub mod config;

pub use config::{Config, ConfigErrors};
pub use pool_core;
