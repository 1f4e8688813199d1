//! The breaker as a pure machine: the specification.
//!
//! It reads no clock, takes no lock and spawns nothing. [`Breaker`](crate::Breaker) is this machine
//! behind a mutex with a fast path in front; whatever the two do differently is a defect.
//!
//! The one invariant: a ticket changes evidence and state only in the epoch that admitted it.

mod judge;
#[cfg(test)]
mod reachability;
#[cfg(test)]
mod rules;
mod shell;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::{Config, nanos};
use crate::event::{Change, Event};
use crate::limit::Limit;
use crate::overdue::Overdue;
use crate::probes::Probes;
use crate::rejected::Rejected;
use crate::snapshot::{Snapshot, Totals};
use crate::state::{Cause, Mode, Outcome, State};
use crate::ticket::{Stamp, Ticket};
use crate::validate::ConfigErrors;
use crate::window::{Counts, Evidence, Kind};

/// A four-state breaker for one thread, driven by the caller's time.
///
/// Time may stand still or step back: spans are then taken as zero, and evidence is counted in the
/// newest period seen.
///
/// ```
/// use std::time::{Duration, Instant};
/// use breaker::{Config, Machine, Outcome, State};
///
/// let start = Instant::now();
/// let mut machine = Machine::new(Config::classic(2, Duration::from_secs(30), 1), 7, start)?;
/// for _ in 0..2 {
///     let ticket = machine.admit(start).expect("closed");
///     machine.settle(ticket, Outcome::Failure, start);
/// }
/// assert_eq!(machine.state(), State::Open);
/// assert!(machine.admit(start).is_err());
/// # Ok::<(), breaker::ConfigErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    base: Instant,
    state: State,
    mode: Mode,
    sequence: u64,
    epoch: u64,
    evidence: Evidence,
    limit: Limit,
    calm: Option<Calm>,
    /// When a result was last heard while degraded.
    heard_ns: u64,
    probes: Probes,
    overdue: Option<Box<Overdue>>,
    opened_ns: u64,
    open_until_ns: u64,
    hint_until_ns: u64,
    openings: u32,
    closed_since_ns: u64,
    health_low: bool,
    in_flight: u64,
    /// Those of them that an earlier epoch admitted: the limit is not theirs.
    strays: u64,
    random: u64,
    totals: Totals,
    events: VecDeque<Event>,
}

/// What is known when the breaker opens, for an open time of the caller's making.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opening {
    /// Openings remembered, this one included.
    pub openings: u32,
    /// The evidence that opened it.
    pub counts: Counts,
    /// What is left of the time that the server asked for, if it did.
    pub hint: Option<Duration>,
    /// The open time that the configuration gives.
    pub configured: Duration,
}

/// Good results in a row of evaluations under the threshold, while degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calm {
    since_ns: u64,
    results: u32,
}

const EVENTS_KEPT: usize = 256;

impl Machine {
    /// A closed breaker. `seed` decides the jitter of its open times; `start` is the earliest
    /// moment it can tell apart.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `config`.
    pub fn new(config: Config, seed: u64, start: Instant) -> Result<Self, ConfigErrors> {
        config.check()?;
        Ok(Self {
            evidence: Evidence::new(config.window),
            overdue: config
                .slow
                .map(|rule| Box::new(Overdue::new(nanos(rule.threshold)))),
            config,
            base: start,
            state: State::Closed,
            mode: Mode::Automatic,
            sequence: 0,
            epoch: 0,
            limit: Limit::default(),
            calm: None,
            heard_ns: 0,
            probes: Probes::default(),
            opened_ns: 0,
            open_until_ns: 0,
            hint_until_ns: 0,
            openings: 0,
            closed_since_ns: 0,
            health_low: false,
            in_flight: 0,
            strays: 0,
            random: seed,
            totals: Totals::default(),
            events: VecDeque::new(),
        })
    }

    /// Asks for one call.
    ///
    /// # Errors
    ///
    /// Why it is refused and when to come back.
    pub fn admit(&mut self, now: Instant) -> Result<Ticket, Rejected> {
        self.on_admission(now).map(Ticket::new)
    }

