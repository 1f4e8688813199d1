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
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::builder::Builder;
use crate::clock::{Clock, system_now};
use crate::config::{Config, nanos};
use crate::event::Event;
use crate::local;
use crate::machine::{Machine, Opening};
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::snapshot::Snapshot;
use crate::state::{Mode, Outcome, State};
use crate::stripe::{Stripe, stripes};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::ticket::Stamp;
use crate::validate::ConfigErrors;

/// A circuit breaker for any number of threads and tasks; see the [crate's page](crate).
pub struct Breaker {
    /// `epoch: 56 | flags: 4 | state: 2 | unused: 2`; written under `shared`.
    word: AtomicU64,
    /// End of the evidence's period; written under `shared`.
    period_end_ns: AtomicU64,
    /// End of the open time; written under `shared`.
    open_until_ns: AtomicU64,
    base: Instant,
    stripes: Box<[Stripe]>,
    shared: Mutex<Shared>,
    hooks: Hooks,
}

#[derive(Debug)]
struct Shared {
    machine: Machine,
    /// Some thread is in `deliver` and will see every event.
    delivering: bool,
    /// The epoch whose open time has been asked for.
    asked: u64,
}

type Listener = dyn Fn(&Event) + Send + Sync;
type DecideOpenTime = dyn Fn(&Opening) -> Duration + Send + Sync;

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) name: Option<Box<str>>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) listener: Option<Box<Listener>>,
    pub(crate) open_time: Option<Box<DecideOpenTime>>,
}

impl Hooks {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock
            .as_ref()
            .map_or_else(system_now, |clock| clock.now())
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const STATE: u64 = 0b11 << 2;
const ADMITS: u64 = 1 << 4;
const COUNTS: u64 = 1 << 5;
const REFUSES: u64 = 1 << 6;
const FORCED: u64 = 1 << 7;
const EPOCH_SHIFT: u32 = 8;

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

