//! Three nodes, of which one fails and comes back while calls go on.
//!
//! Each node is a server inside this program behind a proxy that can fail.
//!
//! `cargo run -p pool-facade --example nodes`
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pool_facade::pool_core::{ConnectContext, ErrorClass, Manager};
use pool_facade::{CallOptions, NodeState, Pool};
use testkit::kv::{Client, Server};
use testkit::proxy::{Admission, Proxy};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut servers = Vec::new();
    let mut builder = Pool::builder().max_size(8);
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        let server = Server::start().await?;
        let proxy = Proxy::start(server.address(), seed).await?;
        builder = builder.node(name, KeyValue(proxy.address()));
        servers.push((server, proxy));
    }
    let pool = builder.build()?;

    call(&pool, "all well").await?;

    let (_, proxy) = &servers[1];
    proxy.admit(Admission::Refuse).await?;
    proxy.reset_all().await;
    call(&pool, "b is gone").await?;

    proxy.heal().await?;
    // A probe in the background finds out; nobody's call is put at risk for it.
    let serves = |node: &NodeState| node.view.is_some_and(|view| view.standing.serves());
    while !pool.state().nodes.iter().all(serves) {
        call(&pool, "b is being probed").await?;
    }
    call(&pool, "b is back").await?;

    println!("{}", pool.health());
    let report = pool.close(pool.config().close_grace).await;
    assert_eq!(report.outstanding, 0, "every connection came back");
    Ok(())
}

/// Makes a thousand calls by ten tasks, and says which nodes served them.
async fn call(pool: &Pool<KeyValue>, when: &str) -> Result<(), Box<dyn Error>> {
    let before = pool.statistics();
    let mut tasks = JoinSet::new();
    for task in 0..10 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for call in 0..100 {
                let id = task * 100 + call;
                // Asking twice is as good as once: what fails is tried again on another node.
                let options = CallOptions::new()
                    .idempotent()
                    .timeout(Duration::from_secs(5));
                let echo = pool.run_with(options, async |client| client.echo(id).await);
                assert_eq!(echo.await?, id);
            }
            Ok::<_, pool_facade::Error<io::Error>>(())
        });
    }
    for ended in tasks.join_all().await {
        ended?;
    }
    let after = pool.statistics();
    print!("{when}: 1000 calls answered, by");
    for (now, then) in after.nodes.iter().zip(&before.nodes) {
        let answered = now.breaker.totals.successes - then.breaker.totals.successes;
        print!(" {}: {answered}", now.name);
    }
    let retries = after.retries.attempts - before.retries.attempts;
    println!(", {retries} tried again");
    Ok(())
}

struct KeyValue(SocketAddr);

impl Manager for KeyValue {
    type Connection = Client;
    type Error = io::Error;

    async fn connect(&self, _: ConnectContext) -> io::Result<Client> {
        let mut client = Client::connect(self.0).await?;
        client.ping().await?;
        Ok(client)
    }

    async fn is_valid(&self, client: &mut Client) -> io::Result<()> {
        client.ping().await
    }

    fn has_broken(&self, client: &mut Client) -> bool {
        client.is_broken()
    }

    /// Every error of this client ends its connection.
    fn classify(&self, _: &io::Error) -> ErrorClass {
        ErrorClass::Broken
    }
}