    pub(crate) fn on_admission(&mut self, now: Instant) -> Result<Stamp, Rejected> {
        let now_ns = self.since_base_ns(now);
        let admitted = match self.mode {
            Mode::ForcedClosed | Mode::MetricsOnly => Ok(()),
            Mode::ForcedOpen => Err(Rejected::Forced),
            Mode::Automatic => self.judge_admission(now_ns),
        };
        match admitted {
            Ok(()) => {
                let counted = self.counts_calls();
                self.in_flight += u64::from(counted);
                self.check();
                let degraded = self.state == State::Degraded;
                let started_ns = self
                    .overdue
                    .as_mut()
                    .map_or(now_ns, |overdue| overdue.start(now_ns));
                Ok(Stamp::new(self.epoch, degraded, counted, started_ns))
            }
            Err(rejected) => {
                let count = match rejected {
                    Rejected::Open { .. } => &mut self.totals.rejected_open,
                    Rejected::ProbesBusy { .. } => &mut self.totals.rejected_probes_busy,
                    Rejected::Limited { .. } => &mut self.totals.rejected_limited,
                    Rejected::Forced => &mut self.totals.rejected_forced,
                };
                *count += 1;
                self.check();
                Err(rejected)
            }
        }
    }

    /// A call has ended.
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        self.on_end(ticket.stamp(), Some(outcome), None, now);
    }

    /// A call has ended, and the server said when to come back: an opening lasts at least until
    /// then, within [`longest_hint`](Config::longest_hint).
    pub fn settle_with_hint(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        retry_after: Duration,
        now: Instant,
    ) {
        self.on_end(ticket.stamp(), Some(outcome), Some(retry_after), now);
    }

    /// A call was abandoned: neither success nor failure.
    pub fn cancel(&mut self, ticket: Ticket, now: Instant) {
        self.on_end(ticket.stamp(), None, None, now);
    }

    /// Time has passed: ends a half-open epoch whose deadline is over and counts calls in flight
    /// that have become slow. Everything else needs no tick.
    pub fn tick(&mut self, now: Instant) {
        let now_ns = self.since_base_ns(now);
        self.on_time(now_ns);
        self.judge_evidence(now_ns);
        self.check();
    }

    /// Sets the mode. Outcomes of calls admitted in another mode are stale.
    pub fn force(&mut self, mode: Mode, now: Instant) {
        if mode == self.mode {
            return;
        }
        let now_ns = self.since_base_ns(now);
        let from = std::mem::replace(&mut self.mode, mode);
        let counts = self.evidence.counts();
        self.clear_evidence();
        self.tell(Change::Mode { from, to: mode }, counts, now_ns);
        if self.state == State::HalfOpen {
            self.probes = Probes::new(now_ns.saturating_add(self.config.half_open_deadline_ns()));
        }
        self.check();
    }

    /// Closes and forgets all evidence and openings. The mode stays.
    pub fn reset(&mut self, now: Instant) {
        self.openings = 0;
        self.hint_until_ns = 0;
        self.health_low = false;
        let now_ns = self.since_base_ns(now);
        self.go(Cause::Reset, now_ns);
        self.check();
    }

    /// Sets another configuration. The state stays. Evidence stays if the window's periods keep
    /// their width, or its calls are still counted, and the slow threshold is the same.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `config`; nothing is changed then.
    pub fn configure(&mut self, config: Config, now: Instant) -> Result<(), ConfigErrors> {
        config.check()?;
        let now_ns = self.since_base_ns(now);
        let threshold = |config: &Config| config.slow.map(|rule| rule.threshold);
        let same_slow = threshold(&config) == threshold(&self.config);
        let counts = self.evidence.counts();
        let evidence_kept = self.evidence.reshape(config.window) && same_slow;
        if !same_slow {
            self.overdue = config
                .slow
                .map(|rule| Box::new(Overdue::new(nanos(rule.threshold))));
        }
        self.config = config;
        if !evidence_kept {
            self.clear_evidence();
            if self.state == State::HalfOpen {
                self.probes = Probes::new(self.probes.deadline_ns());
            }
        }
        self.tell(Change::Configured { evidence_kept }, counts, now_ns);
        if self.state == State::Degraded && config.degraded.is_none() {
            self.go(Cause::Unlimited, now_ns);
        }
        // A window that was cut down may prove now what it did not before.
        self.evidence.advance(now_ns);
        self.judge_evidence(now_ns);
        self.check();
        Ok(())
    }

    /// Tells how many of the endpoints behind this breaker are healthy. Without a health rule, or
    /// in another mode than automatic, nothing comes of it.
    pub fn report_health(&mut self, healthy: u32, total: u32, now: Instant) {
        let now_ns = self.since_base_ns(now);
        self.on_time(now_ns);
        self.judge_health(healthy, total, now_ns);
        self.check();
    }

    /// The oldest event not fetched yet. At most 256 are kept.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The most calls that may be in flight; `None`: any number.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        if self.state == State::Degraded {
            self.limit.calls()
        } else {
            None
        }
    }

    /// Every number.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let until_ns = match self.state {
            State::Open => Some(self.open_until_ns),
            State::HalfOpen => Some(self.probes.deadline_ns()),
            State::Closed | State::Degraded => None,
        };
        let now_ns = self.since_base_ns(now);
        let mut evidence = self.evidence.clone();
        evidence.advance(now_ns);
        Snapshot {
            state: self.state,
            mode: self.mode,
            sequence: self.sequence,
            epoch: self.epoch,
            counts: evidence.counts(),
            in_flight: self.config.degraded.map(|_| self.in_flight),
            stale_in_flight: self.strays,
            limit: self.limit(),
            overdue: self.overdue.as_ref().map_or(0, |overdue| overdue.count()),
            probes: if self.state == State::HalfOpen {
                self.probes.issued()
            } else {
                0
            },
            remaining: until_ns.map(|until| Duration::from_nanos(until.saturating_sub(now_ns))),
            openings_remembered: self.openings,
            totals: self.totals,
        }
    }

    pub(crate) fn on_end(
        &mut self,
        stamp: Stamp,
        outcome: Option<Outcome>,
        hint: Option<Duration>,
        now: Instant,
    ) {
        let now_ns = self.since_base_ns(now);
        // While every call is admitted anyway, only results bring news.
        if !self.admits_all() || !matches!(outcome, None | Some(Outcome::Ignored)) {
            self.on_time(now_ns);
        }
        if stamp.epoch() == self.epoch {
            if let Some(overdue) = &mut self.overdue {
                overdue.finish(stamp.started_ns);
            }
            let (kind, total) = match outcome {
                Some(Outcome::Success) => (Some(Kind::Success), &mut self.totals.successes),
                Some(Outcome::Failure) => (Some(Kind::Failure), &mut self.totals.failures),
                Some(Outcome::Overload) => (Some(Kind::Overload), &mut self.totals.overloads),
                Some(Outcome::Ignored) => (None, &mut self.totals.ignored),
                None => (None, &mut self.totals.cancelled),
            };
            *total += 1;
            if let Some(kind) = kind {
                if let Some(hint) = hint {
                    let hint_ns = nanos(hint.min(self.config.longest_hint));
                    self.hint_until_ns = self.hint_until_ns.max(now_ns.saturating_add(hint_ns));
                }
                let slow = self.config.slow.is_some_and(|rule| {
                    now_ns.saturating_sub(stamp.started_ns) >= nanos(rule.threshold)
                });
                self.evidence.record(kind, slow);
                self.judge_result(kind, slow, stamp, now_ns);
            } else if self.mode == Mode::Automatic && self.state == State::HalfOpen {
                self.probes.give_back();
            }
        } else {
            self.totals.stale += 1;
        }
        let counted = u64::from(stamp.counted());
        self.in_flight = self.in_flight.saturating_sub(counted);
        if stamp.epoch() != self.epoch {
            self.strays = self.strays.saturating_sub(counted);
        }
        self.check();
    }

    /// What time alone brings about, before anything else is looked at.
    fn on_time(&mut self, now_ns: u64) {
        self.evidence.advance(now_ns);
        if let Some(overdue) = &mut self.overdue {
            overdue.advance(now_ns);
        }
        self.judge_deadline(now_ns);
    }

    fn since_base_ns(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.base))
    }

    /// Asserts what must hold between any two calls.
    fn check(&self) {
        debug_assert!(
            self.limit.calls().is_none_or(|calls| calls >= 1),
            "a limit is at least 1"
        );
        debug_assert!(
            self.limit.calls().is_none() || self.state == State::Degraded,
            "only the degraded state is limited"
        );
        debug_assert!(
            self.state != State::Degraded || self.config.degraded.is_some(),
            "a degraded state that is off is never rested in"
        );
        debug_assert!(
            self.state != State::Degraded || self.calm.is_none_or(|calm| calm.results > 0),
            "calm starts with a result"
        );
        debug_assert!(self.sequence >= self.epoch, "an epoch ends with an event");
    }
}
