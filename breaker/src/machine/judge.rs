//! The decisions of the machine, and the one place where it changes state.

use std::time::Duration;

use super::{Calm, EVENTS_KEPT, Machine};
use crate::config::{OpenTime, nanos};
use crate::event::{Change, Event};
use crate::limit::Limit;
use crate::probes::{Probes, Rule, Verdict};
use crate::rejected::Rejected;
use crate::state::{Cause, Mode, State, edge};
use crate::ticket::Stamp;
use crate::window::{Counts, Kind, share, wilson_lower};

impl Machine {
    /// While closed, and while open until its time is over, a call learns the answer from the state
    /// alone; only where it changes something does time pass for the machine.
    pub(super) fn judge_admission(&mut self, now_ns: u64) -> Result<(), Rejected> {
        if matches!(self.state, State::Degraded | State::HalfOpen) {
            self.on_time(now_ns);
        }
        if self.state == State::Open {
            let left_ns = self.open_until_ns.saturating_sub(now_ns);
            if left_ns > 0 {
                return Err(Rejected::Open {
                    retry_after: Duration::from_nanos(left_ns),
                });
            }
            self.on_time(now_ns);
            self.go(Cause::WaitOver, now_ns);
        }
        if self.state == State::HalfOpen && !self.probes.issue(self.config.half_open.probes) {
            let left_ns = self.probes.deadline_ns().saturating_sub(now_ns);
            return Err(Rejected::ProbesBusy {
                retry_after: Duration::from_nanos(left_ns),
            });
        }
        if self.state == State::Degraded && !self.limit.admits(self.current_calls()) {
            self.calm = None;
            // Calls that never end would hold the limit for ever: where nothing has been heard for
            // as long as probes are waited for, one call goes in on top of them.
            let silent_ns = now_ns.saturating_sub(self.heard_ns);
            if silent_ns < self.config.half_open_deadline_ns() {
                return Err(Rejected::Limited {
                    retry_after: Limit::CUT_INTERVAL,
                });
            }
            self.heard_ns = now_ns;
        }
        Ok(())
    }

    pub(super) fn judge_result(&mut self, kind: Kind, slow: bool, stamp: Stamp, now_ns: u64) {
        if self.mode != Mode::Automatic {
            return;
        }
        if self.state == State::HalfOpen {
            let verdict = self
                .probes
                .on_result(kind == Kind::Success && !slow, self.rule());
            self.go_by(verdict, Cause::ProbesFailed, now_ns);
            return;
        }
        if kind != Kind::Success && stamp.degraded() {
            self.limit.on_failed(stamp.started_ns);
        }
        if let Some(cause) = self.opening_cause() {
            self.go(cause, now_ns);
            return;
        }
        let Some(degraded) = self.config.degraded else {
            return;
        };
        self.heard_ns = now_ns;
        match kind {
            Kind::Overload => {
                if self.limit.overloaded(&self.evidence, degraded.overload) {
                    if self.state == State::Closed {
                        self.go(Cause::Overload, now_ns);
                    }
                    self.limit.on_overload(self.current_calls(), now_ns);
                }
            }
            Kind::Success => self.limit.on_success(self.current_calls()),
            Kind::Failure => {}
        }
        if self.state == State::Degraded {
            self.judge_calm(kind == Kind::Success, now_ns);
        } else if let Some(cause) = self.degrading_cause() {
            self.go(cause, now_ns);
        }
    }

    /// Whether the evidence as it stands asks for a transition downwards.
    pub(super) fn judge_evidence(&mut self, now_ns: u64) {
        if self.mode == Mode::Automatic && matches!(self.state, State::Closed | State::Degraded) {
            if let Some(cause) = self.opening_cause().or_else(|| self.degrading_cause()) {
                self.go(cause, now_ns);
            }
        }
    }

    pub(super) fn judge_deadline(&mut self, now_ns: u64) {
        let late = self.state == State::HalfOpen && now_ns >= self.probes.deadline_ns();
        if late && self.mode == Mode::Automatic {
            let verdict = self.probes.on_deadline(self.rule());
            self.go_by(Some(verdict), Cause::ProbesLate, now_ns);
        }
    }

