//! From a host to a session: address, socket, TLS, login, role.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, Client, SimpleQueryMessage};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::{Config, Host, Pooler, SslMode, TargetSessionAttrs};
use crate::connection::PgConnection;
use crate::error::Error;
use crate::rules::ConfigErrors;
use crate::socket::Socket;
use crate::tls::{self, Tls};
use crate::wire::{Traffic, Wire};

/// What the driver's task runs.
pub(crate) type Driver = tokio_postgres::Connection<Wire<Socket>, Wire<TlsStream<Socket>>>;

/// Opens connections to the servers of one configuration.
#[derive(Debug)]
pub(crate) struct Connector {
    config: Arc<Config>,
    /// For each server, in order.
    tls: Vec<Tls>,
}

/// Where a server was found, and how to talk to it: enough to come back for a cancel.
pub(crate) struct Target {
    address: Address,
    tls: Tls,
    config: Arc<Config>,
}

#[derive(Debug, Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Connector {
    /// Checks everything that can be checked before the first connection.
    pub(crate) fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        errors.extend(config.validate());
        let file = config.ssl_root_cert.as_deref();
        let roots = match tls::roots(file) {
            Ok(roots) => Arc::new(roots),
            Err(error) => {
                let file = file.map(|file| file.display().to_string());
                let value = format!("{} ({error})", file.unwrap_or_default());
                errors.push("ssl_root_cert", value, "must be a PEM file of certificates");
                return Err(errors);
            }
        };
        let mut tls = Vec::new();
        for host in &config.hosts {
            let mode = config.ssl_mode_for(host);
            let name = match host {
                Host::Tcp { host, .. } if mode != SslMode::Disable => host,
                // Never used, as TLS is off.
                _ => "localhost",
            };
            match ServerName::try_from(name.to_owned()) {
                Ok(name) => {
                    let setup = tls::client_config(mode, roots.clone(), file.is_some());
                    tls.push(Tls::new(setup, name));
                }
                Err(_) => errors.push("hosts", "..".into(), "must be fit for a certificate"),
            }
        }
        let config = Arc::new(config);
        errors.or(()).map(|()| Self { config, tls })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Tries the servers in order. What the server itself refuses for good ends the search.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<PgConnection, Error> {
        let mut last = None;
        let hosts = &self.config.hosts;
        let share = limit / u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        for (i, (host, tls)) in hosts.iter().zip(&self.tls).enumerate() {
            // The last may take what is left; its end is the pool's to call and to count.
            let own = (i + 1 < hosts.len()).then_some(share);
            let own = self.config.connect_timeout.or(own);
            let attempt = self.connect_to(host, tls, own.unwrap_or(share));
            let result = match own {
                Some(limit) => timeout(limit, attempt).await.unwrap_or_else(|_| {
                    let host = host.clone();
                    Err(Error::Silent { host, limit })
                }),
                None => attempt.await,
            };
            match result {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    let over = error.class() == pool_core::ErrorClass::Permanent;
                    last = Some(error);
                    if over {
                        break;
                    }
                }
            }
        }
        Err(last.expect("a valid configuration names a server"))
    }

    async fn connect_to(
        &self,
        host: &Host,
        tls: &Tls,
        limit: Duration,
    ) -> Result<PgConnection, Error> {
        let (target, socket) = self.reach(host, tls, limit).await?;
        let traffic = Arc::new(Traffic::default());
        let peephole = socket.peephole();
        let wire = Wire::new(socket, traffic.clone());
        let login = self.login(host).connect_raw(wire, target.tls.clone()).await;
        let (client, driver) = login.map_err(|source| {
            let host = host.clone();
            if traffic.has_no_tls() && source.code().is_none() {
                Error::NoTls { host }
            } else {
                Error::LogIn { host, source }
            }
        })?;
        let connection = PgConnection::start(client, driver, traffic, peephole, target);
        connection.set_up().await?;
        let wanted = self.config.target_session_attrs;
        if wanted != TargetSessionAttrs::Any {
            let read_only = is_read_only(&connection).await?;
            if read_only != (wanted == TargetSessionAttrs::ReadOnly) {
                let host = host.clone();
                connection.shut_down(false).await;
                return Err(Error::WrongRole { host, wanted });
            }
        }
        Ok(connection)
    }

    /// Opens a socket to the first address that takes it.
    async fn reach(
        &self,
        host: &Host,
        tls: &Tls,
        limit: Duration,
    ) -> Result<(Target, Socket), Error> {
        let no_address = |source| {
            let host = host.clone();
            Error::Resolve { host, source }
        };
        let addresses: Vec<Address> = match host {
            Host::Tcp { host, port } => {
                let found = lookup_host((host.as_str(), *port)).await;
                found.map_err(no_address)?.map(Address::Tcp).collect()
            }
            Host::Unix { folder, port } => {
                vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))]
            }
        };
        let mut last = None;
        let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        for address in addresses {
            let tls = tls.clone();
            let config = self.config.clone();
            let target = Target {
                address,
                tls,
                config,
            };
            let attempt = timeout(share, target.open()).await;
            match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(socket) => return Ok((target, socket)),
                Err(error) => last = Some(error),
            }
        }
        let Some(source) = last else {
            return Err(no_address(io::ErrorKind::NotFound.into()));
        };
        let host = host.clone();
        Err(Error::Reach { host, source })
    }

    /// What is sent to log in.
    fn login(&self, host: &Host) -> tokio_postgres::Config {
        let config = &self.config;
        let mut login = tokio_postgres::Config::new();
        login.user(&config.user);
        if let Some(password) = &config.password {
            login.password(password.reveal());
        }
        if let Some(database) = &config.database {
            login.dbname(database);
        }
        if let Some(name) = &config.application_name {
            login.application_name(name);
        }
        let limit = config
            .statement_timeout
            .filter(|_| config.pooler == Pooler::Direct);
        let limit = limit.map(|limit| format!("-c statement_timeout={}", limit.as_millis()));
        let options: Vec<String> = config.options.iter().cloned().chain(limit).collect();
        if !options.is_empty() {
            login.options(options.join(" "));
        }
        login.ssl_mode(match config.ssl_mode_for(host) {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            _ => tokio_postgres::config::SslMode::Require,
        });
        login
    }
}

