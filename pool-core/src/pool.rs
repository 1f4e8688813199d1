//! The pool as its users hold it.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::blocking::{Parking, block_on};
use crate::builder::Builder;
use crate::closing::CloseReport;
use crate::config::{Config, ConfigErrors, MAX_SLOTS};
use crate::core::Core;
use crate::guard::Pooled;
use crate::hooks::{ConnectionInfo, Verdict};
use crate::hot::nanos;
use crate::lease::Lease;
use crate::options::GetOptions;
use crate::random::Random;
use crate::run::{Operation, RunError};
use crate::runtime::{DefaultRuntime, Runtime};
use crate::slot::Phase;
use crate::{CloseReason, Error, ErrorKind, Event, Manager, State, Statistics};

/// A pool of connections.
///
/// A handle, cheap to clone. The pool is closed when its last handle is dropped; connections that
/// are lent at that time are closed when they come back.
///
/// ```
/// # use pool_core::{ConnectContext, Manager};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Connection = u64;
/// #     type Error = std::convert::Infallible;
/// #     async fn connect(&self, context: ConnectContext) -> Result<u64, Self::Error> {
/// #         Ok(context.id)
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = pool_core::Pool::builder(Numbers).max_size(4).build()?;
/// let connection = pool.get().await?;
/// assert_eq!(*connection, 0);
/// assert_eq!(pool.state().leased, 1);
/// # Ok(())
/// # }
/// ```
pub struct Pool<M: Manager, R: Runtime = DefaultRuntime>(Arc<Handle<M, R>>);

/// Shared by all handles; the pool ends with it.
struct Handle<M: Manager, R: Runtime>(Arc<Core<M, R>>);

/// A handle that does not keep the pool open.
pub struct WeakPool<M: Manager, R: Runtime = DefaultRuntime>(Weak<Handle<M, R>>);

impl<M: Manager> Pool<M> {
    /// Begins to assemble a pool.
    pub fn builder(manager: M) -> Builder<M> {
        Builder::new(manager)
    }
}

impl<M: Manager, R: Runtime> Pool<M, R> {
    pub(crate) fn new(core: Arc<Core<M, R>>) -> Self {
        Self(Arc::new(Handle(core)))
    }

