//! One target under active probes: what to believe of it and when to ask again.
//!
//! The machine reads no clock and starts nothing. Its caller asks [`Monitor::poll`] until it says
//! to wait, does the probes it is told to do, and hands each result to [`Monitor::on_result`].
//!
//! The invariant: at most one probe is in flight, and it ends, by a result or at its deadline. A
//! result of any other probe, or one that comes at or after its deadline, changes nothing.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use health::{Action, Monitor, MonitorPolicy, Report, State};
//!
//! let mut now = Instant::now();
//! let seed = 7; // a different one for each target
//! let mut monitor = Monitor::<()>::new(MonitorPolicy::new(), seed, now)?;
//! let probe = loop {
//!     match monitor.poll(now) {
//!         Action::Probe(probe) => break probe,
//!         Action::WaitUntil(then) => now = then, // sleep, in real life
//!         _ => {}
//!     }
//! };
//! now += Duration::from_millis(3); // ask the target, until `probe.deadline()` at most
//! let change = monitor.on_result(probe, Report::up(), now).expect("the first verdict is a change");
//! assert_eq!(change.to.state, State::Up);
//! # Ok::<(), health::ConfigErrors>(())
//! ```

mod evidence;
mod policy;

use std::time::Instant;

use crate::schedule::{Pace, Schedule};
use crate::{Change, ConfigErrors, Failure, Report, State, Status};

use evidence::Evidence;
pub use policy::MonitorPolicy;

/// Rise, fall and the times of the probes of one target; `R` is the type of its role.
#[derive(Debug, Clone)]
pub struct Monitor<R = ()> {
    policy: MonitorPolicy,
    status: Status<R>,
    evidence: Evidence,
    /// A role that was named, but not often enough to be believed, and how often.
    named: Option<(R, u32)>,
    failures: u32,
    /// Whether the last result disagrees with the belief.
    in_transition: bool,
    created: Instant,
    started: Instant,
    due: Instant,
    flight: Option<Probe>,
    sequence: u64,
    schedule: Schedule,
}

impl<R: Copy + Eq> Monitor<R> {
    /// A monitor that knows nothing yet. Monitors with different seeds probe at different times.
    ///
    /// # Errors
    /// If the policy breaks a rule.
    pub fn new(policy: MonitorPolicy, seed: u64, now: Instant) -> Result<Self, ConfigErrors> {
        policy.validate()?;
        Ok(Self::with_valid(policy, seed, now))
    }

    /// Says what to do now. Call it again after every answer but [`Action::WaitUntil`].
    pub fn poll(&mut self, now: Instant) -> Action<R> {
        if let Some(change) = self.expire(now) {
            return Action::Changed(change);
        }
        if now < self.next_at() {
            return Action::WaitUntil(self.next_at());
        }
        Action::Probe(self.start(now))
    }

    /// Takes the result of a probe, and says what it changed.
    pub fn on_result(
        &mut self,
        probe: Probe,
        report: Report<R>,
        now: Instant,
    ) -> Option<Change<R>> {
        if self.flight != Some(probe) {
            return None;
        }
        if now >= probe.deadline {
            return self.expire(now);
        }
        self.settle(report, now)
    }

    /// Takes the suspicion that something else has of the target, as [`Suspicion`] computes it.
    ///
    /// At [`Suspicion::SUSPECT`] and above the next probe comes as soon as the fast interval
    /// allows. Suspicion never changes a belief by itself.
    ///
    /// [`Suspicion`]: crate::Suspicion
    /// [`Suspicion::SUSPECT`]: crate::Suspicion::SUSPECT
    pub fn on_suspicion(&mut self, phi: f64, now: Instant) {
        if phi >= crate::Suspicion::SUSPECT {
            self.hurry(now);
        }
    }

    /// What is believed of the target.
    #[must_use]
    pub const fn status(&self) -> Status<R> {
        self.status
    }

