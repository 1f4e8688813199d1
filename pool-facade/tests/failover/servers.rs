//! The two servers, asked without blocking the runtime.

use std::io;
use std::sync::Arc;

use pool_facade::Endpoint;
use pool_facade::balance::Role;
use pool_facade::health::{Failure, Report};
use pool_postgres::{PgConnection, PgManager};
use testkit::postgres::Cluster;
use tokio::task::spawn_blocking;

#[derive(Clone)]
pub(crate) struct Server(Arc<Cluster>);

impl Server {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self(Arc::new(cluster))
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.0
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster) -> io::Result<T> + Send + 'static,
    ) -> T {
        let cluster = self.0.clone();
        let answer = spawn_blocking(move || question(&cluster));
        answer.await.unwrap().unwrap()
    }

    pub(crate) async fn sql(&self, sql: &'static str) -> String {
        self.ask(move |cluster| cluster.sql(sql)).await
    }

    pub(crate) fn endpoint(&self, name: &str, role: Role) -> Endpoint<PgManager> {
        let manager = PgManager::from_url(&self.0.url()).unwrap();
        Endpoint::new(name, manager).role(role)
    }
}

/// What a server is, in its own words.
pub(crate) async fn role(connection: &PgConnection) -> Report<Role> {
    match connection
        .query_one("SELECT pg_is_in_recovery()", &[])
        .await
    {
        Ok(row) if row.get(0) => Report::up().with_role(Role::Replica),
        Ok(_) => Report::up().with_role(Role::Primary),
        Err(_) => Report::down(Failure::Other),
    }
}
