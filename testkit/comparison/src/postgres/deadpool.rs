//! deadpool-postgres.

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use super::{Contender, PATIENCE, Rig, Setting};
use crate::figures::Kind;
use crate::pool::Failed;

#[derive(Clone)]
pub(super) struct Deadpool(Pool);

impl Contender for Deadpool {
    const NAME: &'static str = "deadpool";
    const KIND: Kind = Kind::Peer;

    async fn open(rig: &Rig, size: usize, setting: Setting) -> Self {
        let recycling_method = match setting {
            Setting::Plain => RecyclingMethod::Fast,
            Setting::Checked => RecyclingMethod::Verified,
        };
        let manager = ManagerConfig { recycling_method };
        let manager = Manager::from_config(rig.config(), NoTls, manager);
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE));
        Self(pool.build().expect("the settings are valid"))
    }

    async fn query(&self, sql: &'static str, id: i32) -> Result<i32, Failed> {
        let client = self.0.get().await.map_err(|error| match error {
            PoolError::Timeout(_) => Failed::TimedOut,
            _ => Failed::Told,
        })?;
        let answer = async {
            let statement = client.prepare_cached(sql).await?;
            client.query_one(&statement, &[&id]).await?.try_get(0)
        };
        answer
            .await
            .map_err(|_: tokio_postgres::Error| Failed::Told)
    }
}
