//! The settings of a balancer.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The settings of a [`Balancer`](super::Balancer), each at its default unless set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a policy does nothing until a balancer is made with it"]
pub struct Policy {
    pub(super) probe_interval: Duration,
    pub(super) slow_start: Duration,
    pub(super) damping: Duration,
    pub(super) longest_damping: Duration,
    pub(super) panic_percent: u8,
}

impl Policy {
    /// Probes of nodes out of the rotation 1 s apart, slow start within 10 s, damping from 1 s to
    /// 30 s, panic below 50 percent.
    pub const fn new() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            slow_start: Duration::from_secs(10),
            damping: Duration::from_secs(1),
            longest_damping: Duration::from_secs(30),
            panic_percent: 50,
        }
    }

    /// How often a node that is slow, failing or down is probed.
    pub const fn probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = interval;
        self
    }

    /// How long a node that is new or back takes from a tenth of its weight to all of it.
    pub const fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// How long a node's standing is left as it is after a change: at first, and at most. It doubles
    /// each time that the node gets worse within 30 s, or twice as long as it was left, of probes
    /// having brought it back, unless calls have proved the probes right in between.
    pub const fn damping(mut self, first: Duration, longest: Duration) -> Self {
        self.damping = first;
        self.longest_damping = longest;
        self
    }

    /// Below which share of serving nodes health is ignored, and all are in the rotation: then it
    /// is more likely that the judgement is wrong, and those left would break under the load of
    /// all.
    pub const fn panic_percent(mut self, percent: u8) -> Self {
        self.panic_percent = percent;
        self
    }

    /// Names every rule that the policy breaks.
    ///
    /// # Errors
    ///
    /// If it breaks any.
    pub fn check(&self) -> Result<(), PolicyErrors> {
        let mut violations = Vec::new();
        for (field, value) in [
            ("probe_interval", self.probe_interval),
            ("slow_start", self.slow_start),
            ("damping", self.damping),
            ("longest_damping", self.longest_damping),
        ] {
            if !(SHORTEST..=LONGEST).contains(&value) {
                violations.push(Violation {
                    field,
                    value: format!("{value:?}"),
                    rule: "must be from 10ms to 1h",
                });
            }
        }
        if self.longest_damping < self.damping {
            violations.push(Violation {
                field: "longest_damping",
                value: format!("{:?}", self.longest_damping),
                rule: "must not be less than damping",
            });
        }
        if self.panic_percent > 100 {
            violations.push(Violation {
                field: "panic_percent",
                value: self.panic_percent.to_string(),
                rule: "must be at most 100",
            });
        }
        if violations.is_empty() {
            return Ok(());
        }
        Err(PolicyErrors(violations))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// Every rule that a policy breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors(Vec<Violation>);

impl PolicyErrors {
    /// The broken rules, never none.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid balancing policy")?;
        for (position, violation) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { "; " })?;
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for PolicyErrors {}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The setting concerned.
    pub field: &'static str,
    /// The value that was given.
    pub value: String,
    /// What would have been acceptable.
    pub rule: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but {}", self.field, self.value, self.rule)
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3600);
