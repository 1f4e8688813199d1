//! A pool in twenty lines, on a key-value server inside this program.
//!
//! `cargo run -p pool-facade --example quickstart`
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use pool_facade::Pool;
use pool_facade::pool_core::{ConnectContext, Manager};
use testkit::kv::{Client, Server};

/// Says how to connect; everything else has a default.
struct KeyValue(SocketAddr);

impl Manager for KeyValue {
    type Connection = Client;
    type Error = io::Error;

    async fn connect(&self, _: ConnectContext) -> io::Result<Client> {
        Client::connect(self.0).await
    }

    fn has_broken(&self, client: &mut Client) -> bool {
        client.is_broken()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start().await?;
    let pool = Pool::builder()
        .node("kv", KeyValue(server.address()))
        .build()?;
    let greeting = pool
        .run(async |client| {
            client.set("greeting", "hello").await?;
            client.get("greeting").await
        })
        .await?;
    println!(
        "{}; the pool is {}",
        greeting.unwrap_or_default(),
        pool.ready()
    );
    pool.close(pool.config().close_grace).await;
    Ok(())
}
