//! Servers, faults and launchers for the tests of this repository. Linux only, never published.
//!
//! - [`postgres`]: ephemeral clusters of real PostgreSQL, stopped and removed even after a kill.
//! - [`port`]: ports that stay ours while the server behind them is down.
#![forbid(unsafe_code)]

pub mod port;
pub mod postgres;

mod janitor;
