//! What the demo has to know about servers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pool_facade::Pool;
use pool_facade::pool_core::Manager;

/// Servers to run the demo on: the nodes of one pool.
pub trait Backend: Send + Sync + 'static {
    /// Makes connections to them.
    type Manager: Manager<Error: std::error::Error>;

    /// What they are, to follow "connections to".
    fn name(&self) -> String;

    /// Where each listens, and what it is called.
    fn nodes(&self) -> Vec<(String, SocketAddr)>;

    /// A manager whose connections go to `proxy`, which leads to the server at `node`.
    ///
    /// # Errors
    ///
    /// When that server cannot be reached through a proxy.
    fn manager(&self, node: usize, proxy: SocketAddr) -> io::Result<Self::Manager>;

    /// Lets each server work on so many requests at once. Those that it has begun go on.
    fn set_lanes(&self, lanes: usize);

    /// Asks a server to say `id`, on which it works for [`WORK`], and returns what it said.
    fn echo(
        &self,
        connection: &mut <Self::Manager as Manager>::Connection,
        id: u64,
    ) -> impl Future<Output = Result<u64, <Self::Manager as Manager>::Error>> + Send;

    /// The servers' own count, summed up.
    fn sessions(&self) -> impl Future<Output = io::Result<Sessions>> + Send;
}

/// Sessions as servers count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Sessions {
    /// Begun so far, if the servers keep such a count.
    pub begun: Option<u64>,
    /// Open now.
    pub open: u64,
}

/// The pool of a backend.
pub(crate) type PoolOf<B> = Pool<<B as Backend>::Manager>;

/// How long a server works on a request.
pub const WORK: Duration = Duration::from_millis(10);
