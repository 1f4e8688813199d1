//! A pool on a real server, behind a proxy of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use pool_core::{Builder, Event, Observer};
use pool_postgres::{Config, Host, PgManager, Pool};
use testkit::proxy::Proxy;

use crate::server::Server;
use crate::time;

/// A server as one experiment sees it: behind a proxy, under a name of its own.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    /// What its sessions are called at the server.
    pub(crate) name: String,
}

impl Rig {
    pub(crate) async fn new(server: &Server, name: &str) -> Result<Self> {
        Ok(Self {
            proxy: Proxy::start(server.address(), SEED).await?,
            server: server.clone(),
            name: format!("chaos-{name}"),
        })
    }

    /// Of connections that go through the proxy.
    pub(crate) fn config(&self) -> Result<Config> {
        let mut config = config_of(&self.server, &self.name)?;
        config.hosts = vec![host(self.proxy.address())];
        Ok(config)
    }

    pub(crate) fn builder(&self) -> Result<Builder<PgManager>> {
        Ok(Pool::builder(PgManager::new(self.config()?)?))
    }

    /// A pool with every default, full to its size.
    pub(crate) async fn pool(&self, size: usize) -> Result<Pool> {
        let pool = self.builder()?.max_size(size).build()?;
        fill(&pool).await?;
        Ok(pool)
    }

    pub(crate) async fn sessions(&self) -> Result<u64> {
        self.server.sessions(&self.name).await
    }

    pub(crate) async fn logins(&self) -> Result<u64> {
        self.server.logins(&self.name).await
    }

    /// Closes the pool, and says how many sessions the server still has of it.
    pub(crate) async fn close(&self, pool: &Pool) -> Result<u64> {
        pool.close(Duration::from_secs(5)).await;
        // A server notices the end of a session when it next looks.
        let _ = self.server.until_sessions(&self.name, 0).await;
        self.sessions().await
    }
}

/// Of connections that go straight to the server.
pub(crate) fn config_of(server: &Server, name: &str) -> Result<Config> {
    Ok(Config::from_url(&server.url())?.application_name(name))
}

pub(crate) fn host(address: SocketAddr) -> Host {
    Host::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

/// Opens all the connections that the pool may have.
pub(crate) async fn fill(pool: &Pool) -> Result<()> {
    let size = pool.config().max_size;
    drop(try_join_all((0..size).map(|_| pool.get())).await?);
    quiet(pool).await
}

/// Waits until nothing is going on in the pool.
pub(crate) async fn quiet(pool: &Pool) -> Result<()> {
    let quiet = || {
        let state = pool.state();
        state.idle == state.size && state.waiting == 0
    };
    if time::until(Duration::from_secs(20), quiet).await.is_none() {
        bail!("the pool does not come to rest: {:?}", pool.state());
    }
    Ok(())
}

/// What a pool has told of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<Event>>>);

impl Diary {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Observer for Diary {
    fn on_event(&self, _: u64, event: &Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event.clone());
    }
}

const SEED: u64 = 9;