    pub(super) fn judge_health(&mut self, healthy: u32, total: u32, now_ns: u64) {
        let Some(rule) = self.config.health else {
            return;
        };
        if self.mode != Mode::Automatic {
            return;
        }
        let part = share(u64::from(healthy), u64::from(total));
        if part < rule.degrade {
            self.health_low = true;
            self.calm = None;
        } else if part > rule.recover {
            self.health_low = false;
        }
        match self.state {
            State::Closed | State::Degraded | State::HalfOpen if healthy == 0 => {
                self.go(Cause::HealthGone, now_ns);
            }
            State::Closed if self.health_low && self.config.degraded.is_some() => {
                self.go(Cause::HealthLow, now_ns);
            }
            State::Open if part > rule.recover => self.go(Cause::HealthBack, now_ns),
            // A good report is worth a good call, so that a breaker without calls can recover too.
            State::HalfOpen if part > rule.recover => {
                let verdict = self.probes.on_result(true, self.rule());
                self.go_by(verdict, Cause::ProbesFailed, now_ns);
            }
            State::Degraded if part > rule.recover => self.judge_calm(true, now_ns),
            _ => {}
        }
    }

    /// Leaves the degraded state when results have been good for long enough. Silence is no result.
    fn judge_calm(&mut self, good: bool, now_ns: u64) {
        let Some(degraded) = self.config.degraded else {
            return;
        };
        let counts = self.evidence.counts();
        let slow = self.config.slow.and_then(|rule| rule.degrade);
        if counts.failure_rate() >= degraded.leave
            || slow.is_some_and(|rate| counts.slow_rate() >= rate)
            || self.health_low
        {
            self.calm = None;
            return;
        }
        let calm = self.calm.get_or_insert(Calm {
            since_ns: now_ns,
            results: 0,
        });
        calm.results = calm.results.saturating_add(1);
        let held = now_ns.saturating_sub(calm.since_ns) >= nanos(degraded.hold);
        if good && held && calm.results >= self.config.minimum_calls {
            self.go(Cause::Calm, now_ns);
        }
    }

    fn opening_cause(&self) -> Option<Cause> {
        let counts = self.evidence.counts();
        if self
            .config
            .consecutive
            .is_some_and(|row| counts.streak >= u64::from(row))
        {
            return Some(Cause::Consecutive);
        }
        if self.config.failure_rate.is_some() && self.limit.is_futile() {
            return Some(Cause::LimitFutile);
        }
        // As long as there is a limit to shrink, it is the answer to overload.
        let bad = match self.config.degraded {
            Some(_) => counts.failures,
            None => counts.failures + counts.overloads,
        };
        if self.reaches(bad, counts.total(), self.config.failure_rate) {
            return Some(Cause::FailureRate);
        }
        let (slow, total) = self.slow_calls();
        let threshold = self.config.slow.and_then(|rule| rule.open);
        self.reaches(slow, total, threshold)
            .then_some(Cause::SlowRate)
    }

    fn degrading_cause(&self) -> Option<Cause> {
        if self.state != State::Closed {
            return None;
        }
        let degraded = self.config.degraded?;
        let enough = |total| total >= u64::from(self.config.minimum_calls);
        let counts = self.evidence.counts();
        if enough(counts.total()) && counts.failure_rate() >= degraded.enter {
            return Some(Cause::ManyFailures);
        }
        let threshold = self.config.slow?.degrade?;
        let (slow, total) = self.slow_calls();
        (enough(total) && share(slow, total) >= threshold).then_some(Cause::ManySlow)
    }

    /// Slow calls, those still running included, and the results that they are a share of.
    fn slow_calls(&self) -> (u64, u64) {
        let counts = self.evidence.counts();
        let overdue = self.overdue.as_ref().map_or(0, |overdue| overdue.count());
        (counts.slow + overdue, counts.total() + overdue)
    }

    fn reaches(&self, part: u64, total: u64, threshold: Option<f64>) -> bool {
        let proven = || match self.config.confidence {
            Some(z) => wilson_lower(part, total, z),
            None => share(part, total),
        };
        total >= u64::from(self.config.minimum_calls)
            && threshold.is_some_and(|threshold| proven() >= threshold)
    }

