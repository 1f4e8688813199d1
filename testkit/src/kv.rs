//! A key-value server in this process, with its own count of what it sees.
//!
//! The protocol is one line there, one line back: `GET key`, `SET key value`, `ECHO id`, `PING`,
//! `SLEEP milliseconds`, `QUIT`. `ECHO` makes a reply that reached the wrong caller visible;
//! [`Counters`] are the second witness to what a pool says of itself.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = testkit::kv::Server::start().await?;
//! let mut client = testkit::kv::Client::connect(server.address()).await?;
//! client.set("color", "green").await?;
//! assert_eq!(client.get("color").await?.as_deref(), Some("green"));
//! assert_eq!(client.echo(7).await?, 7);
//! assert_eq!(server.counters().accepted, 1);
//! # Ok(()) }
//! ```

mod client;
mod server;

pub use client::Client;
pub use server::{Counters, Server};
