//! The server: sessions, their commands, and the count of both.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use crate::door::{Door, Socket, lock};

/// What the server has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an unpublished crate; tests compare it whole"
)]
pub struct Counters {
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections open now.
    pub live: u64,
    /// The most connections ever open at once.
    pub max_live: u64,
    /// Commands answered, errors included.
    pub commands: u64,
}

/// The server. It ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Server {
    door: Door,
    shared: Arc<Shared>,
}

impl Server {
    /// Starts on a free port of loopback.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let for_sessions = shared.clone();
        let door = Door::open(move |socket| {
            let visit = Visit::begin(for_sessions.clone());
            async move {
                // A client that vanishes is no concern of the server's.
                let _ = converse(socket, &visit.0).await;
            }
        })
        .await?;
        Ok(Self { door, shared })
    }

    /// Ends every connection by reset and returns when they are gone.
    pub async fn kill_all(&self) {
        self.door.cut().await;
    }

    /// Closes the listening socket: new connections are refused, those that exist live on.
    pub async fn refuse(&self) {
        self.door.shut().await;
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    ///
    /// When the port was taken meanwhile.
    pub async fn accept(&self) -> io::Result<()> {
        self.door.reopen().await
    }

    /// Makes every command that comes from now on take this much longer.
    pub fn slow(&self, by: Duration) {
        lock(&self.shared.state).delay = by;
    }

    /// Makes every echo that comes from now on work for `time`, at most `lanes` of them at once:
    /// together they can do no more than `lanes / time`. What a client no longer waits for is
    /// worked on all the same.
    pub fn work(&self, lanes: usize, time: Duration) {
        lock(&self.shared.state).work = Some((Arc::new(Semaphore::new(lanes)), time));
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// What it has seen, all of one moment.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).counters
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counters: Counters,
    delay: Duration,
    work: Option<(Arc<Semaphore>, Duration)>,
    values: HashMap<String, String>,
}

/// A connection that counts as live.
struct Visit(Arc<Shared>);

impl Visit {
    fn begin(shared: Arc<Shared>) -> Self {
        let counters = &mut lock(&shared.state).counters;
        counters.accepted += 1;
        counters.live += 1;
        counters.max_live = counters.max_live.max(counters.live);
        Self(shared.clone())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        lock(&self.0.state).counters.live -= 1;
    }
}

async fn converse(mut socket: Socket, shared: &Shared) -> io::Result<()> {
    let (reader, mut writer) = socket.split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).await? == 0 {
            break;
        }
        let command = Command::parse(line.trim_end());
        let mut pause = lock(&shared.state).delay;
        if let Command::Sleep(time) = command {
            pause += time;
        }
        if !pause.is_zero() {
            sleep_until(Instant::now() + pause).await;
        }
        let work = lock(&shared.state).work.clone();
        if let (Command::Echo(_), Some((lanes, time))) = (command, work) {
            let _lane = lanes.acquire().await;
            sleep_until(Instant::now() + time).await;
        }
        let mut reply = lock(&shared.state).answer(&command);
        reply.push('\n');
        writer.write_all(reply.as_bytes()).await?;
        if command == Command::Quit {
            break;
        }
    }
    socket.close();
    Ok(())
}

impl State {
    fn answer(&mut self, command: &Command<'_>) -> String {
        self.counters.commands += 1;
        match *command {
            Command::Get(key) => match self.values.get(key) {
                Some(value) => format!("VALUE {value}"),
                None => "NONE".into(),
            },
            Command::Set(key, value) => {
                self.values.insert(key.into(), value.into());
                "OK".into()
            }
            Command::Echo(id) => format!("ECHO {id}"),
            Command::Ping => "PONG".into(),
            Command::Sleep(_) => "OK".into(),
            Command::Quit => "BYE".into(),
            Command::Unknown => "ERROR unknown command".into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command<'a> {
    Get(&'a str),
    Set(&'a str, &'a str),
    Echo(&'a str),
    Ping,
    Sleep(Duration),
    Quit,
    Unknown,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Self {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (name, rest) {
            ("GET", key) if !key.is_empty() => Self::Get(key),
            ("SET", pair) => match pair.split_once(' ') {
                Some((key, value)) => Self::Set(key, value),
                None => Self::Unknown,
            },
            ("ECHO", id) => Self::Echo(id),
            ("PING", "") => Self::Ping,
            ("SLEEP", time) => match time.parse() {
                Ok(time) => Self::Sleep(Duration::from_millis(time)),
                Err(_) => Self::Unknown,
            },
            ("QUIT", "") => Self::Quit,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_one_command() {
        for (line, command) in [
            ("GET a", Command::Get("a")),
            ("GET", Command::Unknown),
            ("SET a b c", Command::Set("a", "b c")),
            ("SET a", Command::Unknown),
            ("ECHO 7", Command::Echo("7")),
            ("PING", Command::Ping),
            ("PING x", Command::Unknown),
            ("SLEEP 5", Command::Sleep(Duration::from_millis(5))),
            ("SLEEP -5", Command::Unknown),
            ("QUIT", Command::Quit),
            ("get a", Command::Unknown),
            ("", Command::Unknown),
        ] {
            assert_eq!(Command::parse(line), command, "{line:?}");
        }
    }
}