    const fn rule(&self) -> Rule {
        let half_open = self.config.half_open;
        Rule {
            probes: half_open.probes,
            successes: half_open.successes,
        }
    }

    fn go_by(&mut self, verdict: Option<Verdict>, failed: Cause, now_ns: u64) {
        match verdict {
            Some(Verdict::Passed) => self.go(Cause::ProbesPassed, now_ns),
            Some(Verdict::Failed) => self.go(failed, now_ns),
            None => {}
        }
    }

    /// Takes the edge that `cause` names.
    pub(super) fn go(&mut self, cause: Cause, now_ns: u64) {
        let from = self.state;
        let to = edge(from, cause).expect("a cause is only named where it has an edge");
        let counts = self.evidence.counts();
        if from == State::Closed {
            self.forget_openings(now_ns);
        }
        self.state = to;
        if (from, to) != (State::Closed, State::Degraded) {
            self.clear_evidence();
            self.limit.lift();
        }
        self.heard_ns = now_ns;
        let mut open_for = None;
        match to {
            State::Closed => {
                self.closed_since_ns = now_ns;
                self.limit = Limit::default();
            }
            State::Open => open_for = Some(self.open(now_ns)),
            State::HalfOpen => {
                let deadline_ns = now_ns.saturating_add(self.config.half_open_deadline_ns());
                self.probes = Probes::new(deadline_ns);
            }
            State::Degraded if from == State::HalfOpen => {
                self.limit.start(self.config.half_open.successes);
            }
            State::Degraded => {}
        }
        self.tell(
            Change::Transition {
                from,
                to,
                cause,
                open_for,
            },
            counts,
            now_ns,
        );
        if to == State::Degraded && self.config.degraded.is_none() {
            self.go(Cause::Unlimited, now_ns);
        }
    }

    /// Starts an open time and returns it.
    fn open(&mut self, now_ns: u64) -> Duration {
        self.openings = self.openings.saturating_add(1);
        self.totals.openings += 1;
        let wait_ns = match self.config.open_time {
            OpenTime::Constant(time) => nanos(time),
            OpenTime::Exponential { first, max } => {
                let doublings = (self.openings - 1).min(63);
                let full_ns = nanos(first).saturating_mul(1 << doublings).min(nanos(max));
                full_ns - self.random_up_to(full_ns / 2)
            }
        };
        self.opened_ns = now_ns;
        self.open_until_ns = now_ns.saturating_add(wait_ns).max(self.hint_until_ns);
        Duration::from_nanos(self.open_until_ns - now_ns)
    }

    /// One opening per healthy interval.
    fn forget_openings(&mut self, now_ns: u64) {
        let closed_ns = now_ns.saturating_sub(self.closed_since_ns);
        let intervals = closed_ns / nanos(self.config.forget_opening);
        self.openings = self
            .openings
            .saturating_sub(u32::try_from(intervals).unwrap_or(u32::MAX));
    }

    /// Calls in flight that this epoch admitted.
    pub(super) const fn current_calls(&self) -> u64 {
        self.in_flight.saturating_sub(self.strays)
    }

    pub(super) fn clear_evidence(&mut self) {
        self.epoch += 1;
        self.strays = self.in_flight;
        self.evidence.clear();
        self.limit.forget_evidence();
        self.calm = None;
        if let Some(overdue) = &mut self.overdue {
            overdue.clear();
        }
    }

    pub(super) fn tell(&mut self, change: Change, counts: Counts, now_ns: u64) {
        self.sequence += 1;
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
            self.totals.events_lost += 1;
        }
        let at = self
            .base
            .checked_add(Duration::from_nanos(now_ns))
            .unwrap_or(self.base);
        let (sequence, epoch) = (self.sequence, self.epoch);
        self.events.push_back(Event {
            sequence,
            epoch,
            at,
            change,
            counts,
        });
    }

    /// Uniform in `0..=most`, by the high half of a product.
    pub(super) fn random_up_to(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let scaled = (u128::from(mixed) * (u128::from(most) + 1)) >> 64;
        u64::try_from(scaled).expect("the high half of a product of 64-bit numbers fits")
    }
}
