//! The proxy: its door, its connections, and what is done to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::chance::Chance;
use super::fault::{Admission, Direction, Fault};
use super::pump::pump;
use crate::door::{Door, Socket};

/// What the proxy has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an unpublished crate; tests compare it whole"
)]
pub struct Counters {
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Bytes that have arrived at the server.
    pub up: u64,
    /// Bytes that have arrived at clients.
    pub down: u64,
}

/// The proxy. It ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    door: Door,
    route: Arc<Route>,
}

impl Proxy {
    /// Starts on a free port of loopback, without a fault.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start(server: SocketAddr, seed: u64) -> io::Result<Self> {
        let route = Arc::new(Route {
            server: watch::Sender::new(server),
            seed,
            admission: watch::Sender::default(),
            up: watch::Sender::default(),
            down: watch::Sender::default(),
            stranded: watch::Sender::new(0),
            accepted: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
        });
        let for_sessions = route.clone();
        let door = Door::open(move |client| {
            let number = for_sessions.accepted.fetch_add(1, Ordering::Relaxed);
            let route = for_sessions.clone();
            // An error has been passed on to both ends by resetting them.
            async move { drop(route.carry(client, number).await) }
        })
        .await?;
        Ok(Self { door, route })
    }

    /// What becomes of new connections from now on.
    ///
    /// # Errors
    ///
    /// When the port was taken while the proxy refused.
    pub async fn admit(&self, admission: Admission) -> io::Result<()> {
        self.route.admission.send_replace(admission);
        match admission {
            Admission::Refuse => self.door.shut().await,
            Admission::Pass | Admission::Hang | Admission::Reset => self.door.reopen().await?,
        }
        Ok(())
    }

    /// What becomes of the bytes of one direction from now on.
    pub fn set(&self, direction: Direction, fault: Fault) {
        match direction {
            Direction::Up => self.route.up.send_replace(fault),
            Direction::Down => self.route.down.send_replace(fault),
        };
    }

    /// What becomes of the bytes of both directions from now on.
    pub fn set_both(&self, fault: Fault) {
        self.set(Direction::Up, fault);
        self.set(Direction::Down, fault);
    }

    /// Lets every connection that exists hear nothing for ever, while new ones pass: what is left
    /// when a peer or a firewall has forgotten them. Only [`Proxy::reset_all`] ends it.
    pub fn strand(&self) {
        let accepted = self.route.accepted.load(Ordering::Relaxed);
        self.route.stranded.send_replace(accepted);
    }

    /// Leads new connections to another server, as a changed address does.
    pub fn redirect(&self, server: SocketAddr) {
        self.route.server.send_replace(server);
    }

    /// Resets every connection at both ends and returns when they are gone.
    pub async fn reset_all(&self) {
        self.door.cut().await;
    }

    /// Ends every fault.
    ///
    /// # Errors
    ///
    /// As [`Proxy::admit`].
    pub async fn heal(&self) -> io::Result<()> {
        self.set_both(Fault::Pass);
        self.admit(Admission::Pass).await
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// What it has seen.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            accepted: self.route.accepted.load(Ordering::Relaxed),
            up: self.route.bytes_up.load(Ordering::Relaxed),
            down: self.route.bytes_down.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug)]
struct Route {
    server: watch::Sender<SocketAddr>,
    seed: u64,
    admission: watch::Sender<Admission>,
    up: watch::Sender<Fault>,
    down: watch::Sender<Fault>,
    /// Connections with a lower number are.
    stranded: watch::Sender<u64>,
    accepted: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

impl Route {
    async fn carry(&self, mut client: Socket, number: u64) -> io::Result<()> {
        let mut admission = self.admission.subscribe();
        // Those already in the kernel's queue when the door is shut count as hanging.
        let patient = |mode: &Admission| matches!(mode, Admission::Pass | Admission::Reset);
        let verdict = admission.wait_for(patient).await.map(|mode| *mode);
        if verdict.is_ok_and(|mode| mode == Admission::Reset) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let address = *self.server.borrow();
        let mut server = Socket::new(TcpStream::connect(address).await?);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let chance = |way| Chance::new(self.seed, number << 1 | way);
        let up = pump(
            from_client,
            to_server,
            self.up.subscribe(),
            chance(0),
            &self.bytes_up,
        );
        let down = pump(
            from_server,
            to_client,
            self.down.subscribe(),
            chance(1),
            &self.bytes_down,
        );
        let mut stranded = self.stranded.subscribe();
        let silence = async {
            let _ = stranded.wait_for(|first| number < *first).await;
        };
        tokio::select! {
            moved = async { tokio::try_join!(up, down) } => drop(moved?),
            () = silence => std::future::pending().await,
        }
        client.close();
        server.close();
        Ok(())
    }
}
