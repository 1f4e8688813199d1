//! What is wrong with a configuration: every violation, not just the first.

use core::{fmt, time::Duration};

#[cfg(feature = "std")]
use crate::budget::BudgetBuilder;
use crate::{policy::PolicyBuilder, ratio::Ratio};

/// One broken rule of a [`Policy`](crate::Policy) or a `Budget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A span that must last is zero.
    ZeroDuration {
        /// The setting.
        field: &'static str,
    },
    /// A number that must count is zero.
    ZeroNumber {
        /// The setting.
        field: &'static str,
    },
    /// The longest delay is shorter than the first one.
    CapBelowBase {
        /// The longest delay allowed.
        cap: Duration,
        /// The first delay.
        base: Duration,
    },
    /// An exponential delay would not grow.
    FactorNotAboveOne {
        /// The growth per attempt.
        factor: Ratio,
    },
    /// Plus or minus more than the delay itself, or a zero denominator.
    JitterNotAFraction {
        /// The share of the delay by which it varies.
        fraction: Ratio,
    },
    /// A setting that this kind of policy does not have.
    Unused {
        /// The setting.
        field: &'static str,
        /// The kind of policy that has it.
        belongs_to: &'static str,
    },
    /// A deposit of nothing, of more than the budget holds, or over a zero denominator.
    DepositOutOfRange {
        /// The deposit per success.
        deposit: Ratio,
        /// What the budget holds at most.
        capacity: u32,
    },
    /// A number of tokens that the budget can never hold.
    AboveCapacity {
        /// The setting.
        field: &'static str,
        /// Its value.
        tokens: u32,
        /// What the budget holds at most.
        capacity: u32,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroDuration { field } => write!(f, "{field} is 0 s: must be longer than zero"),
            Self::ZeroNumber { field } => write!(f, "{field} is 0: must be at least 1"),
            Self::CapBelowBase { cap, base } => {
                write!(f, "cap is {cap:?}: must be at least the base, {base:?}")
            }
            Self::FactorNotAboveOne { factor } => {
                write!(f, "factor is {factor}: must be a fraction above 1")
            }
            Self::JitterNotAFraction { fraction } => {
                write!(f, "jitter is {fraction}: must be a fraction from 0 to 1")
            }
            Self::Unused { field, belongs_to } => {
                write!(f, "{field} is set: only {belongs_to} has it")
            }
            Self::DepositOutOfRange { deposit, capacity } => {
                write!(
                    f,
                    "deposit is {deposit}: must be above 0 and at most the capacity, {capacity}"
                )
            }
            Self::AboveCapacity {
                field,
                tokens,
                capacity,
            } => {
                write!(
                    f,
                    "{field} is {tokens}: must be at most the capacity, {capacity}"
                )
            }
        }
    }
}

impl core::error::Error for ConfigError {}

/// Every broken rule of a configuration, in the order of its settings. Never empty.
#[derive(Clone, Copy)]
pub struct ConfigErrors {
    refused: Refused,
}

/// The settings, from which the violations are found again when asked for: a list of them would
/// make every `Result` of a builder a third of a kilobyte, and there is no `alloc` to box it.
#[derive(Clone, Copy)]
enum Refused {
    Policy(PolicyBuilder),
    #[cfg(feature = "std")]
    Budget(BudgetBuilder),
}

impl ConfigErrors {
    pub(crate) const fn of_policy(settings: PolicyBuilder) -> Self {
        Self {
            refused: Refused::Policy(settings),
        }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn of_budget(settings: BudgetBuilder) -> Self {
        Self {
            refused: Refused::Budget(settings),
        }
    }

    /// The violations.
    pub fn iter(&self) -> impl Iterator<Item = ConfigError> {
        let Violations { found, .. } = match &self.refused {
            Refused::Policy(settings) => settings.violations(),
            #[cfg(feature = "std")]
            Refused::Budget(settings) => settings.violations(),
        };
        found.into_iter().flatten()
    }
}

impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigErrors {}

/// A list that can be made in a `const`.
pub(crate) struct Violations {
    found: [Option<ConfigError>; MAX_VIOLATIONS],
    count: usize,
}

impl Violations {
    pub(crate) const fn none() -> Self {
        Self {
            found: [None; MAX_VIOLATIONS],
            count: 0,
        }
    }

    pub(crate) const fn push(&mut self, error: ConfigError) {
        self.found[self.count] = Some(error);
        self.count += 1;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// No configuration can break more rules than this at once.
const MAX_VIOLATIONS: usize = 8;
