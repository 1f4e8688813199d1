//! A real PostgreSQL, asked without blocking the runtime.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testkit::postgres::{self, Cluster, Version};
use tokio::task::spawn_blocking;

use crate::time::{self, Instant};

/// A running cluster, and its own count of what it sees.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    cluster: Arc<Cluster>,
    pub(crate) name: String,
}

impl Server {
    pub(crate) async fn start(
        version: Version,
        setting: impl FnOnce(postgres::Builder) -> postgres::Builder,
    ) -> Result<Self> {
        let builder = setting(Cluster::builder().version(version));
        let cluster = spawn_blocking(|| builder.start()).await??;
        Self::of(cluster).await
    }

    async fn of(cluster: Cluster) -> Result<Self> {
        let mut server = Self {
            cluster: Arc::new(cluster),
            name: String::new(),
        };
        let version = server.sql("SHOW server_version").await?;
        // Packagers append their own number in brackets.
        let version = version.split(' ').next().unwrap_or_default();
        server.name = format!("PostgreSQL {version}");
        Ok(server)
    }

    pub(crate) async fn replica(&self) -> Result<Self> {
        Self::of(self.ask(Cluster::replica).await?).await
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let cluster = self.cluster.clone();
        Ok(spawn_blocking(move || question(&cluster)).await??)
    }

    pub(crate) async fn sql(&self, sql: impl Into<String>) -> Result<String> {
        let sql = sql.into();
        self.ask(move |cluster| cluster.sql(&sql)).await
    }

    /// A number that the server is asked for.
    pub(crate) async fn count(&self, sql: impl Into<String>) -> Result<u64> {
        let sql = sql.into();
        let answer = self.sql(sql.clone()).await?;
        answer
            .parse()
            .with_context(|| format!("`{sql}` gave `{answer}`"))
    }

    /// The sessions that call themselves `name`.
    pub(crate) async fn sessions(&self, name: &str) -> Result<u64> {
        self.count(format!("SELECT count(*) {}", sessions(name)))
            .await
    }

    /// Those of them that are in the middle of something.
    pub(crate) async fn busy(&self, name: &str) -> Result<u64> {
        let busy = sessions(name) + " AND state <> 'idle'";
        self.count(format!("SELECT count(*) {busy}")).await
    }

    /// Ends the sessions that call themselves `name` and waits until they are gone.
    pub(crate) async fn terminate(&self, name: &str) -> Result<u64> {
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) {}",
            sessions(name)
        );
        self.count(kill).await
    }

    /// How many logins under this name have succeeded.
    pub(crate) async fn logins(&self, name: &str) -> Result<u64> {
        let line = format!("application_name={name}\n");
        let log = self.ask(Cluster::log).await?;
        Ok(log.matches(&line).count() as u64)
    }

    /// Asks until this many sessions call themselves `name`.
    pub(crate) async fn until_sessions(&self, name: &str, count: u64) -> Result<()> {
        let begun = Instant::now();
        loop {
            let now = self.sessions(name).await?;
            if now == count {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} has {now} sessions of {name}, not {count}", self.name);
            }
            time::pause(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let host = self
            .cluster
            .host()
            .parse()
            .expect("clusters listen on loopback");
        SocketAddr::new(host, self.cluster.port())
    }

    pub(crate) fn url(&self) -> String {
        self.cluster.url()
    }
}

fn sessions(name: &str) -> String {
    format!("FROM pg_stat_activity WHERE application_name = '{name}'")
}

/// For what the server must come to within any time.
const PATIENCE: Duration = Duration::from_secs(20);
