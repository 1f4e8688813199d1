//! Servers, faults and launchers for the tests of this repository. Linux only, never published.
//!
//! - [`kv`]: a key-value server in this process, with its own count of what it sees.
//! - [`proxy`]: a TCP proxy whose faults change while it runs.
//! - [`postgres`]: ephemeral clusters of real PostgreSQL, stopped and removed even after a kill.
//! - [`port`]: ports that stay ours while the server behind them is down.
//! - [`target`]: the folder for what outlives a test.
#![forbid(unsafe_code)]

pub mod kv;
pub mod port;
pub mod postgres;
pub mod proxy;
pub mod target;

mod door;
mod janitor;
