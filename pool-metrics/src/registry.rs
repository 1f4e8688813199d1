//! Sources of numbers, and a report of what they all say.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::PoolRecorder;
use crate::snapshot::{BreakerSnapshot, HealthSnapshot, PoolSnapshot, RetrySnapshot};

/// Something that has numbers to tell.
pub trait Source: Send + Sync {
    /// Puts snapshots into `report`.
    fn collect(&self, now: Instant, report: &mut Report);
}

/// The sources of a program. Clones are handles to the same registry.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
/// use pool_metrics::{PoolSnapshot, Registry, Report, Source, prometheus_text};
///
/// struct Orders;
///
/// impl Source for Orders {
///     fn collect(&self, _now: Instant, report: &mut Report) {
///         report.push_pool(PoolSnapshot::new("orders", "postgres"));
///     }
/// }
///
/// let registry = Registry::new();
/// let orders = registry.register(Arc::new(Orders))?;
/// let page = prometheus_text(&registry.collect(Instant::now()));
/// assert!(page.contains("pool_connections{pool=\"orders\",state=\"idle\"} 0"));
///
/// drop(orders);
/// assert!(registry.collect(Instant::now()).pools.is_empty());
/// # Ok::<(), pool_metrics::RegisterError>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    sources: Arc<Mutex<Sources>>,
}

impl Registry {
    /// The most sources: it bounds what a scrape costs.
    pub const MAX_SOURCES: usize = 1024;

    /// A registry without sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// Refuses the source when there are [`MAX_SOURCES`](Self::MAX_SOURCES) already.
    pub fn register(&self, source: Arc<dyn Source>) -> Result<Registration, RegisterError> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.entries.len() == Self::MAX_SOURCES {
            return Err(RegisterError::Full);
        }
        let id = sources.next_id;
        sources.next_id += 1;
        sources.entries.push((id, source));
        Ok(Registration {
            registry: self.clone(),
            id,
        })
    }

    /// Asks every source, in the order of registration. No lock is held meanwhile, and a source
    /// that panics costs its own numbers alone: it counts among the [dropped](Report::dropped).
    pub fn collect(&self, now: Instant) -> Report {
        let sources = self
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entries
            .clone();
        let mut report = Report::default();
        for (_, source) in sources {
            let asked = AssertUnwindSafe(|| source.collect(now, &mut report));
            if panic::catch_unwind(asked).is_err() {
                report.dropped += 1;
            }
        }
        report
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entries
            .len();
        f.debug_struct("Registry")
            .field("sources", &sources)
            .finish()
    }
}

/// Keeps a source registered; dropping it removes the source.
#[derive(Debug)]
#[must_use = "dropping it removes the source at once"]
pub struct Registration {
    registry: Registry,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut sources = self
            .registry
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place = sources.entries.iter().position(|(id, _)| *id == self.id);
        let source = place.map(|place| sources.entries.remove(place));
        drop(sources);
        // Only now, because dropping a source runs its owner's code.
        drop(source);
    }
}

/// Why a source was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The registry is full.
    #[error("the registry holds {} sources already", Registry::MAX_SOURCES)]
    Full,
}

/// What every source said at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Report {
    /// The pools.
    pub pools: Vec<PoolSnapshot>,
    /// The breakers.
    pub breakers: Vec<BreakerSnapshot>,
    /// The targets of health checks.
    pub health: Vec<HealthSnapshot>,
    /// The retry policies.
    pub retries: Vec<RetrySnapshot>,
    /// Snapshots and classes left out because there were more than the report may hold, and
    /// sources that panicked.
    pub dropped: u64,
}

impl Report {
    /// The most snapshots of each kind: it bounds the series of a page.
    pub const MAX_SNAPSHOTS: usize = 1024;

    /// Adds a pool. If its name is taken it gets a number: two series of one name would make the
    /// whole page invalid.
    pub fn push_pool(&mut self, mut pool: PoolSnapshot) {
        if self.is_full(self.pools.len()) {
            return;
        }
        self.dropped += pool.classes.len().saturating_sub(PoolRecorder::MAX_CLASSES) as u64;
        pool.classes.truncate(PoolRecorder::MAX_CLASSES);
        make_unique(&mut pool.name, |name| {
            self.pools.iter().any(|one| one.name == name)
        });
        for place in 1..pool.classes.len() {
            let (before, rest) = pool.classes.split_at_mut(place);
            make_unique(&mut rest[0].name, |name| {
                before.iter().any(|one| one.name == name)
            });
        }
        self.pools.push(pool);
    }

    /// Adds a breaker; see [`push_pool`](Self::push_pool).
    pub fn push_breaker(&mut self, mut breaker: BreakerSnapshot) {
        if self.is_full(self.breakers.len()) {
            return;
        }
        make_unique(&mut breaker.name, |name| {
            self.breakers.iter().any(|one| one.name == name)
        });
        self.breakers.push(breaker);
    }

    /// Adds a target of health checks; see [`push_pool`](Self::push_pool).
    pub fn push_health(&mut self, mut health: HealthSnapshot) {
        if self.is_full(self.health.len()) {
            return;
        }
        make_unique(&mut health.target, |name| {
            self.health.iter().any(|one| one.target == name)
        });
        self.health.push(health);
    }

    /// Adds a retry policy; see [`push_pool`](Self::push_pool).
    pub fn push_retry(&mut self, mut retry: RetrySnapshot) {
        if self.is_full(self.retries.len()) {
            return;
        }
        make_unique(&mut retry.policy, |name| {
            self.retries.iter().any(|one| one.policy == name)
        });
        self.retries.push(retry);
    }

    /// What was counted after `earlier`: a reset that disturbs no other reader.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut report = self.clone();
        for pool in &mut report.pools {
            if let Some(earlier) = earlier.pools.iter().find(|one| one.name == pool.name) {
                *pool = pool.since(earlier);
            }
        }
        for breaker in &mut report.breakers {
            if let Some(earlier) = earlier.breakers.iter().find(|one| one.name == breaker.name) {
                *breaker = breaker.since(earlier);
            }
        }
        for health in &mut report.health {
            if let Some(earlier) = earlier
                .health
                .iter()
                .find(|one| one.target == health.target)
            {
                *health = health.since(earlier);
            }
        }
        for retry in &mut report.retries {
            if let Some(earlier) = earlier
                .retries
                .iter()
                .find(|one| one.policy == retry.policy)
            {
                *retry = retry.since(earlier);
            }
        }
        report
    }

    fn is_full(&mut self, length: usize) -> bool {
        let is_full = length == Self::MAX_SNAPSHOTS;
        self.dropped += u64::from(is_full);
        is_full
    }
}

fn make_unique(name: &mut String, is_taken: impl Fn(&str) -> bool) {
    if !is_taken(name) {
        return;
    }
    let free = (2_u64..)
        .map(|number| format!("{name}-{number}"))
        .find(|free| !is_taken(free));
    *name = free.expect("some number is free");
}

#[derive(Default)]
struct Sources {
    next_id: u64,
    entries: Vec<(u64, Arc<dyn Source>)>,
}
