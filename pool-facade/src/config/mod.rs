//! Everything that can be set, in one value.

use std::fmt;
use std::time::Duration;

/// The settings of a pool.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Config {
    /// Each node's connections.
    pub pool: pool_core::Config,
    /// When calls are tried again.
    pub retry: RetryConfig,
}

/// When calls are tried again.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// The most attempts of one call, the first included. Default: 3.
    pub max_attempts: u32,
    /// The delay before the second attempt. Default: 50 ms.
    pub initial_delay: Duration,
    /// The longest delay. Default: 1 s.
    pub max_delay: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_delay: Duration::from_millis(50),
            max_delay: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Checks every rule.
    ///
    /// # Errors
    ///
    /// All violations at once.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        self.pool
            .validate()
            .map_err(|errors| ConfigErrors(errors.violations().to_vec()))
    }
}

/// Every setting that breaks a rule; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<pool_core::Violation>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration")?;
        for violation in &self.0 {
            write!(
                f,
                "; {} = {}: {}",
                violation.field, violation.value, violation.rule
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