    /// How many probes in a row have failed up to now.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u32 {
        self.failures
    }

    /// Whether a probe is in flight.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.flight.is_some()
    }

    /// When `poll` will have something to do, if nothing happens before.
    #[must_use]
    pub fn next_at(&self) -> Instant {
        self.flight.map_or(self.due, |probe| probe.deadline)
    }

    pub(crate) fn with_valid(policy: MonitorPolicy, seed: u64, now: Instant) -> Self {
        let mut schedule = Schedule::new(seed);
        let due = now + schedule.first(&policy);
        Self {
            policy,
            status: Status::UNKNOWN,
            evidence: Evidence::default(),
            named: None,
            failures: 0,
            in_transition: false,
            created: now,
            started: now,
            due,
            flight: None,
            sequence: 0,
            schedule,
        }
    }

    /// Starts a probe, due or not. No other may be in flight.
    pub(crate) fn start(&mut self, now: Instant) -> Probe {
        debug_assert!(self.flight.is_none(), "one probe at a time");
        self.sequence += 1;
        self.started = now;
        let probe = Probe {
            sequence: self.sequence,
            deadline: now + self.policy.timeout,
        };
        self.flight = Some(probe);
        probe
    }

    /// Ends a probe whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Change<R>> {
        let overdue = self.flight.is_some_and(|probe| probe.deadline <= now);
        if !overdue {
            return None;
        }
        self.settle(Report::down(Failure::Timeout), now)
    }

    /// Brings the next probe forward as far as the fast interval allows.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if self.flight.is_none() {
            let earliest = self.started + self.policy.fast_interval;
            self.due = self.due.min(earliest.max(now));
        }
    }

    /// Whether the next probe confirms or refutes a result that disagreed with the belief.
    pub(crate) fn is_urgent(&self) -> bool {
        self.in_transition
    }

    fn settle(&mut self, report: Report<R>, now: Instant) -> Option<Change<R>> {
        self.flight = None;
        self.failures = match report.failure() {
            Some(_) => self.failures.saturating_add(1),
            None => 0,
        };
        let from = self.status;
        let found = report.state();
        self.status.state = self.judge(found, now);
        self.status.weight = if found == self.status.state {
            report.weight()
        } else if self.status.state == from.state {
            from.weight
        } else {
            self.status.state.weight()
        };
        if let Some(role) = report.role() {
            self.hear_role(*role);
        }
        self.in_transition = self.status.state != State::Unknown
            && (found != self.status.state || self.named.is_some());
        let pace = match self.status.state {
            State::Unknown => Pace::Fast,
            _ if self.in_transition => Pace::Fast,
            State::Down => Pace::Slow,
            State::Up | State::Degraded | State::Draining => Pace::Steady,
        };
        // Measured from the start: how long a probe takes does not shift the next one.
        self.due = self.started + self.schedule.next(&self.policy, pace);
        self.check();
        (self.status != from).then_some(Change {
            from,
            to: self.status,
            failure: report.failure(),
        })
    }

    /// The one place where a state changes.
    fn judge(&mut self, found: State, now: Instant) -> State {
        match (self.status.state, found) {
            // It may still be starting: that is no evidence against it.
            (State::Unknown, State::Down) if self.is_starting(now) => State::Unknown,
            // There is no belief yet that a flapping result could shake.
            (State::Unknown, found) if found != State::Down => {
                self.evidence.record(found);
                found
            }
            (believed, found) => {
                self.evidence.record(found);
                self.evidence
                    .belief(believed, self.policy.rise, self.policy.fall)
            }
        }
    }

    /// A role is believed at once if it is the first, else after `rise` reports in a row.
    fn hear_role(&mut self, role: R) {
        if self.status.role == Some(role) {
            self.named = None;
            return;
        }
        let times = match self.named {
            Some((named, times)) if named == role => times + 1,
            _ => 1,
        };
        if self.status.role.is_none() || times >= self.policy.rise {
            self.status.role = Some(role);
            self.named = None;
        } else {
            self.named = Some((role, times));
        }
    }

    fn is_starting(&self, now: Instant) -> bool {
        self.policy
            .startup_grace
            .is_some_and(|grace| now.saturating_duration_since(self.created) < grace)
    }

    fn check(&self) {
        debug_assert!(
            self.status.state.serves() || self.status.weight == crate::Weight::NONE,
            "what does not serve has no weight"
        );
        debug_assert!(self.due >= self.started, "the next probe follows the last");
        debug_assert!(
            self.named.is_none_or(|(_, times)| times < self.policy.rise),
            "a role named often enough is believed"
        );
    }
}

/// What a monitor asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the contract of `poll`: a driver handles all of it"
)]
pub enum Action<R = ()> {
    /// Probe the target now and report the result.
    Probe(Probe),
    /// A belief changed, because a probe was not heard of before its deadline.
    Changed(Change<R>),
    /// Nothing to do before this instant, unless a result arrives.
    WaitUntil(Instant),
}

/// A probe in flight: the right to report one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    sequence: u64,
    deadline: Instant,
}

impl Probe {
    /// From this instant on the probe counts as failed, and its result as late.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_cannot_be_is_noticed() {
        let wrong: [fn(&mut Monitor<u8>); 3] = [
            |it| it.status.weight = State::Up.weight(),
            |it| it.started = it.due + Duration::from_nanos(1),
            |it| it.named = Some((1, it.policy.rise)),
        ];
        #[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
        let now = Instant::now();
        for spoil in wrong {
            let mut monitor = Monitor::with_valid(MonitorPolicy::new(), 1, now);
            monitor.check();
            spoil(&mut monitor);
            assert!(catch_unwind(AssertUnwindSafe(|| monitor.check())).is_err());
        }
    }
}
