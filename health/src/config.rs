//! What is wrong with a configuration, all of it at once.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Every rule that a configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    violations: Vec<Violation>,
}

impl ConfigErrors {
    /// The broken rules, in the order of the fields; never empty.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid health configuration")?;
        for (position, violation) in self.violations.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { "; " })?;
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    field: &'static str,
    value: String,
    rule: &'static str,
}

impl Violation {
    /// The setting concerned, such as `monitor.interval`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would have been acceptable.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but {}", self.field, self.value, self.rule)
    }
}

/// Collects violations while a policy is examined.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    violations: Vec<Violation>,
}

impl Rules {
    pub(crate) fn require(
        &mut self,
        holds: bool,
        field: &'static str,
        value: impl fmt::Debug,
        rule: &'static str,
    ) {
        if !holds {
            let value = format!("{value:?}");
            self.violations.push(Violation { field, value, rule });
        }
    }

    /// The upper bound keeps every sum of an `Instant` and a span representable.
    pub(crate) fn span(&mut self, field: &'static str, value: Duration) {
        let range = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
        self.require(
            range.contains(&value),
            field,
            value,
            "must be from 1ms to 24h",
        );
    }

    pub(crate) fn count(&mut self, field: &'static str, value: u32) {
        self.require(
            (1..=1_000_000).contains(&value),
            field,
            value,
            "must be from 1 to 1000000",
        );
    }

    pub(crate) fn percent(&mut self, field: &'static str, value: u8) {
        self.require(value <= 100, field, value, "must be at most 100 percent");
    }

    pub(crate) fn finish(self) -> Result<(), ConfigErrors> {
        if self.violations.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors {
            violations: self.violations,
        })
    }
}
