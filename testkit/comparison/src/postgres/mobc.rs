//! mobc, checking as mobc-postgres does.

use mobc::{Error as PoolError, Manager as Manages, Pool, async_trait};
use tokio_postgres::{Config, Error};

use super::session::Session;
use super::{Contender, PATIENCE, Rig, Setting};
use crate::figures::Kind;
use crate::pool::Failed;

#[derive(Clone)]
pub(super) struct Mobc(Pool<Manager>);

pub(super) struct Manager(Config);

#[async_trait]
impl Manages for Manager {
    type Connection = Session;
    type Error = Error;

    async fn connect(&self) -> Result<Session, Error> {
        Session::connect(&self.0).await
    }

    async fn check(&self, session: Session) -> Result<Session, Error> {
        session.client.simple_query("").await?;
        Ok(session)
    }

    fn validate(&self, session: &mut Session) -> bool {
        !session.client.is_closed()
    }
}

impl Contender for Mobc {
    const NAME: &'static str = "mobc";
    const KIND: Kind = Kind::Peer;

    async fn open(rig: &Rig, size: usize, setting: Setting) -> Self {
        let pool = Pool::builder()
            .max_open(size as u64)
            .max_idle(size as u64)
            .get_timeout(Some(PATIENCE))
            .test_on_check_out(setting == Setting::Checked)
            .build(Manager(rig.config()));
        Self(pool)
    }

    async fn query(&self, sql: &'static str, id: i32) -> Result<i32, Failed> {
        let mut session = self.0.get().await.map_err(|error| match error {
            PoolError::Timeout => Failed::TimedOut,
            _ => Failed::Told,
        })?;
        session.query(sql, id).await.map_err(|_| Failed::Told)
    }
}
