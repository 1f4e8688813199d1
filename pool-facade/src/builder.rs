//! Assembling a pool.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use health::{PoolMonitor, Report};
use pool_core::runtime::{DefaultRuntime, Runtime};
use pool_core::{ConnectionInfo, Event, Manager, Verdict};
use pool_metrics::Registry;

use crate::balance::{Balancer, Role};
use crate::config::{self, Config, ConfigErrors};
use crate::control::{Control, Part};
use crate::discover::{AnyDiscover, Discover, Lookups};
use crate::endpoint::Endpoint;
use crate::hooks::Hooks;
use crate::judge::Judgement;
use crate::metrics::PoolSource;
use crate::probe::AskNode;
use crate::shared::{JudgeError, Retries, Shared, Watch};
use crate::{Pool, State, nodes};

/// Assembles a [`Pool`]. No setter panics; [`build`](Self::build) reports everything that is wrong
/// at once.
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<M: Manager, R: Runtime = DefaultRuntime> {
    runtime: R,
    name: Option<String>,
    zone: Option<String>,
    config: Config,
    /// Limits whose default follows the size are still at it, unless changed one by one.
    follow_size: bool,
    endpoints: Vec<Endpoint<M>>,
    judge: Option<JudgeError<M::Error>>,
    ask: Option<AskNode<M::Connection>>,
    discover: Option<(Duration, Arc<dyn AnyDiscover<M>>)>,
    hooks: Hooks<M>,
    parts: Vec<Part>,
    registry: Option<Registry>,
    watch: Watch,
}

impl<M: Manager> Builder<M> {
    pub(crate) fn new() -> Self {
        Self {
            runtime: DefaultRuntime::default(),
            name: None,
            zone: None,
            config: Config::default(),
            follow_size: true,
            endpoints: Vec::new(),
            judge: None,
            ask: None,
            discover: None,
            hooks: Hooks::default(),
            parts: Vec::new(),
            registry: None,
            watch: Watch::default(),
        }
    }
}

impl<M: Manager, R: Runtime> Builder<M, R> {
    /// Sets the runtime that the pool lives on, in place of tokio.
    pub fn runtime<S: Runtime>(self, runtime: S) -> Builder<M, S> {
        Builder {
            runtime,
            name: self.name,
            zone: self.zone,
            config: self.config,
            follow_size: self.follow_size,
            endpoints: self.endpoints,
            judge: self.judge,
            ask: self.ask,
            discover: self.discover,
            hooks: self.hooks,
            parts: self.parts,
            registry: self.registry,
            watch: self.watch,
        }
    }

    /// Adds a node that takes everything; see [`Endpoint`].
    pub fn node(self, name: impl Into<String>, manager: M) -> Self {
        self.endpoint(Endpoint::new(name, manager))
    }

