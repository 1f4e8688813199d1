//! Probes three embedded servers, one of which goes down and comes back, and prints the changes.
//!
//! `cargo run -p health --features tokio --example probe_tcp`
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "a program has to get the time somewhere"
)]

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use health::{Event, Failure, Group, GroupPolicy, MonitorPolicy, Report, State};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that accepts and hangs up; aborting the task closes its port.
async fn serve(address: SocketAddr) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    Ok((address, task))
}

/// The probe: whoever accepts a connection is up. The runner sees to the timeout.
async fn connect(address: SocketAddr) -> Report {
    match TcpStream::connect(address).await {
        Ok(_) => Report::up(),
        Err(_) => Report::down(Failure::Connect),
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The defaults are made for production; here everything is fifty times faster.
    let monitor = MonitorPolicy::new()
        .interval(Duration::from_millis(200))
        .fast_interval(Duration::from_millis(50))
        .slow_interval(Duration::from_millis(200))
        .timeout(Duration::from_millis(50));
    let policy = GroupPolicy::new()
        .monitor(monitor)
        .batch(1, Duration::from_millis(50));
    let begin = Instant::now();
    let mut group = Group::new(policy, begin)?;
    let mut servers = Vec::new();
    for _ in 0..3 {
        let (address, server) = serve(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let id = group.insert(address, begin);
        println!("probing {address} as target {id}");
        servers.push((id, address, server));
    }
    let runner = health::spawn(group, connect);
    let mut events = runner.events();
    let mut up = 0;
    let (victim, address, server) = servers.swap_remove(1);
    let mut server = Some(server);
    while let Some(event) = events.next().await {
        let at = begin.elapsed().as_millis();
        let Event::Changed(id, change) = event else {
            println!("{at:5} ms  {event:?}");
            continue;
        };
        let reason = change
            .failure
            .map_or(String::new(), |failure| format!(" ({failure:?})"));
        println!(
            "{at:5} ms  target {id}: {:?} -> {:?}{reason}",
            change.from.state, change.to.state
        );
        match change.to.state {
            State::Up => up += 1,
            State::Down if id == victim => {
                let eligible = runner.snapshot().eligible().count();
                println!("          {eligible} targets are left; starting {address} again");
                server = Some(serve(address).await?.1);
            }
            other => return Err(format!("target {id} is {other:?}").into()),
        }
        if up == 3 && change.from.state == State::Unknown {
            println!("          all are up; stopping {address}");
            if let Some(server) = server.take() {
                server.abort();
            }
        }
        if up == 4 {
            break;
        }
    }
    let group = runner.stop().await?;
    println!(
        "stopped with {} of {} targets eligible",
        group.eligible().count(),
        up - 1
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // An example that hangs would be a poor one.
        tokio::time::timeout(Duration::from_secs(30), run()).await?
    })
}
