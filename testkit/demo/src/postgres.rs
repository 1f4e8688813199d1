//! A real PostgreSQL.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pool_postgres::{Config, Host, PgConnection, PgManager, Pool, SslMode};
use testkit::postgres::Cluster;
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;

use crate::backend::{Backend, Broken, Sessions};
use crate::text::with_causes;

/// A PostgreSQL, ours or somebody's.
#[derive(Debug)]
pub struct Postgres {
    config: Config,
    address: SocketAddr,
    version: String,
    /// Asks the server what it sees, past the proxy.
    control: Pool,
    /// The server, if it is ours. Dropped last, when nobody is connected.
    cluster: Option<Arc<Cluster>>,
}

impl Postgres {
    /// Starts one that ends with this value.
    ///
    /// # Errors
    ///
    /// When there are no programs to be had, or the server does not start.
    pub async fn start() -> io::Result<Self> {
        let cluster = spawn_blocking(Cluster::launch)
            .await
            .map_err(io::Error::other)??;
        let url = cluster.url();
        Self::reach(&url, Some(Arc::new(cluster))).await
    }

    /// Takes the one at `url`, of whose hosts the first counts. Nothing is written to it.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub async fn at(url: &str) -> io::Result<Self> {
        Self::reach(url, None).await
    }

    async fn reach(url: &str, cluster: Option<Arc<Cluster>>) -> io::Result<Self> {
        let mut config = Config::from_url(url).map_err(io::Error::other)?;
        config.hosts.truncate(1);
        let Some(Host::Tcp { host, port }) = config.hosts.first() else {
            let message = "the proxy needs a host to reach by TCP in the URL";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let address = lookup_host((host.as_str(), *port))
            .await?
            .next()
            .ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
        let watching = config.clone().application_name(format!("{}-audit", name()));
        let control = Pool::builder(PgManager::new(watching).map_err(io::Error::other)?)
            .name("audit")
            .max_size(1)
            .acquire_timeout(PATIENCE)
            .build()
            .map_err(io::Error::other)?;
        let version = ask(&control, "SELECT current_setting('server_version')").await?;
        Ok(Self {
            // Packagers append their own number in brackets.
            version: version.split(' ').next().unwrap_or_default().to_owned(),
            config,
            address,
            control,
            cluster,
        })
    }
}

impl Backend for Postgres {
    type Manager = PgManager;

    fn name(&self) -> String {
        let whose = match self.cluster {
            Some(_) => "started for this".to_owned(),
            None => format!("at {}", self.address),
        };
        format!("PostgreSQL {}, {whose}", self.version)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn manager(&self, proxy: SocketAddr) -> io::Result<PgManager> {
        let mut config = self.config.clone().application_name(name());
        config.hosts = vec![Host::Tcp {
            host: proxy.ip().to_string(),
            port: proxy.port(),
        }];
        // No certificate is made out to the proxy; who signed it can still be asked.
        config.ssl_mode = match (config.ssl_mode, self.address.ip().is_loopback()) {
            (None, false) | (Some(SslMode::VerifyFull), _) => Some(SslMode::VerifyCa),
            (mode, _) => mode,
        };
        PgManager::new(config).map_err(io::Error::other)
    }

    async fn echo(connection: &mut PgConnection, id: u64) -> Result<u64, Broken> {
        let id = i64::try_from(id).expect("ids count up from 0");
        let echo = async {
            let statement = connection.prepare_cached(ECHO).await?;
            connection.query_one(&statement, &[&id]).await
        };
        let row = echo.await.map_err(|_| Broken)?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    async fn sessions(&self) -> io::Result<Sessions> {
        let open = ask(&self.control, &format!("{OPEN} '{}'", name())).await?;
        let begun = match &self.cluster {
            Some(cluster) => {
                let cluster = cluster.clone();
                let logins = spawn_blocking(move || cluster.logins()).await;
                Some(logins.map_err(io::Error::other)?? as u64)
            }
            None => None,
        };
        Ok(Sessions {
            begun,
            open: open.parse().map_err(io::Error::other)?,
        })
    }
}

/// The first column of the one row, as text.
async fn ask(control: &Pool, sql: &str) -> io::Result<String> {
    let connection = control
        .get()
        .await
        .map_err(|error| io::Error::other(with_causes(&error)))?;
    let sql = format!("SELECT ({sql})::text");
    let row = connection
        .query_one(&sql, &[])
        .await
        .map_err(|error| io::Error::other(with_causes(&error)))?;
    Ok(row.get(0))
}

/// What our sessions are called in `pg_stat_activity`.
fn name() -> String {
    format!("holdfast-demo-{}", std::process::id())
}

/// For the first answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);
const ECHO: &str = "SELECT $1::int8, pg_sleep(0.001)";
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name =";
