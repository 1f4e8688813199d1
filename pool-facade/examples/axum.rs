//! A web service on the pool: an answer, readiness and metrics, and an end in good order.
//!
//! It asks itself once and ends; give it `--serve` to go on until Ctrl-C.
//!
//! `cargo run -p pool-facade --example axum`
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use pool_facade::pool_core::{ConnectContext, ErrorClass, Manager};
use pool_facade::pool_metrics::{Registry, prometheus_text};
use pool_facade::{CallOptions, Pool};
use testkit::kv::{Client, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
struct Service {
    pool: Pool<KeyValue>,
    registry: Registry,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Server::start().await?;
    let registry = Registry::new();
    let pool = Pool::builder()
        .node("store", KeyValue(store.address()))
        .metrics(&registry)
        .build()?;
    let service = Service {
        pool: pool.clone(),
        registry,
    };
    let router = Router::new()
        .route("/values/{key}", get(value))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(service);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("http://{address}/ready");

    let serve = std::env::args().any(|argument| argument == "--serve");
    let end = async move {
        if serve {
            let _ = tokio::signal::ctrl_c().await;
        } else if let Err(error) = ask_myself(address).await {
            println!("{error}");
        }
    };
    // First no new requests, then those under way to their end, then the pool.
    axum::serve(listener, router)
        .with_graceful_shutdown(end)
        .await?;
    let report = pool.close(pool.config().close_grace).await;
    println!("closed, {} connections had to be left", report.outstanding);
    Ok(())
}

async fn value(State(service): State<Service>, Path(key): Path<String>) -> (StatusCode, String) {
    let options = CallOptions::new()
        .read_only()
        .timeout(Duration::from_secs(1));
    let key = key.as_str();
    let value = service
        .pool
        .run_with(options, async |client| client.get(key).await)
        .await;
    match value {
        Ok(Some(value)) => (StatusCode::OK, value),
        Ok(None) => (StatusCode::NOT_FOUND, "there is none\n".into()),
        // Whoever asked may come back; a balancer before us sends it elsewhere meanwhile.
        Err(error) if error.is_retryable() => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

async fn ready(State(service): State<Service>) -> (StatusCode, String) {
    let readiness = service.pool.ready();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{readiness}\n"))
}

async fn metrics(State(service): State<Service>) -> String {
    let now = tokio::time::Instant::now().into_std();
    prometheus_text(&service.registry.collect(now))
}

/// What a caller, a balancer and a scraper would ask.
async fn ask_myself(address: SocketAddr) -> io::Result<()> {
    for path in ["/values/nothing", "/ready", "/metrics"] {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer.lines().next().unwrap_or_default();
        let acquired = "pool_connections_acquired_total{";
        let lines = answer.lines().filter(|line| line.starts_with(acquired));
        println!("{path}: {status}");
        lines.for_each(|line| println!("  {line}"));
    }
    Ok(())
}

struct KeyValue(SocketAddr);

impl Manager for KeyValue {
    type Connection = Client;
    type Error = io::Error;

    async fn connect(&self, _: ConnectContext) -> io::Result<Client> {
        Client::connect(self.0).await
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
