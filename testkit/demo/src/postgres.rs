//! A real PostgreSQL.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pool_postgres::{Config, Error, Host, PgConnection, PgManager, Pool, SslMode};
use testkit::postgres::Cluster;
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;

use crate::backend::{Backend, Sessions};
use crate::text::with_causes;

/// PostgreSQL as two nodes: a primary and its replica, or twice the server of somebody.
#[derive(Debug)]
pub struct Postgres {
    nodes: Vec<Node>,
    version: String,
    lanes: AtomicUsize,
    /// Whether the servers are ours.
    ours: bool,
}

#[derive(Debug)]
struct Node {
    name: &'static str,
    config: Config,
    address: SocketAddr,
    /// Asks the server what it sees, past the proxy.
    control: Pool,
    /// The server, if it is ours. Dropped last, when nobody is connected.
    cluster: Option<Arc<Cluster>>,
}

impl Postgres {
    /// Starts two that end with this value.
    ///
    /// # Errors
    ///
    /// When there are no programs to be had, or a server does not start.
    pub async fn start() -> io::Result<Self> {
        let clusters = spawn_blocking(|| {
            let primary = Cluster::launch()?;
            let replica = primary.replica()?;
            io::Result::Ok((primary, replica))
        });
        let (primary, replica) = clusters.await.map_err(io::Error::other)??;
        let primary = Node::reach("primary", &primary.url(), Some(Arc::new(primary))).await?;
        let replica = Node::reach("replica", &replica.url(), Some(Arc::new(replica))).await?;
        // The replica goes first, while its primary still answers.
        Self::of(vec![replica, primary]).await
    }

    /// Takes the one at `url`, of whose hosts the first counts, by two ways. Nothing is written to
    /// it.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub async fn at(url: &str) -> io::Result<Self> {
        let nodes = vec![
            Node::reach("one way", url, None).await?,
            Node::reach("another", url, None).await?,
        ];
        Self::of(nodes).await
    }

    async fn of(nodes: Vec<Node>) -> io::Result<Self> {
        let version = ask(
            &nodes[0].control,
            "SELECT current_setting('server_version')",
        )
        .await?;
        Ok(Self {
            // Packagers append their own number in brackets.
            version: version.split(' ').next().unwrap_or_default().to_owned(),
            lanes: AtomicUsize::new(1),
            ours: nodes[0].cluster.is_some(),
            nodes,
        })
    }
}

impl Node {
    async fn reach(
        name: &'static str,
        url: &str,
        cluster: Option<Arc<Cluster>>,
    ) -> io::Result<Self> {
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
        let watching = config
            .clone()
            .application_name(format!("{}-audit", session()));
        let control = Pool::builder(PgManager::new(watching).map_err(io::Error::other)?)
            .name("audit")
            .max_size(1)
            .acquire_timeout(PATIENCE)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            name,
            config,
            address,
            control,
            cluster,
        })
    }

    async fn sessions(&self) -> io::Result<Sessions> {
        let ours = format!("{}-{}", session(), self.name);
        let open = ask(&self.control, &format!("{OPEN} '{ours}'")).await?;
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

impl Backend for Postgres {
    type Manager = PgManager;

    fn name(&self) -> String {
        if self.ours {
            format!("a primary and a replica of PostgreSQL {}", self.version)
        } else {
            let address = self.nodes[0].address;
            format!("PostgreSQL {} at {address}, by two ways", self.version)
        }
    }

    fn nodes(&self) -> Vec<(String, SocketAddr)> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| (node.name.to_owned(), node.address))
            .collect()
    }

    fn manager(&self, node: usize, proxy: SocketAddr) -> io::Result<PgManager> {
        let node = &self.nodes[node];
        let ours = format!("{}-{}", session(), node.name);
        let mut config = node.config.clone().application_name(ours);
        config.hosts = vec![Host::Tcp {
            host: proxy.ip().to_string(),
            port: proxy.port(),
        }];
        // No certificate is made out to the proxy; who signed it can still be asked.
        config.ssl_mode = match (config.ssl_mode, node.address.ip().is_loopback()) {
            (None, false) | (Some(SslMode::VerifyFull), _) => Some(SslMode::VerifyCa),
            (mode, _) => mode,
        };
        PgManager::new(config).map_err(io::Error::other)
    }

    fn set_lanes(&self, lanes: usize) {
        self.lanes.store(lanes, Relaxed);
    }

    async fn echo(&self, connection: &mut PgConnection, id: u64) -> Result<u64, Error> {
        let lane = i64::try_from(id % self.lanes.load(Relaxed) as u64).expect("there are few");
        let id = i64::try_from(id).expect("ids count up from 0");
        let statement = connection.prepare_cached(ECHO).await?;
        let row = connection.query_one(&statement, &[&id, &lane]).await?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    async fn sessions(&self) -> io::Result<Sessions> {
        let mut sum = Sessions {
            begun: Some(0),
            open: 0,
        };
        for node in &self.nodes {
            let it = node.sessions().await?;
            sum.begun = sum.begun.zip(it.begun).map(|(sum, begun)| sum + begun);
            sum.open += it.open;
        }
        Ok(sum)
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
fn session() -> String {
    format!("holdfast-demo-{}", std::process::id())
}

/// For the first answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// A lock for each lane, held while the server works.
const ECHO: &str = "SELECT $1::int8, pg_sleep(0.01) FROM pg_advisory_xact_lock($2::int8)";
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name =";
