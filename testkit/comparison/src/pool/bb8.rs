//! bb8.

use bb8::{ManageConnection, Pool, PooledConnection, RunError};

use super::server::{Connection, Refused, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct Bb8(Pool<Server>);

impl ManageConnection for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self) -> Result<Connection, Refused> {
        self.open().await
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Refused> {
        self.check(connection)
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Contender for Bb8 {
    const NAME: &'static str = "bb8";
    const KIND: Kind = Kind::Peer;
    type Guard = PooledConnection<'static, Server>;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        let pool = Pool::builder()
            .max_size(u32::try_from(size).expect("sizes are small"))
            .test_on_check_out(setting == Setting::Equal)
            .build_unchecked(server.clone());
        Self(pool)
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get_owned().await.map_err(|error| match error {
            RunError::User(_) => Failed::Told,
            RunError::TimedOut => Failed::TimedOut,
        })
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "test_on_check_out(false); connection_timeout 30 s cannot be off",
            Setting::Equal => "test_on_check_out(true); connection_timeout 30 s is the default",
        }
    }
}
