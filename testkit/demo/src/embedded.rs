//! Servers in this process.

use std::io;
use std::net::SocketAddr;

use pool_facade::pool_core::{ConnectContext, ErrorClass, Manager};
use testkit::kv::{Client, Server};

use crate::backend::{Backend, Sessions, WORK};

/// Three of testkit's key-value servers.
#[derive(Debug)]
pub struct Embedded(Vec<Server>);

impl Embedded {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let mut servers = Vec::new();
        for _ in NAMES {
            servers.push(Server::start().await?);
        }
        Ok(Self(servers))
    }
}

impl Backend for Embedded {
    type Manager = KvManager;

    fn name(&self) -> String {
        "three key-value servers inside this program".into()
    }

    fn nodes(&self) -> Vec<(String, SocketAddr)> {
        let servers = NAMES.iter().zip(&self.0);
        servers
            .map(|(name, server)| ((*name).to_owned(), server.address()))
            .collect()
    }

    fn manager(&self, _: usize, proxy: SocketAddr) -> io::Result<KvManager> {
        Ok(KvManager { address: proxy })
    }

    fn set_lanes(&self, lanes: usize) {
        for server in &self.0 {
            server.work(lanes, WORK);
        }
    }

    async fn echo(&self, connection: &mut Client, id: u64) -> io::Result<u64> {
        connection.echo(id).await
    }

    async fn sessions(&self) -> io::Result<Sessions> {
        let counters = self.0.iter().map(Server::counters);
        let (begun, open) = counters.fold((0, 0), |(begun, open), it| {
            (begun + it.accepted, open + it.live)
        });
        Ok(Sessions {
            begun: Some(begun),
            open,
        })
    }
}

/// Connects to a key-value server.
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

    /// Every error of this client ends its connection.
    fn classify(&self, _: &io::Error) -> ErrorClass {
        ErrorClass::Broken
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];