    /// Lends a connection.
    ///
    /// Takes an idle one, or waits in line until one comes back or is opened. Dropping the future
    /// at any time loses nothing: a connection being opened for it goes to the next in line or
    /// becomes idle, and one that it was just checking is closed.
    ///
    /// # Errors
    ///
    /// When the [acquire timeout](Config::acquire_timeout) has passed; when connecting fails for
    /// good, as with a wrong password; when too many wait; when the pool is closed.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Pooled<M, R>, Error<M::Error>>> + Send {
        let (core, site) = (self.core(), Location::caller());
        async move {
            let idle = match core.try_acquire(&DEFAULT, site) {
                Ok(pooled) => return Ok(pooled),
                Err(idle) => idle,
            };
            core.acquire(&core.runtime, &DEFAULT, site, idle).await
        }
    }

    /// Lends a connection under options of this call. Cancellation and errors are as with
    /// [`get`](Self::get).
    #[track_caller]
    pub fn get_with(
        &self,
        options: GetOptions,
    ) -> impl Future<Output = Result<Pooled<M, R>, Error<M::Error>>> + Send {
        let (core, caller) = (self.core(), Location::caller());
        let site = options.site.unwrap_or(caller);
        async move {
            let idle = match core.try_acquire(&options, site) {
                Ok(pooled) => return Ok(pooled),
                Err(idle) => idle,
            };
            core.acquire(&core.runtime, &options, site, idle).await
        }
    }

    /// Lends a connection within `timeout`. Cancellation and errors are as with
    /// [`get`](Self::get).
    #[track_caller]
    pub fn get_timeout(
        &self,
        timeout: Duration,
    ) -> impl Future<Output = Result<Pooled<M, R>, Error<M::Error>>> + Send {
        self.get_with(GetOptions::new().timeout(timeout))
    }

    /// Lends a connection if one is idle, needs no check or reset, and nobody waits in line.
    #[track_caller]
    pub fn try_get(&self) -> Option<Pooled<M, R>> {
        self.core().try_acquire(&DEFAULT, Location::caller()).ok()
    }

    /// [`try_get`](Self::try_get) under options of this call.
    #[track_caller]
    pub fn try_get_with(&self, options: &GetOptions) -> Option<Pooled<M, R>> {
        let caller = Location::caller();
        let site = options.site.unwrap_or(caller);
        self.core().try_acquire(options, site).ok()
    }

    /// Lends a connection to a thread that is on no runtime, and blocks it until `deadline` at the
    /// latest. Must not be called from async code.
    ///
    /// New connections are opened on the runtime on which the pool was last used, which must be
    /// running.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); also when there is neither a connection nor a runtime to open one on.
    #[track_caller]
    pub fn get_blocking(&self, deadline: Instant) -> Result<Pooled<M, R>, Error<M::Error>> {
        let (core, site) = (self.core(), Location::caller());
        let nowhere = !core.work.alive() && !core.runtime.is_current();
        if nowhere && core.state().size == 0 {
            return Err(core.error(ErrorKind::NoRuntime, Duration::ZERO, None));
        }
        let options = GetOptions::new().deadline(deadline);
        let timer = Parking(core.runtime.clone());
        block_on(
            &core.runtime,
            core.acquire(&timer, &options, site, core.next_idle(&options)),
        )
    }

    /// Acquires a connection, runs `operation` on it and gives it back.
    ///
    /// The operation is a [scope](Pooled::operation): when the future is dropped midway, the
    /// connection is treated as [`Manager::on_abandoned`] says.
    ///
    /// The closure may borrow what surrounds it, but not mutably, and not as `async move` that lends
    /// its captures: the future would borrow from the closure itself. Give back a value instead, or
    /// use [`get`](Self::get) and [`operation`](Pooled::operation).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and the operation's own.
    #[track_caller]
    pub fn run<T, E, F>(
        &self,
        mut operation: F,
    ) -> impl Future<Output = Result<T, RunError<M::Error, E>>> + Send
    where
        T: Send,
        E: Send,
        F: AsyncFnMut(&mut M::Connection) -> Result<T, E>
            + for<'c> Operation<'c, M::Connection, T, E>
            + Send,
    {
        let acquire = self.get();
        async move {
            let mut pooled = acquire.await.map_err(RunError::Acquire)?;
            let mut scope = pooled.operation();
            let result = operation(&mut scope).await;
            scope.complete();
            result.map_err(RunError::Operation)
        }
    }

    /// Waits until a connection could be opened and the idle minimum is there, or the acquire
    /// timeout has passed. A pool that has connections is warm.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    #[track_caller]
    pub fn warm(&self) -> impl Future<Output = Result<(), Error<M::Error>>> + Send {
        let site = Location::caller();
        async move {
            let core = self.core();
            let count = core.config().min_idle.max(1);
            let warming = Warming::new(core, count);
            let options = GetOptions::new();
            let acquires = (0..count).map(|_| core.acquire(&core.runtime, &options, site, None));
            let held = try_join_all(acquires).await?;
            drop(held);
            drop(warming);
            Ok(())
        }
    }

    /// Takes a connection that was opened elsewhere into the pool.
    ///
    /// # Errors
    ///
    /// Gives it back when the pool is full or closed.
    pub fn add(&self, connection: M::Connection) -> Result<(), M::Connection> {
        let core = self.core();
        let Some(slot) = core.ledger.lock().adopt() else {
            return Err(connection);
        };
        core.slots.grow(slot.id());
        let id = core.next_id.fetch_add(1, Relaxed);
        let entry = core.entry(slot, connection, id, core.hot.generation.load(Relaxed));
        drop(Lease::adopt(entry));
        Ok(())
    }

    /// Opens a connection that does not belong to the pool, within the connect timeout. It counts
    /// against no limit.
    ///
    /// # Errors
    ///
    /// The manager's error, or `None` when the time has run out.
    pub async fn dedicated(&self) -> Result<M::Connection, Option<M::Error>> {
        let core = self.core();
        let timeout = core.config().connect_timeout;
        let context = crate::ConnectContext {
            id: core.next_id.fetch_add(1, Relaxed),
            generation: core.hot.generation.load(Relaxed),
            timeout,
        };
        let connect = core.manager.connect(context);
        match crate::within::within(&core.runtime, || Some(core.now() + timeout), connect).await {
            Ok(result) => result.map_err(Some),
            Err(_) => Err(None),
        }
    }

    /// Changes how many connections there may be. Zero is allowed: nothing is lent until the next
    /// resize.
    ///
    /// Above the new target, idle connections are closed now and lent ones when they come back,
    /// exactly as many as there are too many.
    ///
    /// # Errors
    ///
    /// When `target` is above 1 000 000.
    pub fn resize(&self, target: usize) -> Result<(), ConfigErrors> {
        if target > MAX_SLOTS {
            let value = target.to_string();
            return Err(ConfigErrors::one(
                "max_size",
                &value,
                "must be at most 1000000",
            ));
        }
        let core = self.core();
        let surplus = {
            let mut ledger = core.ledger.lock();
            ledger.target = target;
            core.idle.grow(target);
            core.settle(&mut ledger);
            ledger.surplus()
        };
        // Coldest first. One that is returned meanwhile may be among the surplus too: giving each
        // back through the ledger closes exactly as many as are left.
        for slot in core.idle.snapshot().into_iter().take(surplus) {
            if let Some(slot) = core.idle.claim(slot) {
                drop(Lease::new(core, slot));
            }
        }
        core.events.emit(Event::Resized { target });
        core.run_matcher();
        Ok(())
    }

    /// Changes settings while the pool runs. All take effect now, but for the lifetimes of
    /// connections that are already open, and the name and connect rate, which are fixed.
    ///
    /// # Errors
    ///
    /// All rules that the result breaks; then nothing is changed.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigErrors> {
        let core = self.core();
        let mut config = Config::clone(&core.config());
        let before = config.clone();
        change(&mut config);
        config.name.clone_from(&before.name);
        config.connect_rate = before.connect_rate;
        config.validate()?;
        {
            let mut ledger = core.ledger.lock();
            ledger.min_idle = config.min_idle;
            ledger.max_connecting = config.max_connecting;
        }
        core.hot.configure(&config);
        let max_size = config.max_size;
        *core.config.lock() = Arc::new(config);
        if max_size == before.max_size {
            core.run_matcher();
            return Ok(());
        }
        self.resize(max_size)
    }

    /// Stops lending. Connections that are lent may go on and come back; acquires wait or fail as
    /// [`Config::when_suspended`] says.
    pub fn suspend(&self) {
        let core = self.core();
        {
            let mut ledger = core.ledger.lock();
            ledger.suspended = true;
            core.settle(&mut ledger);
        }
        core.events.emit(Event::Suspended);
    }

    /// Lends again, to those who waited in their order.
    pub fn resume(&self) {
        let core = self.core();
        core.ledger.lock().suspended = false;
        core.events.emit(Event::Resumed);
        core.run_matcher();
    }

    /// Closes all connections opened so far: idle ones now, lent ones when they come back.
    pub fn clear(&self) {
        let generation = self.core().bump_generation(CloseReason::Cleared);
        self.core().events.emit(Event::Cleared { generation });
    }

    /// Replaces all connections opened so far, each at a random time within `interval`, so that
    /// the server is not met by all reconnects at once.
    pub fn clear_spread(&self, interval: Duration) {
        let core = self.core();
        let now = core.now();
        let mut random = Random::new();
        for (_, slot) in core.slots.iter() {
            let at = core
                .since_epoch(now)
                .saturating_add(nanos(random.up_to(interval)));
            slot.retire_ns.fetch_min(at, Relaxed);
        }
        core.work.nudge();
    }

    /// Says which connections are lent before the others, by their [identities](ConnectionInfo::id).
    ///
    /// Among the preferred ones the warmest still comes first, and when none of them is idle the
    /// others are lent all the same. Holds until the next call; a new connection is preferred.
    /// Costs those who acquire one load.
    pub fn prefer(&self, mut preferred: impl FnMut(u64) -> bool) {
        let core = self.core();
        for (id, slot) in core.slots.iter() {
            if !matches!(slot.phase(), Phase::Vacant | Phase::Connecting) {
                let connection = slot.occupant.load(Relaxed);
                let verdict = core.events.guard("prefer", || preferred(connection));
                core.idle.prefer(id, verdict.unwrap_or(true));
            }
        }
    }

    /// Closes the idle connections that `keep` does not keep.
    pub fn retain(&self, mut keep: impl FnMut(&mut M::Connection, &ConnectionInfo) -> Verdict) {
        let core = self.core();
        for slot in core.idle.snapshot() {
            let Some(slot) = core.idle.claim(slot) else {
                continue;
            };
            let mut lease = Lease::new(core, slot);
            let entry = lease.entry_mut();
            let info = entry.info();
            let verdict = core
                .events
                .guard("retain", || keep(&mut entry.connection, &info));
            if verdict != Some(Verdict::Keep) {
                lease.retire(CloseReason::NotRetained);
            }
        }
    }

    /// Closes the pool: those who wait fail now, idle connections are closed, attempts to connect
    /// are dropped, and lent connections have until `grace` has passed to come back. Then those
    /// with an [abort handle](Manager::abort_handle) are cut. Ends within `grace` and 100 ms;
    /// nothing of the pool is left then but what the report names.
    ///
    /// May be called any number of times, together too. Cancelling it leaves the pool closed.
    pub async fn close(&self, grace: Duration) -> CloseReport {
        self.core().close(grace).await
    }

    /// What the pool is doing now.
    pub fn state(&self) -> State {
        self.core().state()
    }

    /// What the pool has done since it was built.
    pub fn statistics(&self) -> Statistics {
        self.core().statistics()
    }

    /// The settings.
    pub fn config(&self) -> Config {
        Config::clone(&self.core().config())
    }

    /// The manager.
    pub fn manager(&self) -> &M {
        &self.core().manager
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.core().idle.is_closed()
    }

    /// A handle that does not keep the pool open.
    pub fn downgrade(&self) -> WeakPool<M, R> {
        WeakPool(Arc::downgrade(&self.0))
    }

    pub(crate) fn core(&self) -> &Arc<Core<M, R>> {
        &self.0.0
    }
}

