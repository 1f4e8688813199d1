//! The server in this process.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pool_core::{ConnectContext, Manager};
use testkit::kv::{Client, Server};

use crate::backend::{Backend, Broken, Sessions};

/// The key-value server of testkit.
#[derive(Debug)]
pub struct Embedded(Server);

impl Embedded {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let server = Server::start().await?;
        server.slow(WORK);
        Ok(Self(server))
    }
}

impl Backend for Embedded {
    type Manager = KvManager;

    fn name(&self) -> String {
        "a key-value server inside this program".into()
    }

    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn manager(&self, proxy: SocketAddr) -> io::Result<KvManager> {
        Ok(KvManager { address: proxy })
    }

    async fn echo(connection: &mut Client, id: u64) -> Result<u64, Broken> {
        connection.echo(id).await.map_err(|_| Broken)
    }

    async fn sessions(&self) -> io::Result<Sessions> {
        let counters = self.0.counters();
        Ok(Sessions {
            begun: Some(counters.accepted),
            open: counters.live,
        })
    }
}

/// Connects to the key-value server.
#[derive(Debug)]
pub struct KvManager {
    address: SocketAddr,
}

impl Manager for KvManager {
    type Connection = Client;
    type Error = io::Error;

    async fn connect(&self, _: ConnectContext) -> io::Result<Client> {
        let mut client = Client::connect(self.address).await?;
        // The proxy has accepted; only an answer tells that the server has.
        client.ping().await?;
        Ok(client)
    }

    async fn is_valid(&self, connection: &mut Client) -> io::Result<()> {
        connection.ping().await
    }

    fn has_broken(&self, connection: &mut Client) -> bool {
        connection.is_broken()
    }
}

/// How long the server works on a request.
const WORK: Duration = Duration::from_millis(1);
