//! Who fails real work: passive accrual and bounded ejection.
//!
//! Probes ask a target how it is; outcomes of real operations show it. The two can disagree, and
//! then the operations are right: this machine never hears of a probe, so no good probe ends an
//! ejection or clears a failure. An ejection ends by its time alone, 30 s for the first, 60 s for
//! the next and so on up to 300 s, and each healthy interval takes one step back. A target whose
//! probes lie therefore changes sides at most twice per ejection, ever more slowly.
//!
//! Three rules eject: failures in a row, at once; a moving average of failures; and, once per
//! interval, a success rate far below that of the group. The invariant: an ejection never leaves
//! more than the allowed share of the group ejected, counted after it.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use health::{Cause, Outcome, Outlier, OutlierPolicy};
//!
//! let now = Instant::now();
//! let mut outlier = Outlier::new(OutlierPolicy::new(), now)?;
//! let [bad, _good] = [outlier.insert(), outlier.insert()];
//! for _ in 0..4 {
//!     assert_eq!(outlier.record(bad, Outcome::Failure, now), None);
//! }
//! let ejection = outlier.record(bad, Outcome::Failure, now).expect("five in a row");
//! assert_eq!(ejection.cause, Cause::Consecutive);
//! assert_eq!(ejection.until, now + Duration::from_secs(30));
//! # Ok::<(), health::ConfigErrors>(())
//! ```

mod policy;

use std::time::Instant;

use crate::target::Targets;
use crate::timetable::Timetable;
use crate::{ConfigErrors, TargetId};

pub use policy::OutlierPolicy;

/// The members of a group, judged by their outcomes.
#[derive(Debug, Clone)]
pub struct Outlier {
    policy: OutlierPolicy,
    records: Targets<Record>,
    returns: Timetable,
    evaluate_at: Instant,
    /// How far the evaluation in progress has come, and the success rate that it demands.
    pass: Option<Pass>,
    spared: u64,
}

#[derive(Debug, Clone, Default)]
struct Record {
    consecutive: u32,
    error_rate: f64,
    results: u32,
    interval_successes: u32,
    interval_results: u32,
    multiplier: u32,
    ejected_until: Option<Instant>,
    /// When the last ejection ended, if there was one.
    returned_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Pass {
    next: u32,
    demanded: Option<f64>,
}

impl Outlier {
    /// A detector without members.
    ///
    /// # Errors
    /// If the policy breaks a rule.
    pub fn new(policy: OutlierPolicy, now: Instant) -> Result<Self, ConfigErrors> {
        policy.validate()?;
        Ok(Self::with_valid(policy, now))
    }

    /// Adds a member.
    pub fn insert(&mut self) -> TargetId {
        let id = self.records.insert(Record::default());
        self.returns.reserve(self.records.bound());
        id
    }

    /// Removes a member; false if it is none.
    pub fn remove(&mut self, id: TargetId) -> bool {
        let removed = self.records.remove(id).is_some();
        if removed {
            self.returns.remove(id.index());
        }
        self.check();
        removed
    }

    /// Takes the outcome of a real operation. Outcomes of a member that is ejected, or of none,
    /// change nothing: the operation was started before, or out of despair.
    pub fn record(&mut self, id: TargetId, outcome: Outcome, now: Instant) -> Option<Ejection> {
        let record = self.records.get_mut(id)?;
        if record.ejected_until.is_some() {
            return None;
        }
        record.add(outcome);
        let cause = match outcome {
            Outcome::Success => return None,
            Outcome::Failure if record.consecutive >= self.policy.consecutive => Cause::Consecutive,
            Outcome::Failure
                if record.results >= self.policy.minimum_results
                    && record.error_rate * 100.0 >= f64::from(self.policy.error_percent) =>
            {
                Cause::ErrorRate
            }
            Outcome::Failure => return None,
        };
        self.eject(id, cause, now)
    }

    /// Ends ejections and evaluates the group. Call it again until it says nothing.
    pub fn poll(&mut self, now: Instant) -> Option<OutlierEvent> {
        if let Some((_, index)) = self.returns.first().filter(|(until, _)| *until <= now) {
            self.returns.remove(index);
            let (id, record) = self
                .records
                .at_mut(index)
                .expect("only members are ejected");
            *record = Record {
                multiplier: record.multiplier,
                returned_at: Some(now),
                ..Record::default()
            };
            self.check();
            return Some(OutlierEvent::Returned(id));
        }
        if self.pass.is_none() && self.evaluate_at <= now {
            let late = now.saturating_duration_since(self.evaluate_at);
            let periods = late.as_nanos() / self.policy.interval.as_nanos() + 1;
            self.evaluate_at += self.policy.interval * u32::try_from(periods).unwrap_or(u32::MAX);
            self.pass = Some(Pass {
                next: 0,
                demanded: self.demanded_rate(),
            });
        }
        self.continue_pass(now)
    }

    /// When `poll` will have something to do, if nothing happens before.
    #[must_use]
    pub fn next_at(&self) -> Instant {
        let evaluate_at = self.evaluate_at;
        self.returns
            .first_at()
            .map_or(evaluate_at, |until| until.min(evaluate_at))
    }

    /// Until when a member is ejected, if it is.
    #[must_use]
    pub fn ejected_until(&self, id: TargetId) -> Option<Instant> {
        self.records.get(id)?.ejected_until
    }

    /// The moving average of a member's failures, in [0, 1]; `None` if it is no member.
    #[must_use]
    pub fn error_rate(&self, id: TargetId) -> Option<f64> {
        Some(self.records.get(id)?.error_rate)
    }

