//! bb8, checking as bb8-postgres does.

use bb8::{ManageConnection, Pool, RunError};
use tokio_postgres::{Config, Error};

use super::session::Session;
use super::{Contender, PATIENCE, Rig, Setting};
use crate::figures::Kind;
use crate::pool::Failed;

#[derive(Clone)]
pub(super) struct Bb8(Pool<Manager>);

pub(super) struct Manager(Config);

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = Error;

    async fn connect(&self) -> Result<Session, Error> {
        Session::connect(&self.0).await
    }

    async fn is_valid(&self, session: &mut Session) -> Result<(), Error> {
        session.client.simple_query("").await.map(drop)
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.client.is_closed()
    }
}

impl Contender for Bb8 {
    const NAME: &'static str = "bb8";
    const KIND: Kind = Kind::Peer;

    async fn open(rig: &Rig, size: usize, setting: Setting) -> Self {
        let size = u32::try_from(size).expect("sizes are small");
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(size))
            .test_on_check_out(setting == Setting::Checked)
            .connection_timeout(PATIENCE)
            .build_unchecked(Manager(rig.config()));
        Self(pool)
    }

    async fn query(&self, sql: &'static str, id: i32) -> Result<i32, Failed> {
        let mut session = self.0.get().await.map_err(|error| match error {
            RunError::TimedOut => Failed::TimedOut,
            RunError::User(_) => Failed::Told,
        })?;
        session.query(sql, id).await.map_err(|_| Failed::Told)
    }
}
