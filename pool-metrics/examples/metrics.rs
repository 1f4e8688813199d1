//! Serves the page of a made-up pool on loopback.
//!
//! `--once` scrapes it, prints it and ends; otherwise it is served until a line is read from
//! standard input.

#![expect(clippy::print_stdout, reason = "the page is what this example is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a program, unlike a library, reads the clock"
)]

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pool_metrics::{
    AcquirePath, BreakerSnapshot, Endpoint, HealthSnapshot, PoolRecorder, PoolSnapshot, Registry,
    Report, RequestOutcome, RetrySnapshot, Source,
};

struct Orders {
    recorder: PoolRecorder,
}

impl Source for Orders {
    fn collect(&self, now: Instant, report: &mut Report) {
        let mut pool = PoolSnapshot::new("orders", "postgres");
        pool.version = env!("CARGO_PKG_VERSION").into();
        (pool.used, pool.idle, pool.max) = (3, 5, 20);
        self.recorder.add_to(&mut pool, now);
        report.push_pool(pool);
        report.push_breaker(BreakerSnapshot::new("orders"));
        report.push_health(HealthSnapshot::new("primary"));
        report.push_retry(RetrySnapshot::new("orders"));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let now = Instant::now();
    let orders = Arc::new(Orders {
        recorder: PoolRecorder::new(now),
    });
    let registry = Registry::new();
    let _registered = registry.register(orders.clone())?;

    let search = orders.recorder.class("search", now);
    for millis in 1..=100 {
        let time = Duration::from_millis(millis);
        orders.recorder.acquired.increment(AcquirePath::Waited);
        orders.recorder.wait_time.record(time);
        orders.recorder.acquire_time.record(time);
        search.record(RequestOutcome::Success, 2 * time);
    }

    let is_once = std::env::args().any(|argument| argument == "--once");
    let serving = Endpoint::loopback(if is_once { 0 } else { 9187 }).serve(registry)?;
    if !is_once {
        println!("http://{}/metrics until a line is read", serving.address());
        io::stdin().read_line(&mut String::new())?;
        return Ok(());
    }

    let mut stream = TcpStream::connect(serving.address())?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, page) = response
        .split_once("\r\n\r\n")
        .ok_or("no end of the head")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(head.to_owned().into());
    }
    io::stdout().write_all(page.as_bytes())?;
    Ok(())
}
