//! fast_pool.

use std::time::Duration;

use fast_pool::{ConnectionGuard, Manager, Pool};

use super::server::{Connection, Refused, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct FastPool(Pool<Server>);

impl Manager for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self) -> Result<Connection, Refused> {
        self.open().await
    }

    async fn check(&self, connection: &mut Connection) -> Result<(), Refused> {
        Self::check(self, connection)
    }
}

impl Contender for FastPool {
    const NAME: &'static str = "fast_pool";
    const KIND: Kind = Kind::Aside("opens more than its limit, leaves callers unserved");
    type Guard = ConnectionGuard<Server>;

    fn new(size: usize, _: Setting, server: &Server) -> Self {
        let pool = Pool::new(server.clone());
        pool.set_max_open(size as u64);
        pool.set_max_idle_conns(size as u64);
        // `None` would be no time at all.
        pool.set_timeout_wait(Some(Duration::from_secs(30)));
        Self(pool)
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get().await.map_err(|error| match error {
            Refused::ByServer => Failed::Told,
            Refused::ByPool => Failed::TimedOut,
        })
    }

    fn settings(_: Setting) -> &'static str {
        "set_max_idle_conns(size), set_timeout_wait(30 s); neither it nor the check can be off"
    }
}
