//! Ephemeral clusters of real PostgreSQL.
//!
//! A [`Cluster`] lives in a temporary folder, on a loopback port of its own, under an unprivileged
//! account when the tests run as root. It is stopped and removed when dropped, when the test
//! panics, and when the test's process is killed; one kept in a `static` is removed as the process
//! ends. Everything blocks: call it from `spawn_blocking` where a runtime must go on turning.
//!
//! ```no_run
//! use testkit::postgres::{Cluster, Shutdown, Version};
//!
//! # fn main() -> std::io::Result<()> {
//! let primary = Cluster::builder()
//!     .version(Version::System)
//!     .setting("idle_session_timeout", "200ms")
//!     .start()?;
//! let url = primary.url(); // postgres://app@127.0.0.1:PORT/app
//! primary.restart(Shutdown::Immediate)?;
//! assert_eq!(primary.backends()?, 0);
//! # Ok(()) }
//! ```

mod account;
mod binaries;
mod builder;
mod cluster;
mod home;
mod server;

pub use binaries::{Binaries, Version};
pub use builder::{Auth, Builder};
pub use cluster::{Cluster, Shutdown};
pub use server::Server;
