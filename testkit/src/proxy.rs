//! A TCP proxy whose faults change while it runs.
//!
//! [`Admission`] is what happens to new connections, [`Fault`] what happens to the bytes of each
//! [`Direction`]; a change reaches the connections that exist. Chance is drawn from the seed, the
//! number of the connection and the position of the byte, so a run can be repeated.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use std::time::Duration;
//! use testkit::{kv, proxy::{Direction, Fault, Proxy}};
//!
//! let server = kv::Server::start().await?;
//! let proxy = Proxy::start(server.address(), 42).await?;
//! let mut client = kv::Client::connect(proxy.address()).await?;
//! proxy.set(Direction::Down, Fault::BlackHole);
//! let ping = tokio::time::timeout(Duration::from_millis(20), client.ping());
//! assert!(ping.await.is_err());
//! proxy.heal().await?;
//! # Ok(()) }
//! ```

mod chance;
mod fault;
mod pump;
mod relay;

pub use fault::{Admission, Direction, Fault};
pub use relay::{Counters, Proxy};
