//! What a cluster is made of, and its first start.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use super::binaries::{Binaries, Version, run};
use super::cluster::{ADMIN, Cluster, DATABASE, USER};
use super::home::Home;

/// How the server knows its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an unpublished crate; tests match on it"
)]
pub enum Auth {
    /// Any client on loopback is believed.
    Trust,
    /// SCRAM-SHA-256 with this password.
    Scram(String),
}

/// Describes a [`Cluster`]. By default: [`Binaries::find`], [`Auth::Trust`], 50 connections.
#[derive(Debug)]
pub struct Builder {
    version: Option<Version>,
    binaries: Option<Binaries>,
    auth: Auth,
    settings: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            version: None,
            binaries: None,
            auth: Auth::Trust,
            settings: vec![],
            files: vec![],
        }
    }

    /// Which PostgreSQL. Wins over `PG_BIN`.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// The programs to use. Wins over [`Builder::version`].
    #[must_use]
    pub fn binaries(mut self, binaries: Binaries) -> Self {
        self.binaries = Some(binaries);
        self
    }

    /// How clients prove who they are.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Connections the server has in all. Clients get [`Cluster::client_slots`] of them.
    #[must_use]
    pub fn max_connections(self, connections: u32) -> Self {
        self.setting("max_connections", &connections.to_string())
    }

    /// A line of `postgresql.conf`; the last one of a name counts.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in the data folder, readable by the server alone, such as a key or `pg_hba.conf`.
    #[must_use]
    pub fn file(mut self, name: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), contents.into()));
        self
    }

    /// Makes the cluster and waits until it serves.
    ///
    /// # Errors
    ///
    /// When the programs cannot be had, or the server does not start; its log is in the message.
    pub fn start(self) -> io::Result<Cluster> {
        let binaries = match (self.binaries, self.version) {
            (Some(binaries), _) => binaries,
            (None, Some(version)) => Binaries::of(version)?,
            (None, None) => Binaries::find()?,
        };
        let cluster = Cluster::new(Home::make(&binaries)?, self.auth);
        let secret = cluster.dir().join("secret");
        let mut initdb = cluster.program("initdb");
        initdb.args([
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "-U",
            ADMIN,
        ]);
        initdb.arg("--pgdata").arg(cluster.data());
        match cluster.auth() {
            Auth::Trust => initdb.arg("--auth=trust"),
            Auth::Scram(password) => {
                fs::write(&secret, password)?;
                cluster.account().own(&secret)?;
                fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
                initdb
                    .arg("--auth=scram-sha-256")
                    .arg("--pwfile")
                    .arg(&secret)
            }
        };
        run(&mut initdb)?;
        let settings = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        cluster.configure(BASE.into_iter().chain(settings))?;
        for (name, contents) in &self.files {
            let path = cluster.data().join(name);
            fs::write(&path, contents)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            cluster.account().own(&path)?;
        }
        cluster.start()?;
        let password = match cluster.auth() {
            Auth::Trust => String::new(),
            Auth::Scram(password) => format!(" PASSWORD '{}'", password.replace('\'', "''")),
        };
        cluster.sql_in("postgres", &format!("CREATE ROLE {USER} LOGIN{password}"))?;
        cluster.sql_in(
            "postgres",
            &format!("CREATE DATABASE {DATABASE} OWNER {USER}"),
        )?;
        Ok(cluster)
    }
}

/// Durability is off: no test pulls the plug of the machine.
const BASE: [(&str, &str); 7] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "32MB"),
    ("max_connections", "50"),
    ("wal_level", "replica"),
    ("log_connections", "on"),
    ("listen_addresses", "127.0.0.1"),
];
