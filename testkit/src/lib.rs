//! Servers, faults and launchers for the tests of this repository. Linux only, never published.
//!
//! - [`kv`]: a key-value server in this process, with its own count of what it sees.
//! - [`proxy`]: a TCP proxy whose faults change while it runs.
//! - [`postgres`]: ephemeral clusters of real PostgreSQL, stopped and removed even after a kill.
//! - [`port`]: ports that stay ours while the server behind them is down.
#![forbid(unsafe_code)]

pub mod kv;
pub mod port;
pub mod postgres;
pub mod proxy;

mod door;
mod janitor;
