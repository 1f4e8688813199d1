//! Assembling a pool.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::config::{Check, Config, ConfigErrors, WhenSuspended};
use crate::core::Core;
use crate::event::{Events, Observer};
use crate::gate::{ConnectGate, Pacing};
use crate::hooks::{ConnectionInfo, Hooks, Verdict};
use crate::hot::Hot;
use crate::ledger::Ledger;
use crate::maintenance::Work;
use crate::runtime::{DefaultRuntime, Runtime};
use crate::slot::SlotTable;
use crate::slot::idle::IdleSet;
use crate::stats::Counters;
use crate::sync::Mutex;
use crate::{Error, Manager, Pool, State};

/// Assembles a [`Pool`]. No setter panics; [`build`](Self::build) reports everything that is wrong
/// at once. The meaning and default of each setting stand at the field of [`Config`] of its name.
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<M: Manager, R: Runtime = DefaultRuntime> {
    manager: M,
    runtime: Option<R>,
    config: Config,
    /// Settings whose default follows the maximum size, unless given.
    max_connecting: Option<usize>,
    max_waiters: Option<usize>,
    gate: Option<Box<dyn ConnectGate>>,
    observer: Option<Arc<dyn Observer>>,
    hooks: Hooks<M::Connection, M::Error>,
}

#[cfg(feature = "tokio")]
impl<M: Manager> Builder<M> {
    pub(crate) fn new(manager: M) -> Self {
        Self::with_runtime(manager, Some(crate::runtime::Tokio::default()))
    }
}

#[cfg(not(feature = "tokio"))]
impl<M: Manager> Builder<M> {
    pub(crate) fn new(manager: M) -> Self {
        Self::with_runtime(manager, None)
    }
}

impl<M: Manager, R: Runtime> Builder<M, R> {
    fn with_runtime(manager: M, runtime: Option<R>) -> Self {
        Self {
            manager,
            runtime,
            config: Config::default(),
            max_connecting: None,
            max_waiters: None,
            gate: None,
            observer: None,
            hooks: Hooks::default(),
        }
    }

    /// Sets the runtime that the pool lives on, in place of tokio.
    pub fn runtime<S: Runtime>(self, runtime: S) -> Builder<M, S> {
        Builder {
            manager: self.manager,
            runtime: Some(runtime),
            config: self.config,
            max_connecting: self.max_connecting,
            max_waiters: self.max_waiters,
            gate: self.gate,
            observer: self.observer,
            hooks: self.hooks,
        }
    }

    /// Takes over all settings at once.
    pub fn config(mut self, config: Config) -> Self {
        self.max_connecting = Some(config.max_connecting);
        self.max_waiters = Some(config.max_waiters);
        self.config = config;
        self
    }

