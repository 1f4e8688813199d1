//! pool-core.

use pool_core::{Check, ConnectContext, ErrorKind, Manager, Pool, Pooled};

use super::server::{Connection, Refused, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct Ours(pub(crate) Pool<Server>);

impl Manager for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self, _: ConnectContext) -> Result<Connection, Refused> {
        self.open().await
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Refused> {
        self.check(connection)
    }
}

impl Contender for Ours {
    const NAME: &'static str = "pool-core";
    const KIND: Kind = Kind::Ours;
    type Guard = Pooled<Server>;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        let pool = Pool::builder(server.clone()).max_size(size);
        // The queue is never the limit that is measured.
        let pool = pool.max_waiters(200_000);
        let pool = match setting {
            Setting::Tuned => pool.check(Check::Never).acquire_timeout(None),
            Setting::Equal => pool.check(Check::Always),
        };
        Self(pool.build().expect("the settings are valid"))
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get().await.map_err(|error| match error.kind() {
            ErrorKind::Timeout(_) => Failed::TimedOut,
            _ => Failed::Told,
        })
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "check(Never), acquire_timeout(None)",
            Setting::Equal => "check(Always); acquire_timeout 30 s is the default",
        }
    }
}
