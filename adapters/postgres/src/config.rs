//! How to reach a database, and how its connections are used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::password::Password;
use crate::rules::{self, ConfigErrors};
use crate::url;

/// How to reach a database, and how its connections are used.
///
/// Made by [`from_url`](Self::from_url), by [`new`](Self::new) and the setters, or by serde
/// (feature `serde`; durations are text such as `"30s"`, and a key `url` may stand in place of the
/// rest). [`PgManager::new`](crate::PgManager::new) checks it. The limits of a pool, the connect
/// timeout over DNS, TCP, TLS and login included, are those of [`pool_core::Config`].
///
/// ```
/// use std::time::Duration;
/// use pool_postgres::{Config, Reset};
///
/// # fn main() -> Result<(), pool_postgres::ConfigErrors> {
/// let config = Config::from_url("postgres://app:secret@db.example.org/shop?statement_timeout=30s")?
///     .application_name("checkout")
///     .reset(Reset::Discard);
/// assert_eq!(config.statement_timeout, Some(Duration::from_secs(30)));
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::document::Document"))]
pub struct Config {
    /// The servers, tried in this order. At least one.
    pub hosts: Vec<Host>,
    /// The role to log in as.
    pub user: String,
    /// Its password, if the server asks for one.
    pub password: Option<Password>,
    /// The database. Default: named as the role.
    pub database: Option<String>,
    /// Shown in `pg_stat_activity`. Default: none.
    pub application_name: Option<String>,
    /// Settings of the session, as `-c name=value ..`. Default: none.
    pub options: Option<String>,
    /// How TLS is used. Default: by host, see [`SslMode`].
    pub ssl_mode: Option<SslMode>,
    /// A PEM file with the certificates to trust. Default: Mozilla's, compiled in.
    pub ssl_root_cert: Option<PathBuf>,
    /// Which servers will do. Default: any.
    pub target_session_attrs: TargetSessionAttrs,
    /// The time for DNS, TCP, TLS and login with one server, so that one that hangs leaves time
    /// for the next. Default: the pool's connect timeout shared among the servers.
    pub connect_timeout: Option<Duration>,
    /// The server's limit for each statement. Default: none.
    pub statement_timeout: Option<Duration>,
    /// TCP keepalive. Default: after 60 s, then every 30 s, 3 times.
    pub keepalive: Option<Keepalive>,
    /// How long sent data may stay unacknowledged before the connection is dead; the one limit
    /// that ends a statement whose server has vanished. Linux only. Default: 10 s.
    pub tcp_user_timeout: Option<Duration>,
    /// How many prepared statements each connection keeps. Default: 64.
    pub statement_cache: usize,
    /// What is done with a connection after use. Default: [`Reset::Rollback`].
    pub reset: Reset,
    /// What stands between us and the server. Default: [`Pooler::Direct`].
    pub pooler: Pooler,
    /// What checks a connection: one statement that only reads, run in a read-only transaction.
    /// Default: an empty statement, which is cheaper than `SELECT 1`.
    pub validation_query: Option<String>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// By name or IP address.
    Tcp {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// By the socket in this folder.
    Unix {
        /// The folder, an absolute path.
        folder: PathBuf,
        /// The port, which is part of the socket's name.
        port: u16,
    },
}

/// How TLS is used, in the words of libpq.
///
/// Unless told, we take [`VerifyFull`](Self::VerifyFull) for hosts elsewhere and
/// [`Disable`](Self::Disable) for this machine (Unix sockets, `localhost` and loopback addresses).
/// libpq's default, `prefer`, encrypts only when nobody objects, so it protects from no attacker; a
/// server without a certificate to verify must be named as such here. libpq's `allow` is left out
/// for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server has it, without looking at its certificate.
    Prefer,
    /// Always, without looking at the certificate; with a root certificate given, as
    /// [`VerifyCa`](Self::VerifyCa), like libpq.
    Require,
    /// Always, and the certificate is signed by one that we trust.
    VerifyCa,
    /// Always, and the certificate is trusted and made out to the host.
    VerifyFull,
}

/// Which servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum TargetSessionAttrs {
    /// The first that lets us in.
    #[default]
    Any,
    /// The first that takes writes: the primary.
    ReadWrite,
    /// The first that takes none: a standby.
    ReadOnly,
}

/// What is done with a connection after use.
///
/// Statements that are still running are cancelled at the server in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Reset {
    /// Nothing: an open transaction goes to the next user.
    None,
    /// An open transaction is rolled back. Costs nothing when there is none, as the server says
    /// with each answer whether there is.
    #[default]
    Rollback,
    /// All that `DISCARD ALL` does, except that prepared statements stay, as they carry no state of
    /// the user and the driver relies on its own. One round trip after each use, on nobody's path.
    Discard,
}

/// What stands between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Pooler {
    /// Nothing.
    #[default]
    Direct,
    /// A pooler that gives each client a session, such as PgBouncer in session mode. Limits are set
    /// by a statement, as poolers refuse startup settings.
    Session,
    /// A pooler that gives each transaction any session. Nothing outlives a transaction: no
    /// statement is kept prepared, and settings belong to the role.
    Transaction,
}

/// TCP keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// The silence before the first probe.
    pub idle: Duration,
    /// The time between probes.
    pub interval: Duration,
    /// How many unanswered probes make the connection dead.
    pub count: u32,
}