    pub(crate) fn assemble(machine: Machine, base: Instant, hooks: Hooks) -> Self {
        let breaker = Self {
            word: AtomicU64::new(0),
            period_end_ns: AtomicU64::new(0),
            open_until_ns: AtomicU64::new(0),
            base,
            stripes: (0..stripes()).map(|_| Stripe::new()).collect(),
            shared: Mutex::new(Shared {
                machine,
                delivering: false,
                asked: 0,
            }),
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
        self.stamp(|| self.hooks.now())
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
        self.stamp(|| self.hooks.now())
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
        match (self.word.load(Ordering::Relaxed) & STATE) >> 2 {
            0 => State::Closed,
            1 => State::Degraded,
            2 => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// The most calls that may be in flight; `None`: any number.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.lock().machine.limit()
    }

    /// [`tick_at`](Self::tick_at) by the breaker's clock.
    pub fn tick(&self) {
        self.tick_at(self.hooks.now());
    }

    /// Ends a half-open epoch whose deadline is over, and counts calls in flight that have become
    /// slow. Everything else needs no tick.
    pub fn tick_at(&self, now: Instant) {
        self.with(|machine| machine.tick(now));
    }

    /// Sets the mode, until another is set. Outcomes of calls admitted before are stale.
    pub fn force(&self, mode: Mode) {
        let now = self.hooks.now();
        self.with(|machine| machine.force(mode, now));
    }

    /// Closes and forgets all evidence and openings. The mode stays.
    pub fn reset(&self) {
        let now = self.hooks.now();
        self.with(|machine| machine.reset(now));
    }

    /// Sets another configuration; see [`Machine::configure`] for what stays.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `config`; nothing is changed then.
    pub fn configure(&self, config: Config) -> Result<(), ConfigErrors> {
        let now = self.hooks.now();
        self.with(|machine| machine.configure(config, now))
    }

    /// [`report_health_at`](Self::report_health_at) by the breaker's clock.
    pub fn report_health(&self, healthy: u32, total: u32) {
        self.report_health_at(healthy, total, self.hooks.now());
    }

    /// Tells how many of the endpoints behind this breaker are healthy, for the health rule.
    pub fn report_health_at(&self, healthy: u32, total: u32, now: Instant) {
        self.with(|machine| machine.report_health(healthy, total, now));
    }

    /// Every number, by the breaker's clock.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.hooks.now())
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
        let word = self.word.load(Ordering::Acquire);
        if word & ADMITS == 0 {
            return self.ask(word, now());
        }
        let counted = word & COUNTS != 0;
        if counted {
            self.own_stripe().start();
        }
        Ok(Stamp::quick(word >> EPOCH_SHIFT, counted))
    }

    #[inline(never)]
    fn ask(&self, word: u64, now: Instant) -> Result<Stamp, Rejected> {
        if word & FORCED != 0 {
            let rejected = &self.own_stripe().rejected_forced;
            rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Rejected::Forced);
        }
        if word & REFUSES != 0 {
            let open_until_ns = self.open_until_ns.load(Ordering::Relaxed);
            let left_ns = open_until_ns.saturating_sub(self.since_base_ns(now));
            if left_ns > 0 {
                let rejected = &self.own_stripe().rejected_open;
                rejected.fetch_add(1, Ordering::Relaxed);
                return Err(Rejected::Open {
                    retry_after: Duration::from_nanos(left_ns),
                });
            }
        }
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
        let word = self.word.load(Ordering::Acquire);
        let quick = word & ADMITS != 0 && word >> EPOCH_SHIFT == stamp.epoch();
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
        count.fetch_add(1, Ordering::Relaxed);
        if stamp.counted() {
            stripe.finish();
        }
        true
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
        let state = match machine.state() {
            State::Closed => 0,
            State::Degraded => 1,
            State::Open => 2,
            State::HalfOpen => 3,
        };
        let automatic = machine.mode() == Mode::Automatic;
        let mut word = (machine.epoch() << EPOCH_SHIFT) | (state << 2);
        for (flag, holds) in [
            (ADMITS, machine.admits_all()),
            (COUNTS, machine.counts_calls()),
            (REFUSES, automatic && machine.state() == State::Open),
            (FORCED, machine.mode() == Mode::ForcedOpen),
        ] {
            word |= if holds { flag } else { 0 };
        }
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
            (&self.word, word, Ordering::Release),
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

    /// Runs the hooks that events call for, without the lock.
    #[cold]
    fn after<'a>(&'a self, mut shared: MutexGuard<'a, Shared>) {
        let epoch = shared.machine.epoch();
        if let Some(decide) = &self.hooks.open_time {
            if shared.machine.state() == State::Open && shared.asked != epoch {
                shared.asked = epoch;
                let opening = shared.machine.opening();
                drop(shared);
                let decided = catch_unwind(AssertUnwindSafe(|| decide(&opening)));
                shared = self.lock();
                if let Ok(time) = decided {
                    shared.machine.on_open_time(epoch, time);
                    // Only the open time has changed; the stripes stay as they are.
                    let open_until_ns = shared.machine.open_until_ns();
                    self.open_until_ns.store(open_until_ns, Ordering::Relaxed);
                }
            }
        }
        if shared.delivering {
            return;
        }
        shared.delivering = true;
        while let Some(event) = shared.machine.next_event() {
            drop(shared);
            #[cfg(feature = "tracing")]
            crate::trace::emit(self.hooks.name.as_deref(), &event);
            if let Some(listener) = &self.hooks.listener {
                // The panic hook has reported it; the listener's trouble is not the caller's.
                let _reported = catch_unwind(AssertUnwindSafe(|| listener(&event)));
            }
            shared = self.lock();
        }
        shared.delivering = false;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // No user code runs under the lock, and the machine's own panics are defects: a poisoned
        // breaker still knows as much as one that was not.
        self.shared
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.hooks.now()
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
            .field("name", &self.hooks.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