impl<M: Manager, R: Runtime> WeakPool<M, R> {
    /// The pool, unless its last handle is gone.
    pub fn upgrade(&self) -> Option<Pool<M, R>> {
        self.0.upgrade().map(Pool)
    }
}

impl<M: Manager, R: Runtime> Drop for Handle<M, R> {
    fn drop(&mut self) {
        self.0.ledger.lock().unattended = true;
        self.0.shut();
        self.0.work.nudge();
    }
}

impl<M: Manager, R: Runtime> Clone for Pool<M, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Manager, R: Runtime> Clone for WeakPool<M, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Pool<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core().fmt(f)
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for WeakPool<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakPool")
    }
}

/// While this lives, so many connections on their way to their first return count as idle.
struct Warming<M: Manager, R: Runtime> {
    core: Arc<Core<M, R>>,
    count: usize,
}

impl<M: Manager, R: Runtime> Warming<M, R> {
    fn new(core: &Arc<Core<M, R>>, count: usize) -> Self {
        core.ledger.lock().warming += count;
        Self {
            core: core.clone(),
            count,
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Warming<M, R> {
    fn drop(&mut self) {
        self.core.ledger.lock().warming -= self.count;
        self.core.work.nudge();
    }
}

const DEFAULT: GetOptions = GetOptions::DEFAULT;