impl Config {
    /// One server and a role; everything else by default.
    pub fn new(host: impl Into<String>, user: impl Into<String>) -> Self {
        let host = Host::new(host, DEFAULT_PORT);
        Self {
            hosts: vec![host],
            user: user.into(),
            ..Self::empty()
        }
    }

    /// Reads `postgres://user:password@host:port,host:port/database?name=value&..`.
    ///
    /// The names are libpq's where it has them (`application_name`, `connect_timeout`, `host`,
    /// `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_count`, `options`,
    /// `password`, `port`, `sslmode`, `sslrootcert`, `target_session_attrs`, `tcp_user_timeout`,
    /// `user`, `dbname`), in its units, and else those of the fields (`pooler`, `reset`,
    /// `statement_cache`, `statement_timeout`, `validation_query`). Durations may carry a unit:
    /// `500ms`, `30s`, `5min`, `1h`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once; no message repeats the password.
    pub fn from_url(text: &str) -> Result<Self, ConfigErrors> {
        url::parse(text)
    }

    /// Adds a server, to be tried after those before it.
    pub fn host(mut self, host: impl Into<String>, port: u16) -> Self {
        self.hosts.push(Host::new(host, port));
        self
    }

    /// Sets the port of every server.
    pub fn port(mut self, to: u16) -> Self {
        for host in &mut self.hosts {
            let (Host::Tcp { port, .. } | Host::Unix { port, .. }) = host;
            *port = to;
        }
        self
    }

    /// Sets [`Config::password`].
    pub fn password(mut self, password: impl Into<Password>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets [`Config::database`].
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Sets [`Config::application_name`].
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// Sets [`Config::options`].
    pub fn options(mut self, options: impl Into<String>) -> Self {
        self.options = Some(options.into());
        self
    }

    /// Sets [`Config::ssl_mode`].
    pub fn ssl_mode(mut self, mode: SslMode) -> Self {
        self.ssl_mode = Some(mode);
        self
    }

    /// Sets [`Config::ssl_root_cert`].
    pub fn ssl_root_cert(mut self, file: impl Into<PathBuf>) -> Self {
        self.ssl_root_cert = Some(file.into());
        self
    }

    /// Sets [`Config::target_session_attrs`].
    pub fn target_session_attrs(mut self, attributes: TargetSessionAttrs) -> Self {
        self.target_session_attrs = attributes;
        self
    }

    /// Sets [`Config::connect_timeout`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets [`Config::statement_timeout`].
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = Some(timeout);
        self
    }

    /// Sets [`Config::keepalive`].
    pub fn keepalive(mut self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        self.keepalive = keepalive.into();
        self
    }

    /// Sets [`Config::tcp_user_timeout`].
    pub fn tcp_user_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.tcp_user_timeout = timeout.into();
        self
    }

    /// Sets [`Config::statement_cache`].
    pub fn statement_cache(mut self, statements: usize) -> Self {
        self.statement_cache = statements;
        self
    }

    /// Sets [`Config::reset`].
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = reset;
        self
    }

    /// Sets [`Config::pooler`].
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// Sets [`Config::validation_query`].
    pub fn validation_query(mut self, sql: impl Into<String>) -> Self {
        self.validation_query = Some(sql.into());
        self
    }

    /// Checks every rule that needs no look outside.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        rules::check(self)
    }

    /// The defaults, without a server and a role.
    pub(crate) fn empty() -> Self {
        Self {
            hosts: Vec::new(),
            user: String::new(),
            password: None,
            database: None,
            application_name: None,
            options: None,
            ssl_mode: None,
            ssl_root_cert: None,
            target_session_attrs: TargetSessionAttrs::Any,
            connect_timeout: None,
            statement_timeout: None,
            keepalive: Some(Keepalive::default()),
            tcp_user_timeout: Some(Duration::from_secs(10)),
            statement_cache: 64,
            reset: Reset::Rollback,
            pooler: Pooler::Direct,
            validation_query: None,
        }
    }

    pub(crate) fn ssl_mode_for(&self, host: &Host) -> SslMode {
        match (self.ssl_mode, host) {
            (_, Host::Unix { .. }) => SslMode::Disable,
            (Some(mode), _) => mode,
            (None, host) if host.is_local() => SslMode::Disable,
            (None, _) => SslMode::VerifyFull,
        }
    }
}

impl Host {
    /// A path that begins with a slash is the folder of a Unix socket.
    pub(crate) fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        if host.starts_with('/') {
            let folder = host.into();
            Self::Unix { folder, port }
        } else {
            Self::Tcp { host, port }
        }
    }

    fn is_local(&self) -> bool {
        match self {
            Self::Unix { .. } => true,
            Self::Tcp { host, .. } => {
                let address = host.parse::<std::net::IpAddr>();
                host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { folder, port } => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

impl Keepalive {
    /// The first probe after `idle`, then one each `interval`; dead after `count` of them.
    pub fn new(idle: Duration, interval: Duration, count: u32) -> Self {
        Self {
            idle,
            interval,
            count,
        }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self::new(Duration::from_secs(60), Duration::from_secs(30), 3)
    }
}

pub(crate) const DEFAULT_PORT: u16 = 5432;
