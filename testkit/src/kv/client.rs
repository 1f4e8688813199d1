//! The client: one connection, one command at a time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// One connection.
///
/// A command whose future is dropped midway leaves its reply on the wire, where the next command
/// would take it for its own. The client does not repair this; [`Client::is_broken`] tells it.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    /// Set while a command waits for its reply, and for good when that failed.
    unanswered: bool,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            unanswered: false,
        })
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// When the connection fails or the reply is not one to this command.
    pub async fn get(&mut self, key: &str) -> io::Result<Option<String>> {
        let reply = self.ask(&format!("GET {key}")).await?;
        match reply.split_once(' ') {
            Some(("VALUE", value)) => Ok(Some(value.to_owned())),
            None if reply == "NONE" => Ok(None),
            _ => Err(unexpected(&reply)),
        }
    }

    /// Sets `key`, which holds no blank, to `value`.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn set(&mut self, key: &str, value: &str) -> io::Result<()> {
        self.expect(&format!("SET {key} {value}"), "OK").await
    }

    /// Returns the id that came back, which a caller compares with its own.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn echo(&mut self, id: u64) -> io::Result<u64> {
        let reply = self.ask(&format!("ECHO {id}")).await?;
        let id = reply.strip_prefix("ECHO ").and_then(|id| id.parse().ok());
        id.ok_or_else(|| unexpected(&reply))
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn ping(&mut self) -> io::Result<()> {
        self.expect("PING", "PONG").await
    }

    /// Keeps the server busy with this connection for a while, counted in milliseconds.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.expect(&format!("SLEEP {}", time.as_millis()), "OK")
            .await
    }

    /// Takes leave: the server closes in good order.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn quit(mut self) -> io::Result<()> {
        self.expect("QUIT", "BYE").await
    }

    /// Whether the next command must fail or hear another's reply: a command was abandoned or
    /// failed, the server has closed, or it sent what nobody asked for. No round trip is made.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        if self.unanswered || !self.stream.buffer().is_empty() {
            return true;
        }
        match self.stream.get_ref().try_read(&mut [0]) {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }

    async fn expect(&mut self, command: &str, reply: &str) -> io::Result<()> {
        let heard = self.ask(command).await?;
        if heard == reply {
            Ok(())
        } else {
            Err(unexpected(&heard))
        }
    }

    async fn ask(&mut self, command: &str) -> io::Result<String> {
        self.unanswered = true;
        self.stream
            .write_all(format!("{command}\n").as_bytes())
            .await?;
        let mut reply = String::new();
        self.stream.read_line(&mut reply).await?;
        if reply.pop() != Some('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unanswered = false;
        Ok(reply)
    }
}

fn unexpected(reply: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unexpected reply {reply:?}"),
    )
}
