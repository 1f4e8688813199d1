//! The page over HTTP, for a program that has no web server of its own.
//!
//! `GET /metrics` and nothing else. Four threads serve it, each one connection at a time and none
//! for longer than two seconds, so a slow or hostile reader can hold up scrapes, never the program.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use subtle::ConstantTimeEq;

use crate::{PROMETHEUS_TEXT_TYPE, Registry, clock, prometheus_text};

/// Where the page is served, and to whom.
///
/// ```
/// use pool_metrics::{Endpoint, Registry};
///
/// let serving = Endpoint::loopback(0).token("s3cret").serve(Registry::new())?;
/// println!("http://{}/metrics", serving.address());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    token: Option<Arc<str>>,
}

impl Endpoint {
    /// Reachable from this machine alone. Port 0 takes any free one.
    pub fn loopback(port: u16) -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Reachable at `address`. Set a [`token`](Self::token) if that is not a loopback address.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
        }
    }

    /// Serves only requests that carry this bearer token. It is compared in constant time.
    #[must_use]
    pub fn token(mut self, token: impl Into<Arc<str>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Serves until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or no thread started.
    pub fn serve(self, registry: Registry) -> io::Result<Serving> {
        let listener = TcpListener::bind(self.address)?;
        let mut serving = Serving {
            address: listener.local_addr()?,
            stop: Arc::new(AtomicBool::new(false)),
            threads: Vec::with_capacity(THREADS),
        };
        let shared = Arc::new((listener, registry, self.token));
        for _ in 0..THREADS {
            let (shared, stop) = (shared.clone(), serving.stop.clone());
            let thread = thread::Builder::new()
                .name("pool-metrics-http".into())
                .spawn(move || {
                    let (listener, registry, token) = &*shared;
                    while !stop.load(Ordering::Acquire) {
                        match listener.accept() {
                            // A reader that went away is its own problem.
                            Ok((stream, _)) => {
                                _ = answer(stream, registry, token.as_deref(), &stop)
                            }
                            // No file descriptor is left, most likely: wait for one to be closed.
                            Err(_) => thread::park_timeout(Duration::from_millis(50)),
                        }
                    }
                })?;
            serving.threads.push(thread);
        }
        Ok(serving)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A page that is being served. Dropping it ends that, within two seconds at most.
#[derive(Debug)]
#[must_use = "dropping it stops the page"]
pub struct Serving {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Serving {
    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        // Each thread leaves `accept` by one connection, and nobody knows which takes which: so
        // all are made before any thread is waited for.
        let woken = (0..self.threads.len())
            .filter(|_| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
            .count();
        if woken == self.threads.len() {
            for thread in self.threads.drain(..) {
                // A panic in a thread was reported by the panic hook.
                _ = thread.join();
            }
        }
    }
}

fn answer(
    mut stream: TcpStream,
    registry: &Registry,
    token: Option<&str>,
    stop: &AtomicBool,
) -> io::Result<()> {
    if stop.load(Ordering::Acquire) {
        return Ok(());
    }
    let deadline = clock::now() + PATIENCE;
    let mut request = Vec::with_capacity(1024);
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() || request.len() > MAX_REQUEST {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&chunk[..length]),
        }
    }
    stream.set_write_timeout(Some(PATIENCE))?;
    let response = match judge(&String::from_utf8_lossy(&request), token) {
        Verdict::Page { body } => {
            let page = prometheus_text(&registry.collect(clock::now()));
            let head = head("200 OK", PROMETHEUS_TEXT_TYPE, page.len());
            if body { head + &page } else { head }
        }
        Verdict::Refused(status) => head(status, "text/plain", 0),
    };
    stream.write_all(response.as_bytes())
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Page { body: bool },
    Refused(&'static str),
}

/// Decides about a request. Pure, so that its table is a test.
fn judge(request: &str, token: Option<&str>) -> Verdict {
    let mut lines = request.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );

    // The token comes first: who has none learns nothing of the paths.
    if let Some(token) = token {
        let is_known = lines
            .filter_map(|line| line.split_once(':'))
            .any(|(name, value)| {
                let bearer = value.trim().split_once(' ');
                name.eq_ignore_ascii_case("authorization")
                    && bearer.is_some_and(|(scheme, given)| {
                        scheme.eq_ignore_ascii_case("bearer")
                            && bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()))
                    })
            });
        if !is_known {
            return Verdict::Refused("401 Unauthorized\r\nwww-authenticate: Bearer");
        }
    }
    if target.split('?').next() != Some("/metrics") {
        return Verdict::Refused("404 Not Found");
    }
    match method {
        "GET" => Verdict::Page { body: true },
        "HEAD" => Verdict::Page { body: false },
        _ => Verdict::Refused("405 Method Not Allowed\r\nallow: GET, HEAD"),
    }
}

fn head(status: &str, media_type: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n"
    )
}

const THREADS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(2);
const MAX_REQUEST: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(request: &str, token: Option<&str>) -> String {
        match judge(request, token) {
            Verdict::Refused(status) => status[..3].to_owned(),
            Verdict::Page { .. } => "200".to_owned(),
        }
    }

    #[test]
    fn only_the_page_is_served_and_only_for_reading() {
        assert_eq!(
            judge("GET /metrics HTTP/1.1\r\n\r\n", None),
            Verdict::Page { body: true }
        );
        assert_eq!(
            judge("HEAD /metrics?x HTTP/1.1\r\n\r\n", None),
            Verdict::Page { body: false }
        );
        assert_eq!(refused("POST /metrics HTTP/1.1\r\n\r\n", None), "405");
        assert_eq!(refused("GET /metrics/../x HTTP/1.1\r\n\r\n", None), "404");
        assert_eq!(refused("\r\n\r\n", None), "404");
    }

    #[test]
    fn with_a_token_nothing_is_served_without_it() {
        let request =
            |header: &str| format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n");
        for header in [
            "",
            "authorization: Bearer",
            "authorization: Bearer wrong",
            "authorization: Basic right",
            "authorization: Bearer righ",
            "x: Bearer right",
        ] {
            assert_eq!(refused(&request(header), Some("right")), "401", "{header}");
        }
        for header in [
            "authorization: Bearer right",
            "AUTHORIZATION:  bearer  right ",
        ] {
            assert_eq!(refused(&request(header), Some("right")), "200", "{header}");
        }
    }
}