    /// How many members are ejected.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.returns.len()
    }

    /// How many ejections the limit has prevented.
    #[must_use]
    pub const fn spared(&self) -> u64 {
        self.spared
    }

    pub(crate) fn with_valid(policy: OutlierPolicy, now: Instant) -> Self {
        Self {
            policy,
            records: Targets::new(),
            returns: Timetable::default(),
            evaluate_at: now + policy.interval,
            pass: None,
            spared: 0,
        }
    }

    fn continue_pass(&mut self, now: Instant) -> Option<OutlierEvent> {
        let mut pass = self.pass.take()?;
        while (pass.next as usize) < self.records.bound() {
            let index = pass.next;
            pass.next += 1;
            let Some((id, record)) = self.records.at_mut(index) else {
                continue;
            };
            let rate = record.success_rate(self.policy.success_minimum);
            record.interval_successes = 0;
            record.interval_results = 0;
            if record.ejected_until.is_some() {
                continue;
            }
            if !matches!((rate, pass.demanded), (Some(rate), Some(demanded)) if rate < demanded) {
                let served = |at| now.saturating_duration_since(at) >= self.policy.interval;
                if record.returned_at.is_none_or(served) {
                    record.multiplier = record.multiplier.saturating_sub(1);
                }
                continue;
            }
            if let Some(ejection) = self.eject(id, Cause::SuccessRate, now) {
                self.pass = Some(pass);
                return Some(OutlierEvent::Ejected(ejection));
            }
        }
        self.check();
        None
    }

    /// Mean minus 1.9 standard deviations of the success rates, if there are enough of them.
    fn demanded_rate(&self) -> Option<f64> {
        let minimum = self.policy.success_minimum;
        let rates = || {
            self.records
                .iter()
                .filter_map(|(_, record)| record.success_rate(minimum))
        };
        let members = rates().count();
        if members < self.policy.success_members as usize {
            return None;
        }
        let mean = rates().sum::<f64>() / members as f64;
        let variance = rates().map(|rate| (rate - mean).powi(2)).sum::<f64>() / members as f64;
        Some(mean - DEVIATIONS * variance.sqrt())
    }

    fn eject(&mut self, id: TargetId, cause: Cause, now: Instant) -> Option<Ejection> {
        let ejected = self.returns.len() as u64 + 1;
        let allowed = u64::from(self.records.len()) * u64::from(self.policy.ejected_percent);
        if ejected * 100 > allowed {
            self.spared += 1;
            return None;
        }
        let record = self.records.get_mut(id)?;
        record.multiplier = record.multiplier.saturating_add(1);
        let time = self.policy.base_ejection.saturating_mul(record.multiplier);
        let until = now + time.min(self.policy.max_ejection);
        record.ejected_until = Some(until);
        // The multiplier is worth no more than the longest ejection, or it would never decay.
        if time > self.policy.max_ejection {
            record.multiplier -= 1;
        }
        self.returns.set(id.index(), until);
        self.check();
        Some(Ejection {
            target: id,
            until,
            cause,
        })
    }

    fn check(&self) {
        debug_assert!(
            self.returns.len() <= self.records.len() as usize,
            "only members are ejected"
        );
    }
}

impl Record {
    fn add(&mut self, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Success => {
                self.consecutive = 0;
                self.interval_successes = self.interval_successes.saturating_add(1);
                0.0
            }
            Outcome::Failure => {
                self.consecutive = self.consecutive.saturating_add(1);
                1.0
            }
        };
        self.interval_results = self.interval_results.saturating_add(1);
        self.results = self.results.saturating_add(1);
        self.error_rate += ERROR_SHARE * (failed - self.error_rate);
    }

    fn success_rate(&self, minimum: u32) -> Option<f64> {
        (self.interval_results >= minimum)
            .then(|| f64::from(self.interval_successes) / f64::from(self.interval_results))
    }
}

/// How a real operation ended. What says nothing about the target, such as an error of the
/// caller's or a wait in a queue, is not recorded at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is no third kind of evidence"
)]
pub enum Outcome {
    /// The target did what it was asked.
    Success,
    /// It did not, and it is to blame.
    Failure,
}

/// A member that gets no work for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ejection {
    /// Which one.
    pub target: TargetId,
    /// Until when.
    pub until: Instant,
    /// By which rule.
    pub cause: Cause,
}

/// The rule that ejected a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cause {
    /// Failures in a row.
    Consecutive,
    /// The moving average of failures.
    ErrorRate,
    /// A success rate far below that of the group.
    SuccessRate,
}

/// What [`Outlier::poll`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a member can only leave and come back"
)]
pub enum OutlierEvent {
    /// A member was ejected.
    Ejected(Ejection),
    /// The ejection of a member is over.
    Returned(TargetId),
}

/// Weight of one result in the moving average of failures.
const ERROR_SHARE: f64 = 0.1;
/// The factor of gRPC proposal A50.
const DEVIATIONS: f64 = 1.9;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn an_ejection_of_nobody_is_noticed() {
        #[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
        let now = Instant::now();
        let mut outlier = Outlier::with_valid(OutlierPolicy::new(), now);
        let id = outlier.insert();
        outlier.check();
        outlier.returns.set(id.index(), now);
        outlier.check();
        outlier.records.remove(id);
        assert!(catch_unwind(AssertUnwindSafe(|| outlier.check())).is_err());
    }
}