    /// Sets [`Config::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Sets [`Config::max_size`].
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.config.max_size = max_size;
        self
    }

    /// Sets [`Config::min_idle`].
    pub fn min_idle(mut self, min_idle: usize) -> Self {
        self.config.min_idle = min_idle;
        self
    }

    /// Sets [`Config::acquire_timeout`].
    pub fn acquire_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.acquire_timeout = timeout.into();
        self
    }

    /// Sets [`Config::wait_timeout`].
    pub fn wait_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.wait_timeout = timeout.into();
        self
    }

    /// Sets [`Config::connect_timeout`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Sets [`Config::validate_timeout`].
    pub fn validate_timeout(mut self, timeout: Duration) -> Self {
        self.config.validate_timeout = timeout;
        self
    }

    /// Sets [`Config::reset_timeout`].
    pub fn reset_timeout(mut self, timeout: Duration) -> Self {
        self.config.reset_timeout = timeout;
        self
    }

    /// Sets [`Config::close_timeout`].
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// Sets [`Config::check`].
    pub fn check(mut self, check: Check) -> Self {
        self.config.check = check;
        self
    }

    /// Sets [`Config::keepalive`].
    pub fn keepalive(mut self, every: impl Into<Option<Duration>>) -> Self {
        self.config.keepalive = every.into();
        self
    }

    /// Sets [`Config::idle_timeout`].
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.idle_timeout = timeout.into();
        self
    }

    /// Sets [`Config::max_lifetime`].
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.config.max_lifetime = lifetime.into();
        self
    }

    /// Sets [`Config::lifetime_jitter`].
    pub fn lifetime_jitter(mut self, share: f64) -> Self {
        self.config.lifetime_jitter = share;
        self
    }

    /// Sets [`Config::max_uses`].
    pub fn max_uses(mut self, uses: impl Into<Option<u64>>) -> Self {
        self.config.max_uses = uses.into();
        self
    }

    /// Sets [`Config::max_connecting`].
    pub fn max_connecting(mut self, connects: usize) -> Self {
        self.max_connecting = Some(connects);
        self
    }

    /// Sets [`Config::connect_rate`].
    pub fn connect_rate(mut self, per_second: impl Into<Option<u32>>) -> Self {
        self.config.connect_rate = per_second.into();
        self
    }

    /// Sets [`Config::max_waiters`].
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.max_waiters = Some(waiters);
        self
    }

    /// Sets [`Config::handoff_grace`].
    pub fn handoff_grace(mut self, grace: Duration) -> Self {
        self.config.handoff_grace = grace;
        self
    }

    /// Sets [`Config::sweep_after`].
    pub fn sweep_after(mut self, dead: u32) -> Self {
        self.config.sweep_after = dead;
        self
    }

    /// Sets [`Config::leak_report`].
    pub fn leak_report(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.config.leak_report = after.into();
        self
    }

    /// Sets [`Config::when_suspended`].
    pub fn when_suspended(mut self, what: WhenSuspended) -> Self {
        self.config.when_suspended = what;
        self
    }

    /// Sets who decides when an attempt to connect may start; the default is [`Pacing`] at
    /// [`Config::connect_rate`], which another gate replaces together with its rate.
    pub fn connect_gate(mut self, gate: impl ConnectGate) -> Self {
        self.gate = Some(Box::new(gate));
        self
    }

    /// Sets who is told of events and times.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets what is done with each new connection before it is lent, within the connect timeout.
    /// An error counts as a failure to connect.
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
        self.hooks.after_connect = Some(Box::new(hook));
        self
    }

    /// Sets what judges each connection right before it is lent.
    pub fn on_checkout<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut M::Connection, &ConnectionInfo) -> Verdict + Send + Sync + 'static,
    {
        self.hooks.on_checkout = Some(Box::new(hook));
        self
    }

    /// Sets what judges each connection that is given back.
    pub fn on_return<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut M::Connection, &ConnectionInfo) -> Verdict + Send + Sync + 'static,
    {
        self.hooks.on_return = Some(Box::new(hook));
        self
    }

    /// Sets what runs in the maintenance task at each tick, every 200 ms while the pool is used.
    pub fn on_tick<F>(mut self, hook: F) -> Self
    where
        F: Fn(Instant, &State) + Send + Sync + 'static,
    {
        self.hooks.on_tick = Some(Box::new(hook));
        self
    }

    /// Makes the pool without connecting; the first acquire does.
    ///
    /// # Errors
    ///
    /// All rules that the configuration breaks.
    pub fn build(self) -> Result<Pool<M, R>, ConfigErrors> {
        let mut config = self.config;
        let defaults = Config::new(config.max_size);
        config.max_connecting = self.max_connecting.unwrap_or(defaults.max_connecting);
        config.max_waiters = self.max_waiters.unwrap_or(defaults.max_waiters);
        config.validate()?;
        let runtime = self.runtime.ok_or_else(|| {
            ConfigErrors::one(
                "runtime",
                "none",
                "must be set when the `tokio` feature is off",
            )
        })?;
        let gate = self
            .gate
            .unwrap_or_else(|| Box::new(Pacing::new(config.connect_rate)));
        let epoch = runtime.now();
        let lanes = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let hooked = self.hooks.on_checkout.is_some() || self.hooks.on_return.is_some();
        let core = Core {
            reset_at: self.manager.reset_at(),
            manager: self.manager,
            name: config.name.as_str().into(),
            slots: SlotTable::new(),
            idle: IdleSet::new(config.max_size, lanes),
            ledger: Mutex::new(Ledger::new(
                config.max_size,
                config.min_idle,
                config.max_connecting,
            )),
            hot: Hot::new(&config, hooked),
            config: Mutex::new(Arc::new(config)),
            gate,
            hooks: self.hooks,
            events: Events::new(self.observer),
            counters: Counters::new(),
            work: Work::new(),
            last_error: Mutex::new(None),
            next_id: AtomicU64::new(0),
            runtime,
            epoch,
        };
        Ok(Pool::new(Arc::new(core)))
    }

    /// Makes the pool and proves that it can connect: opens one connection and, beyond it, what
    /// the idle minimum asks for.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, or why no connection could be opened within the
    /// acquire timeout.
    pub async fn build_eager(self) -> Result<Pool<M, R>, BuildError<M::Error>> {
        let pool = self.build().map_err(BuildError::Config)?;
        pool.warm().await.map_err(BuildError::Connect)?;
        Ok(pool)
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Builder<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Why a pool could not be [built with connections](Builder::build_eager).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum BuildError<E> {
    /// The configuration breaks rules.
    Config(ConfigErrors),
    /// No connection could be opened.
    Connect(Error<E>),
}

impl<E> fmt::Display for BuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => errors.fmt(f),
            Self::Connect(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for BuildError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Connect(error) => error.source(),
        }
    }
}
