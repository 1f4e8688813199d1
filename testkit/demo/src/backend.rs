//! What the demo has to know about a server.

use std::io;
use std::net::SocketAddr;

use pool_core::{Manager, Pool};

/// A server to run the demo on.
pub trait Backend: Send + Sync + 'static {
    /// Makes connections to it.
    type Manager: Manager<Error: std::error::Error>;

    /// What it is, to follow "connections to".
    fn name(&self) -> String;

    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// A manager whose connections go to `proxy`, which leads to the server.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached through a proxy.
    fn manager(&self, proxy: SocketAddr) -> io::Result<Self::Manager>;

    /// Asks the server to say `id`, which keeps it busy for a moment, and returns what it said.
    fn echo(
        connection: &mut <Self::Manager as Manager>::Connection,
        id: u64,
    ) -> impl Future<Output = Result<u64, Broken>> + Send;

    /// The server's own count.
    fn sessions(&self) -> impl Future<Output = io::Result<Sessions>> + Send;
}

/// A request got no answer. Why is the manager's to find out when the connection comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Broken;

/// Sessions as a server counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Sessions {
    /// Begun so far, if the server keeps such a count.
    pub begun: Option<u64>,
    /// Open now.
    pub open: u64,
}

/// The pool of a backend.
pub(crate) type PoolOf<B> = Pool<<B as Backend>::Manager>;
