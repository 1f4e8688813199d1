//! Everything that can be set, in one value, and where it comes from.
//!
//! A [`Config`] is a plain value: take its default or a preset, change fields, and give it to the
//! builder. [`Sources`] makes one from documents, URL parameters and environment variables.
//! Whatever is wrong, all of it is named at once, with field, value, rule and origin.
//!
//! The invariant: a setting has one name, one text form and one place in the list
//! (`fields.rs`); files, URLs, the environment, printing and live changes all go by that list.
//!
//! # Text forms
//!
//! | kind | examples |
//! |---|---|
//! | time | `250ms`, `30s`, `10m`, `1h 30m`; a unit is a must, zero is an error |
//! | no limit, or none | `none`, `null` where the format has it |
//! | share | `0.25`, `25%`; of tokens also `1/10` |
//! | [`pool.check`](pool_core::Config::check) | `always`, `never`, or the idle time after which: `30s` |
//! | [`breaker.window`](BreakerConfig::window) | `10 x 100ms`, `50 calls` |
//! | [`breaker.open_time`](BreakerConfig::open_time) | `30s`, `250ms..2s` |
//! | [`retry.jitter`](RetryConfig::jitter) | `none`, `full`, `equal`, `10%` for plus or minus so much |
//!
//! The settings of the connections, [`Config::pool`], stand at the top: `max_size`, not
//! `pool.max_size`.

mod breaker;
#[cfg(feature = "serde")]
mod document;
mod fields;
mod loaded;
mod presets;
mod rules;
mod sections;
mod setting;
mod sources;
mod url;

use std::fmt;
use std::time::Duration;

pub use self::breaker::{BreakerConfig, DegradedConfig, HalfOpenConfig, SlowConfig};
#[cfg(feature = "serde")]
pub use document::Document;
pub use loaded::Loaded;
pub use rules::{ConfigErrors, Violation};
pub(crate) use rules::{check, check_span};
pub use sections::{BalanceConfig, BudgetConfig, ConnectConfig, HealthConfig, RetryConfig};
pub use sources::{Origin, Sources};

use loaded::toml_value;

/// The settings of a pool and of everything around it.
///
/// ```
/// use std::time::Duration;
/// use pool_facade::Config;
///
/// let mut config = Config::default();
/// config.pool.max_size = 20;
/// config.retry.max_attempts = 2;
/// config.breaker.consecutive = None;
/// config.close_grace = Duration::ZERO;
/// let errors = config.validate().unwrap_err();
/// assert_eq!(errors.violations()[0].field, "close_grace");
/// ```
///
/// `Display` prints every setting as a TOML document that reads back as the same value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Each node's connections.
    pub pool: pool_core::Config,
    /// When connecting is tried again.
    pub connect: ConnectConfig,
    /// When calls are tried again.
    pub retry: RetryConfig,
    /// Each node's breaker.
    pub breaker: BreakerConfig,
    /// How calls are spread over nodes.
    pub balance: BalanceConfig,
    /// How nodes are probed.
    pub health: HealthConfig,
    /// The time that lent connections have to come back when the pool shuts down. Default: 10 s.
    pub close_grace: Duration,
}

impl Config {
    /// Checks every rule.
    ///
    /// # Errors
    ///
    /// All violations at once.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        ConfigErrors::unless_empty(check(self))
    }

    /// What must change in a running pool to get from these settings to `new`.
    ///
    /// # Errors
    ///
    /// What is wrong with `new`, and every difference that takes a new pool; then nothing must
    /// change.
    pub fn diff_live(&self, new: &Self) -> Result<Vec<Change>, ConfigErrors> {
        let mut violations = check(new);
        let mut changes = Vec::new();
        for (old, new) in self.texts().into_iter().zip(new.texts()) {
            if old.text == new.text {
                continue;
            }
            if !new.live {
                violations.push(Violation {
                    field: new.path.into(),
                    value: new.text,
                    rule: format!(
                        "must stay {} while the pool runs; build a new pool",
                        old.text
                    ),
                    origin: None,
                });
                continue;
            }
            changes.push(Change {
                field: new.path,
                from: old.text,
                to: new.text,
            });
        }
        ConfigErrors::unless_empty(violations).map(|()| changes)
    }
}

impl Default for Config {
    /// For a server that others use too and that can be overloaded; each field names its default.
    fn default() -> Self {
        Self {
            pool: pool_core::Config::default(),
            connect: ConnectConfig::default(),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
            balance: BalanceConfig::default(),
            health: HealthConfig::default(),
            close_grace: Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for it in self.texts() {
            writeln!(f, "{} = {}", it.path, toml_value(&it.text))?;
        }
        Ok(())
    }
}

/// One setting that a running pool can take over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The name of the setting.
    pub field: &'static str,
    /// What it was.
    pub from: String,
    /// What it becomes.
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} becomes {}", self.field, self.from, self.to)
    }
}

/// The examples of the guide, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_lists_every_setting_with_its_default() {
        let guide = include_str!("../../README.md");
        let settings = Config::default().to_string();
        assert!(
            guide.contains(&format!("```toml\n{settings}```")),
            "{settings}"
        );
    }
}
