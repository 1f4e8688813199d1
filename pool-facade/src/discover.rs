//! Finding out which nodes there are, again and again.
//!
//! The invariant: the last good answer holds. A lookup that fails, hangs, panics or finds nothing
//! changes nothing.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use pool_core::Manager;
use pool_core::runtime::Runtime;

use crate::endpoint::Endpoint;
use crate::shared::Shared;
use crate::within::within;

/// Says which nodes there are: a name server, a registry of services, a file.
///
/// Implemented for every async closure that returns them. From the first answer on the pool has
/// the nodes that the last answer names, and no other: those of new names are added, those whose
/// names are missing are removed, and known ones are left as they are.
///
/// ```
/// use std::net::SocketAddr;
/// use pool_facade::Endpoint;
/// # fn manager_for(_: SocketAddr) -> pool_core::testing::Scripted { pool_core::testing::Script::new().manager() }
///
/// async fn nodes() -> std::io::Result<Vec<Endpoint<pool_core::testing::Scripted>>> {
///     let addresses = tokio::net::lookup_host("db.example.org:5432").await?;
///     let endpoint = |address: SocketAddr| Endpoint::new(address.to_string(), manager_for(address));
///     Ok(addresses.map(endpoint).collect())
/// }
/// # let _ = nodes;
/// ```
pub trait Discover<M>: Send + Sync + 'static {
    /// The nodes that there are now.
    fn discover(&self) -> impl Future<Output = Result<Vec<Endpoint<M>>, DiscoverError>> + Send;
}

impl<M, F, Fut, E> Discover<M> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<Endpoint<M>>, E>> + Send,
    E: fmt::Display,
{
    async fn discover(&self) -> Result<Vec<Endpoint<M>>, DiscoverError> {
        self().await.map_err(DiscoverError::new)
    }
}

/// Why nodes could not be looked up, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverError(String);

impl DiscoverError {
    /// For that reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for DiscoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DiscoverError {}

/// [`Discover`] without its type.
pub(crate) trait AnyDiscover<M>: Send + Sync {
    fn discover(&self) -> Looked<'_, M>;
}

type Looked<'a, M> =
    Pin<Box<dyn Future<Output = Result<Vec<Endpoint<M>>, DiscoverError>> + Send + 'a>>;

impl<M: Manager, D: Discover<M>> AnyDiscover<M> for D {
    fn discover(&self) -> Looked<'_, M> {
        Box::pin(Discover::discover(self))
    }
}

/// When nodes are looked up.
pub(crate) struct Lookups {
    every: Duration,
    due: Option<Instant>,
    under_way: bool,
}

impl Lookups {
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every,
            due: None,
            under_way: false,
        }
    }

    /// Whether to look now: the time has come, or a node cannot be connected to and the last look
    /// is a little while ago.
    fn start(&mut self, unreachable: bool, now: Instant) -> bool {
        let due = *self.due.get_or_insert(now + self.every);
        let soon = unreachable && now + self.every >= due + self.every.min(HURRY);
        if self.under_way || (now < due && !soon) {
            return false;
        }
        self.under_way = true;
        self.due = Some(now + self.every);
        true
    }
}

/// A lookup under way; its end is noted however it ends.
struct Looking<M: Manager, R: Runtime>(Weak<Shared<M, R>>);

impl<M: Manager, R: Runtime> Drop for Looking<M, R> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            if let Some(lookups) = &mut shared.control.lock().lookups {
                lookups.under_way = false;
            }
        }
    }
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Starts a lookup if one is due.
    pub(crate) fn look_up(self: &Arc<Self>, now: Instant) {
        let Some(discover) = &self.discover else {
            return;
        };
        let unreachable = self
            .plan
            .load()
            .nodes()
            .any(|node| node.gate.failures() > 1);
        let timeout = {
            let mut state = self.control.lock();
            let Some(lookups) = &mut state.lookups else {
                return;
            };
            if !lookups.start(unreachable, now) {
                return;
            }
            lookups.every.min(LONGEST)
        };
        let looking = Looking(Arc::downgrade(self));
        let (discover, runtime) = (discover.clone(), self.runtime.clone());
        let task = async move {
            let deadline = runtime.now() + timeout;
            let look = AssertUnwindSafe(discover.discover()).catch_unwind();
            let answer = within(&runtime, Some(deadline), look).await;
            let Some(shared) = looking.0.upgrade() else {
                return;
            };
            match answer {
                Ok(Ok(Ok(endpoints))) if endpoints.is_empty() => shared.keep("no node was found"),
                Ok(Ok(Ok(endpoints))) => shared.adopt(endpoints),
                Ok(Ok(Err(error))) => shared.keep(&error.to_string()),
                Ok(Err(payload)) => shared.control.on_panic(&shared.name, "discover", payload),
                Err(_) => shared.keep("no answer in time"),
            }
        };
        // A task that is refused is dropped, and with it `looking`.
        drop(self.runtime.spawn(Box::pin(task)));
    }

    fn keep(&self, reason: &str) {
        let pool = &*self.name;
        tracing::warn!(target: "pool::maintain", pool, reason, "nodes were not looked up");
    }

    /// Has the nodes of this answer, and no other.
    fn adopt(self: &Arc<Self>, endpoints: Vec<Endpoint<M>>) {
        let pool = &*self.name;
        let known: Vec<_> = {
            let plan = self.plan.load();
            plan.nodes().map(|node| node.vital.name.clone()).collect()
        };
        let gone = |name: &&Arc<str>| endpoints.iter().all(|one| *one.name != ***name);
        let gone: Vec<_> = known.iter().filter(gone).cloned().collect();
        for endpoint in endpoints {
            let name = endpoint.name.clone();
            if known.iter().any(|known| **known == *name) {
                continue;
            }
            match self.add(endpoint) {
                Ok(()) => tracing::info!(target: "pool::maintain", pool, node = name, "node found"),
                Err(error) => {
                    tracing::warn!(target: "pool::maintain", pool, %error, "node not added")
                }
            }
        }
        let grace = self.control.config().close_grace;
        for name in gone {
            if let Some(node) = self.remove(&name) {
                tracing::info!(target: "pool::maintain", pool, node = &*name, "node is gone");
                let close = async move {
                    node.pool.close(grace).await;
                };
                drop(self.runtime.spawn(Box::pin(close)));
            }
        }
    }
}

/// How soon after the last look a node that cannot be connected to causes another.
const HURRY: Duration = Duration::from_secs(1);
/// The longest that a lookup may take.
const LONGEST: Duration = Duration::from_secs(10);
