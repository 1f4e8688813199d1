//! sqlx, with its own driver.

use sqlx::postgres::{PgPool, PgPoolOptions};

use super::{Contender, PATIENCE, Rig, Setting};
use crate::figures::Kind;
use crate::pool::Failed;

#[derive(Clone)]
pub(super) struct Sqlx(PgPool);

impl Contender for Sqlx {
    const NAME: &'static str = "sqlx";
    const KIND: Kind = Kind::Peer;

    async fn open(rig: &Rig, size: usize, setting: Setting) -> Self {
        let size = u32::try_from(size).expect("sizes are small");
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .min_connections(size)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(setting == Setting::Checked)
            .connect_lazy(&rig.cluster.url());
        Self(pool.expect("the URL is valid"))
    }

    async fn query(&self, sql: &'static str, id: i32) -> Result<i32, Failed> {
        let query = sqlx::query_scalar::<_, i32>(sql).bind(id);
        query.fetch_one(&self.0).await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => Failed::TimedOut,
            _ => Failed::Told,
        })
    }
}
