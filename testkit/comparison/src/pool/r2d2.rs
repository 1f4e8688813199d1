//! r2d2, which blocks its thread.

use std::time::Duration;

use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};

use super::server::{Connection, Refused, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct R2d2(Pool<Server>);

impl ManageConnection for Server {
    type Connection = Connection;
    type Error = Refused;

    fn connect(&self) -> Result<Connection, Refused> {
        self.open_blocking()
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Refused> {
        self.check(connection)
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Contender for R2d2 {
    const NAME: &'static str = "r2d2";
    const KIND: Kind = Kind::Aside("blocks its thread");
    const BLOCKS: bool = true;
    type Guard = PooledConnection<Server>;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        let pool = Pool::builder()
            .max_size(u32::try_from(size).expect("sizes are small"))
            .test_on_check_out(setting == Setting::Equal)
            .connection_timeout(Duration::from_secs(30))
            .error_handler(Box::new(NopErrorHandler))
            .build(server.clone());
        Self(pool.expect("the server is up"))
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get().map_err(|_| Failed::TimedOut)
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "test_on_check_out(false), connection_timeout(30 s)",
            Setting::Equal => "test_on_check_out(true), connection_timeout(30 s)",
        }
    }
}
