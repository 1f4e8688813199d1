//! The breaker that threads and tasks share.
//!
//! It is the [`Machine`] behind a mutex. In front stand one word that says whether the machine need
//! be asked at all, and stripes that keep what it can be told later.
//!
//! Lock order: there is one lock. Atomics: `word` is stored with release after the two times beside
//! it and loaded with acquire, so whoever sees an epoch sees its open time or a later one; a later
//! one only makes the answer newer. Under the lock, all three are written by its holder alone.
//!
//! No user code runs under the lock: clock, listener and open time are called before or after.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::builder::Builder;
use crate::clock::system_now;
use crate::config::{Config, nanos};
use crate::hooks::{Hooks, Shared};
use crate::local;
use crate::machine::Machine;
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::snapshot::Snapshot;
use crate::state::{Mode, Outcome, State};
use crate::stripe::{Stripe, stripes};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::ticket::Stamp;
use crate::validate::ConfigErrors;
use crate::word::Word;

/// A circuit breaker for any number of threads and tasks; see the [crate's page](crate).
pub struct Breaker {
    /// A [`Word`]; written under `shared`.
    word: AtomicU64,
    /// End of the evidence's period; written under `shared`.
    period_end_ns: AtomicU64,
    /// End of the open time; written under `shared`.
    pub(crate) open_until_ns: AtomicU64,
    base: Instant,
    stripes: Box<[Stripe]>,
    shared: Mutex<Shared>,
    /// `None`: all of them the default's.
    pub(crate) hooks: Option<Box<Hooks>>,
}

impl Breaker {
    /// A closed breaker with the system's clock.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `config`.
    pub fn new(config: Config) -> Result<Self, ConfigErrors> {
        Self::builder(config).build()
    }

