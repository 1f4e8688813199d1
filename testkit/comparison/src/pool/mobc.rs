//! mobc.

use std::time::Duration;

use mobc::{Connection as Lent, Error, Manager, Pool, async_trait};

use super::server::{Connection, Refused, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct Mobc(Pool<Server>);

#[async_trait]
impl Manager for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self) -> Result<Connection, Refused> {
        self.open().await
    }

    async fn check(&self, connection: Connection) -> Result<Connection, Refused> {
        Self::check(self, &connection)?;
        Ok(connection)
    }
}

impl Contender for Mobc {
    const NAME: &'static str = "mobc";
    const KIND: Kind = Kind::Peer;
    type Guard = Lent<Server>;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        let timeout = (setting == Setting::Equal).then_some(Duration::from_secs(30));
        let pool = Pool::builder()
            .max_open(size as u64)
            .max_idle(size as u64)
            .get_timeout(timeout)
            .test_on_check_out(setting == Setting::Equal)
            .build(server.clone());
        Self(pool)
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get().await.map_err(|error| match error {
            Error::Timeout => Failed::TimedOut,
            _ => Failed::Told,
        })
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "max_idle(size), get_timeout(None), test_on_check_out(false)",
            Setting::Equal => "max_idle(size), get_timeout(30 s), test_on_check_out(true)",
        }
    }
}
