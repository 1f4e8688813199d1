//! deadpool, its managed pool.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleResult};

use super::server::{Connection, Refused, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct Deadpool(Pool<Server>);

impl Manager for Server {
    type Type = Connection;
    type Error = Refused;

    async fn create(&self) -> Result<Connection, Refused> {
        self.open().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Refused> {
        Ok(self.check(connection)?)
    }
}

impl Contender for Deadpool {
    const NAME: &'static str = "deadpool";
    const KIND: Kind = Kind::Peer;
    type Guard = Object<Server>;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        let builder = Pool::builder(server.clone()).max_size(size);
        let builder = match setting {
            Setting::Tuned => builder,
            Setting::Equal => builder
                .wait_timeout(Some(Duration::from_secs(30)))
                .runtime(Runtime::Tokio1),
        };
        Self(builder.build().expect("the settings are valid"))
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get().await.map_err(|error| match error {
            PoolError::Timeout(_) => Failed::TimedOut,
            _ => Failed::Told,
        })
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "the defaults, no timeouts; it recycles at every checkout anyway",
            Setting::Equal => "wait_timeout(30 s), runtime(Tokio1); recycles at every checkout",
        }
    }
}