    /// A builder, for a clock, a listener, a name, a seed or open times of one's own.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    pub(crate) fn assemble(machine: Machine, base: Instant, hooks: Option<Box<Hooks>>) -> Self {
        let breaker = Self {
            word: AtomicU64::new(0),
            period_end_ns: AtomicU64::new(0),
            open_until_ns: AtomicU64::new(0),
            base,
            stripes: (0..stripes()).map(|_| Stripe::new()).collect(),
            shared: Mutex::new(Shared::new(machine)),
            hooks,
        };
        breaker.publish(&breaker.lock().machine);
        breaker
    }

    /// Asks for one call. The permit is to be told how it ended; dropping it cancels.
    ///
    /// # Errors
    ///
    /// Why the call is refused and when to come back.
    #[inline]
    pub fn admit(&self) -> Result<Permit<&Self>, Rejected> {
        self.stamp(|| self.now())
            .map(|stamp| Permit::new(self, stamp))
    }

    /// [`admit`](Self::admit) at the caller's time.
    ///
    /// # Errors
    ///
    /// Why the call is refused and when to come back.
    #[inline]
    pub fn admit_at(&self, now: Instant) -> Result<Permit<&Self>, Rejected> {
        self.stamp(|| now).map(|stamp| Permit::new(self, stamp))
    }

    /// [`admit`](Self::admit) for a permit that may outlive the borrow.
    ///
    /// # Errors
    ///
    /// Why the call is refused and when to come back.
    #[inline]
    pub fn admit_owned(self: &Arc<Self>) -> Result<Permit<Arc<Self>>, Rejected> {
        self.stamp(|| self.now())
            .map(|stamp| Permit::new(Arc::clone(self), stamp))
    }

    /// [`admit_owned`](Self::admit_owned) at the caller's time.
    ///
    /// # Errors
    ///
    /// Why the call is refused and when to come back.
    #[inline]
    pub fn admit_owned_at(self: &Arc<Self>, now: Instant) -> Result<Permit<Arc<Self>>, Rejected> {
        self.stamp(|| now)
            .map(|stamp| Permit::new(Arc::clone(self), stamp))
    }

    /// The state, by one load. An open breaker whose time is over stays open until a call comes.
    #[must_use]
    pub fn state(&self) -> State {
        Word(self.word.load(Ordering::Relaxed)).state()
    }

    /// The most calls that may be in flight; `None`: any number.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.lock().machine.limit()
    }

    /// [`tick_at`](Self::tick_at) by the breaker's clock.
    pub fn tick(&self) {
        self.tick_at(self.now());
    }

    /// Ends a half-open epoch whose deadline is over, and counts calls in flight that have become
    /// slow. Everything else needs no tick.
    pub fn tick_at(&self, now: Instant) {
        self.with(|machine| machine.tick(now));
    }

    /// Sets the mode, until another is set. Outcomes of calls admitted before are stale.
    pub fn force(&self, mode: Mode) {
        let now = self.now();
        self.with(|machine| machine.force(mode, now));
    }

    /// Closes and forgets all evidence and openings. The mode stays.
    pub fn reset(&self) {
        let now = self.now();
        self.with(|machine| machine.reset(now));
    }

    /// Sets another configuration; see [`Machine::configure`] for what stays.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `config`; nothing is changed then.
    pub fn configure(&self, config: Config) -> Result<(), ConfigErrors> {
        let now = self.now();
        self.with(|machine| machine.configure(config, now))
    }

    /// [`report_health_at`](Self::report_health_at) by the breaker's clock.
    pub fn report_health(&self, healthy: u32, total: u32) {
        self.report_health_at(healthy, total, self.now());
    }

    /// Tells how many of the endpoints behind this breaker are healthy, for the health rule.
    pub fn report_health_at(&self, healthy: u32, total: u32, now: Instant) {
        self.with(|machine| machine.report_health(healthy, total, now));
    }

    /// Every number, by the breaker's clock.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.now())
    }

    /// Every number.
    #[must_use]
    pub fn snapshot_at(&self, now: Instant) -> Snapshot {
        let mut snapshot = self.with(|machine| machine.snapshot(now));
        for stripe in &self.stripes {
            let totals = &mut snapshot.totals;
            totals.ignored += stripe.ignored.load(Ordering::Relaxed);
            totals.cancelled += stripe.cancelled.load(Ordering::Relaxed);
            totals.rejected_open += stripe.rejected_open.load(Ordering::Relaxed);
            totals.rejected_forced += stripe.rejected_forced.load(Ordering::Relaxed);
        }
        snapshot
    }

    #[inline]
    fn stamp(&self, now: impl FnOnce() -> Instant) -> Result<Stamp, Rejected> {
        let word = Word(self.word.load(Ordering::Acquire));
        if word.admits() {
            if word.counts() {
                self.own_stripe().start();
            }
            return Ok(Stamp::quick(word.epoch(), word.counts()));
        }
        self.ask(word, now)
    }

    /// Where calls are not simply admitted. While open, the machine need not be asked.
    #[inline(never)]
    fn ask(&self, word: Word, now: impl FnOnce() -> Instant) -> Result<Stamp, Rejected> {
        if word.refuses() {
            let now = now();
            let open_until_ns = self.open_until_ns.load(Ordering::Relaxed);
            if let Some(end) = local::end_after(now, self.base, open_until_ns) {
                self.own_stripe()
                    .rejected_open
                    .fetch_add(1, Ordering::Relaxed);
                return Err(Rejected::Open {
                    retry_after: end.saturating_duration_since(now),
                });
            }
            return self.ask_slowly(open_until_ns, now);
        }
        if word.is_forced() {
            self.own_stripe()
                .rejected_forced
                .fetch_add(1, Ordering::Relaxed);
            return Err(Rejected::Forced);
        }
        let now = now();
        self.admit_by_machine(now)
    }

    #[cold]
    fn ask_slowly(&self, open_until_ns: u64, now: Instant) -> Result<Stamp, Rejected> {
        local::remember_end(self.base, open_until_ns);
        let left_ns = open_until_ns.saturating_sub(self.since_base_ns(now));
        if left_ns == 0 {
            return self.admit_by_machine(now);
        }
        self.own_stripe()
            .rejected_open
            .fetch_add(1, Ordering::Relaxed);
        Err(Rejected::Open {
            retry_after: Duration::from_nanos(left_ns),
        })
    }

    #[cold]
    fn admit_by_machine(&self, now: Instant) -> Result<Stamp, Rejected> {
        self.with(|machine| {
            let stamp = machine.on_admission(now)?;
            if stamp.counted() {
                self.own_stripe().start();
            }
            Ok(stamp)
        })
    }

    /// A call ends. `outcome` is `None` for a cancelled one.
    #[inline]
    pub(crate) fn end(
        &self,
        stamp: Stamp,
        outcome: Option<Outcome>,
        now: impl FnOnce() -> Instant,
    ) {
        let word = Word(self.word.load(Ordering::Acquire));
        let quick = word.admits() && word.epoch() == stamp.epoch();
        if quick && outcome == Some(Outcome::Success) {
            let now = now();
            if !self.succeed(stamp, now) {
                self.tell(stamp, outcome, None, now);
            }
        } else if !quick || !self.set_aside(stamp, outcome) {
            self.tell(stamp, outcome, None, now());
        }
    }

    /// Counts a success beside the machine, if it decides nothing.
    #[inline(always)]
    fn succeed(&self, stamp: Stamp, now: Instant) -> bool {
        let period_end_ns = self.period_end_ns.load(Ordering::Relaxed);
        if !local::knows_before(now, self.base, period_end_ns) && !self.learns(now, period_end_ns) {
            return false;
        }
        let guess = local::settled();
        let settled = self
            .own_stripe()
            .succeed(stamp.epoch(), stamp.counted(), guess);
        settled.map(local::set_settled).is_some()
    }

    #[cold]
    fn learns(&self, now: Instant, period_end_ns: u64) -> bool {
        local::remember_end(self.base, period_end_ns);
        self.since_base_ns(now) < period_end_ns
    }

    /// Counts beside the machine what decides nothing while every call is admitted anyway.
    #[inline(never)]
    fn set_aside(&self, stamp: Stamp, outcome: Option<Outcome>) -> bool {
        let stripe = self.own_stripe();
        let count = match outcome {
            Some(Outcome::Ignored) => &stripe.ignored,
            None => &stripe.cancelled,
            Some(Outcome::Success | Outcome::Failure | Outcome::Overload) => return false,
        };
        let aside = !stamp.counted() || stripe.finish_in(stamp.epoch());
        if aside {
            count.fetch_add(1, Ordering::Relaxed);
        }
        aside
    }

    #[cold]
    pub(crate) fn tell(
        &self,
        stamp: Stamp,
        outcome: Option<Outcome>,
        hint: Option<Duration>,
        now: Instant,
    ) {
        self.with(|machine| {
            machine.on_end(stamp, outcome, hint, now);
            // After the machine has looked at the calls in flight, of which this was one.
            if stamp.counted() {
                self.own_stripe().finish();
            }
        });
    }

    /// Lets the machine work with everything counted beside it, and publishes what comes of it.
    fn with<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> T {
        let mut shared = self.lock();
        let (mut successes, mut ended, mut started) = (0, 0, 0_u64);
        for stripe in &self.stripes {
            let (more_successes, more_ended) = stripe.shut();
            successes += more_successes;
            ended += more_ended;
        }
        // After all ends, so that no call has ended without having started.
        for stripe in &self.stripes {
            started = started.wrapping_add(stripe.started());
        }
        let machine = &mut shared.machine;
        machine.on_counted(successes, started.wrapping_sub(ended) & u64::from(u32::MAX));
        let result = work(machine);
        self.publish(machine);
        if machine.has_events() {
            self.after(shared);
        }
        result
    }

    /// Tells the world what the machine has come to.
    fn publish(&self, machine: &Machine) {
        // Readers share this line: it is written only when there is news.
        for (cell, value, ordering) in [
            (
                &self.period_end_ns,
                machine.period_end_ns(),
                Ordering::Relaxed,
            ),
            (
                &self.open_until_ns,
                machine.open_until_ns(),
                Ordering::Relaxed,
            ),
            (&self.word, Word::of(machine).0, Ordering::Release),
        ] {
            if cell.load(Ordering::Relaxed) != value {
                cell.store(value, ordering);
            }
        }
        if machine.defers_success() {
            for stripe in &self.stripes {
                stripe.reopen(machine.epoch());
            }
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        // No user code runs under the lock, and the machine's own panics are defects: a poisoned
        // breaker still knows as much as one that was not.
        self.shared
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        if self.hooks.is_none() {
            return system_now();
        }
        self.hooked_now()
    }

    #[inline(never)]
    fn hooked_now(&self) -> Instant {
        self.hooks.as_ref().map_or_else(system_now, |it| it.now())
    }

    #[inline]
    fn since_base_ns(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.base))
    }

    #[inline]
    fn own_stripe(&self) -> &Stripe {
        &self.stripes[local::number() & (self.stripes.len() - 1)]
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field(
                "name",
                &self.hooks.as_ref().and_then(|it| it.name.as_deref()),
            )
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