impl Target {
    /// Asks the server to cancel what the session of `token` is doing, and waits until it has
    /// passed that on; a cancel still under way could hit the next statement instead.
    pub(crate) async fn cancel(&self, token: &CancelToken) -> io::Result<()> {
        let mut socket = self.open().await?;
        let wire = Wire::new(&mut socket, Arc::default());
        let sent = token.cancel_query_raw(wire, self.tls.clone()).await;
        sent.map_err(io::Error::other)?;
        // The server closes once the signal is sent. Whether by a reset or not is all the same.
        let mut rest = [0; 64];
        while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        Ok(())
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    async fn open(&self) -> io::Result<Socket> {
        let address = match &self.address {
            Address::Unix(path) => return Ok(UnixStream::connect(path).await?.into()),
            Address::Tcp(address) => address,
        };
        let stream = TcpStream::connect(address).await?;
        self.tune(&stream)?;
        Ok(stream.into())
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        if let Some(keepalive) = self.config.keepalive {
            let probes = TcpKeepalive::new()
                .with_time(keepalive.idle)
                .with_interval(keepalive.interval)
                .with_retries(keepalive.count);
            socket.set_tcp_keepalive(&probes)?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(self.config.tcp_user_timeout)?;
        Ok(())
    }
}

async fn is_read_only(client: &Client) -> Result<bool, Error> {
    let answer = client.simple_query("SHOW transaction_read_only").await?;
    Ok(answer
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on"))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_socket_has_the_limits_of_the_configuration() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connector = Connector::new(Config::new("localhost", "app")).unwrap();
        let target = Target {
            address: Address::Tcp(address),
            tls: connector.tls[0].clone(),
            config: connector.config.clone(),
        };
        let stream = TcpStream::connect(address).await.unwrap();
        target.tune(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(60)
        );
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(30)
        );
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        #[cfg(target_os = "linux")]
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(10))
        );
    }

    #[test]
    fn tls_is_verified_unless_the_server_is_this_machine() {
        let mode = |url: &str| {
            let config = Config::from_url(url).unwrap();
            config.ssl_mode_for(&config.hosts[0])
        };
        for local in ["localhost", "127.0.0.1", "[::1]", "%2Frun"] {
            assert_eq!(mode(&format!("postgres://u@{local}/d")), SslMode::Disable);
        }
        assert_eq!(mode("postgres://u@db.example/d"), SslMode::VerifyFull);
        assert_eq!(mode("postgres://u@10.0.0.1/d"), SslMode::VerifyFull);
        assert_eq!(
            mode("postgres://u@localhost/d?sslmode=require"),
            SslMode::Require
        );
        assert_eq!(
            mode("postgres://u@db.example/d?sslmode=disable"),
            SslMode::Disable
        );
    }

    #[test]
    fn a_root_certificate_that_cannot_be_read_is_named() {
        let config = Config::new("db.example", "app").ssl_root_cert("/nowhere/ca.pem");
        let errors = Connector::new(config).unwrap_err();
        assert_eq!(errors.violations()[0].field, "ssl_root_cert");
        assert!(errors.to_string().contains("/nowhere/ca.pem"));
    }
}