    /// Adds a node.
    pub fn endpoint(mut self, endpoint: Endpoint<M>) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Sets the name in errors, events and metrics, in place of the configuration's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets where the caller stands; nodes of the same zone come first. Default: all do.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Takes over all settings at once.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self.follow_size = false;
        self
    }

    /// Changes some settings.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets the most connections to each node, and with it how many may be opened at a time and
    /// how many callers may wait, unless these were [set](Self::configure) or came with all
    /// [settings](Self::config).
    pub fn max_size(mut self, max_size: usize) -> Self {
        let pool = &mut self.config.pool;
        if self.follow_size {
            let before = pool_core::Config::new(pool.max_size);
            let after = pool_core::Config::new(max_size);
            if pool.max_connecting == before.max_connecting {
                pool.max_connecting = after.max_connecting;
            }
            if pool.max_waiters == before.max_waiters {
                pool.max_waiters = after.max_waiters;
            }
        }
        pool.max_size = max_size;
        self
    }

    /// Sets how errors are judged, in place of [`Manager::classify`].
    pub fn judge(mut self, judge: impl Fn(&M::Error) -> Judgement + Send + Sync + 'static) -> Self {
        self.judge = Some(Box::new(judge));
        self
    }

    /// Sets how a node is asked what it is and how it does, in place of
    /// [`Manager::is_valid`], which knows no roles. Asked on a connection that no caller waits for,
    /// within [`health.timeout`](crate::config::HealthConfig::timeout), while there are several
    /// nodes.
    ///
    /// ```
    /// use pool_facade::balance::Role;
    /// use pool_facade::health::Report;
    /// # use pool_core::testing::Script;
    /// # let (first, second) = (Script::new().manager(), Script::new().manager());
    ///
    /// let pool = pool_facade::Pool::builder()
    ///     .node("a", first)
    ///     .node("b", second)
    ///     .probe(|connection| {
    ///         Box::pin(async move {
    ///             let in_recovery = connection.dirt > 0; // `SELECT pg_is_in_recovery()`
    ///             let role = if in_recovery { Role::Replica } else { Role::Primary };
    ///             Report::up().with_role(role)
    ///         })
    ///     })
    ///     .build()?;
    /// # Ok::<(), pool_facade::ConfigErrors>(())
    /// ```
    ///
    /// The roles of `health` are [roles](Role#impl-From<VaultRole>-for-Role) here too:
    /// `role.report().map_role(Role::from)`.
    pub fn probe<F>(mut self, ask: F) -> Self
    where
        F: for<'a> Fn(
                &'a mut M::Connection,
            ) -> Pin<Box<dyn Future<Output = Report<Role>> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        self.ask = Some(Box::new(ask));
        self
    }

    /// Looks up the nodes every so often, and a second after a node could not be connected to.
    ///
    /// The pool starts with the nodes that the builder is given: look them up before.
    pub fn discover(mut self, every: Duration, discover: impl Discover<M>) -> Self {
        self.discover = Some((every, Arc::new(discover)));
        self
    }

    /// Tells the numbers of the pool, its breakers, probes and retries to a registry, for as long
    /// as the pool lives.
    ///
    /// ```
    /// use pool_facade::pool_metrics::{Registry, prometheus_text};
    /// # use pool_core::testing::Script;
    /// # let manager = Script::new().manager();
    ///
    /// let registry = Registry::new();
    /// let pool = pool_facade::Pool::builder().node("a", manager).metrics(&registry).build()?;
    /// let page = prometheus_text(&registry.collect(std::time::Instant::now()));
    /// assert!(page.contains(r#"pool_connections_max{pool="pool/a"} 10"#));
    /// # Ok::<(), pool_facade::ConfigErrors>(())
    /// ```
    pub fn metrics(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self.watch.metrics = true;
        self
    }

    /// Says what the nodes are, in the words of a registry: `postgres`, `redis`. Default: `pool`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.watch.kind = Some(kind.into());
        self
    }

    /// Sets what is done with each new connection before it is lent, within the connect timeout. An
    /// error counts as a failure to connect. As all hooks it is that of every node, of those added
    /// later too.
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(
                &'a mut M::Connection,
                &'a ConnectionInfo,
            )
                -> Pin<Box<dyn Future<Output = Result<(), M::Error>> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        self.hooks.after_connect = Some(Arc::new(hook));
        self
    }

    /// Sets what judges each connection right before it is lent.
    ///
    /// ```
    /// use pool_facade::pool_core::Verdict;
    /// # use pool_core::testing::Script;
    /// # let manager = Script::new().manager();
    ///
    /// let pool = pool_facade::Pool::builder()
    ///     .node("a", manager)
    ///     .after_connect(|connection, _| Box::pin(async move {
    ///         connection.dirt = 0; // `SET search_path = app`
    ///         Ok(())
    ///     }))
    ///     .on_checkout(|_, info| if info.uses < 1000 { Verdict::Keep } else { Verdict::Discard })
    ///     .build()?;
    /// # Ok::<(), pool_facade::ConfigErrors>(())
    /// ```
    pub fn on_checkout<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut M::Connection, &ConnectionInfo) -> Verdict + Send + Sync + 'static,
    {
        self.hooks.on_checkout = Some(Arc::new(hook));
        self
    }

    /// Sets what judges each connection that is given back.
    pub fn on_return<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut M::Connection, &ConnectionInfo) -> Verdict + Send + Sync + 'static,
    {
        self.hooks.on_return = Some(Arc::new(hook));
        self
    }

    /// Sets who is told of events of the nodes' pools, by the name of the node. A panic costs that
    /// event alone.
    pub fn on_event(mut self, told: impl Fn(&str, &Event) + Send + Sync + 'static) -> Self {
        self.watch.on_event = Some(Arc::new(told));
        self
    }

    /// Plugs in what runs with each tick, every 200 ms while the pool is used. It must not block.
    /// A panic is counted and told, and costs that run alone.
    pub fn on_tick(
        mut self,
        name: impl Into<String>,
        run: impl FnMut(Instant, &State) + Send + 'static,
    ) -> Self {
        self.parts.push(Part {
            name: name.into(),
            run: Box::new(run),
        });
        self
    }

    /// Makes the pool without connecting; the first call does.
    ///
    /// # Errors
    ///
    /// All rules that the configuration breaks; no nodes, or two of one name.
    pub fn build(self) -> Result<Pool<M, R>, ConfigErrors> {
        let mut violations = config::check(&self.config);
        if self.endpoints.is_empty() {
            violations.push(nodes::violation("none", "must be given, at least one"));
        }
        let (every, discover) = self.discover.unzip();
        violations.extend(every.and_then(|every| config::check_span("discover", every)));
        ConfigErrors::unless_empty(violations)?;
        let balancer = Balancer::new(self.config.balance.policy()).expect("it was checked");
        let monitor = PoolMonitor::new(self.config.health.thresholds()).expect("it was checked");
        let lookups = every.map(Lookups::new);
        let name = self.name.unwrap_or_else(|| self.config.pool.name.clone());
        let shared = Arc::new(Shared {
            name: name.into(),
            zone: self.zone,
            runtime: self.runtime,
            plan: ArcSwap::from_pointee(nodes::plan(&self.config)),
            board: balancer.board().clone(),
            judge: self.judge,
            ask: self.ask,
            discover,
            hooks: self.hooks,
            retries: Retries::default(),
            watch: self.watch,
            registration: OnceLock::new(),
            control: Control::new(balancer, self.config, monitor, self.parts, lookups),
            closed: AtomicBool::new(false),
        });
        for endpoint in self.endpoints {
            shared.add(endpoint)?;
        }
        if let Some(registry) = self.registry {
            let source = Arc::new(PoolSource(Arc::downgrade(&shared)));
            let registration = registry.register(source).map_err(|error| {
                ConfigErrors::one(nodes::violation("metrics", &error.to_string()))
            })?;
            // Nothing was set before.
            let _ = shared.registration.set(registration);
        }
        Ok(Pool::new(shared))
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Builder<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
