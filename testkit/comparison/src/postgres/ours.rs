//! pool-postgres.

use pool_core::{Check, ErrorKind};
use pool_postgres::{PgManager, Pool};

use super::{Contender, PATIENCE, Rig, Setting};
use crate::figures::Kind;
use crate::pool::Failed;

#[derive(Clone)]
pub(super) struct Ours(Pool);

impl Contender for Ours {
    const NAME: &'static str = "pool-postgres";
    const KIND: Kind = Kind::Ours;

    async fn open(rig: &Rig, size: usize, setting: Setting) -> Self {
        let manager = PgManager::from_url(&rig.cluster.url()).expect("the URL is valid");
        let pool = Pool::builder(manager)
            .max_size(size)
            .min_idle(size)
            .acquire_timeout(PATIENCE);
        let pool = match setting {
            Setting::Plain => pool,
            Setting::Checked => pool.check(Check::Always),
        };
        let pool = pool.build().expect("the settings are valid");
        // On a server that is too small this is refused, which is for the workload to find out.
        let _ = pool.warm().await;
        Self(pool)
    }

    async fn query(&self, sql: &'static str, id: i32) -> Result<i32, Failed> {
        let connection = self.0.get().await.map_err(|error| match error.kind() {
            ErrorKind::Timeout(_) => Failed::TimedOut,
            _ => Failed::Told,
        })?;
        let answer = async {
            let statement = connection.prepare_cached(sql).await?;
            connection.query_one(&statement, &[&id]).await?.try_get(0)
        };
        answer
            .await
            .map_err(|_: tokio_postgres::Error| Failed::Told)
    }
}
