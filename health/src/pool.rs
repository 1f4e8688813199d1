//! How a pool is doing, in one word and in sentences.
//!
//! ```
//! use health::{PoolLevel, PoolMonitor, PoolReading, PoolThresholds};
//!
//! let mut monitor = PoolMonitor::new(PoolThresholds::new())?;
//! let mut reading = PoolReading::default();
//! reading.in_use = 15;
//! reading.limit = 20;
//! reading.waiting = 2;
//! let health = monitor.assess(&reading);
//! assert_eq!(health.level, PoolLevel::Warning);
//! assert_eq!(health.to_string(), "warning: 15 of 20 connections in use; 2 callers waiting");
//! # Ok::<(), health::ConfigErrors>(())
//! ```

use std::fmt;
use std::time::Duration;

use crate::ConfigErrors;
use crate::config::Rules;

/// Judges readings of a pool. Utilisation has hysteresis: a level is left only well below where it
/// was entered, so that a pool at the border does not page on every tick.
#[derive(Debug, Clone)]
pub struct PoolMonitor {
    thresholds: PoolThresholds,
    utilisation: PoolLevel,
}

impl PoolMonitor {
    /// A monitor that starts out healthy.
    ///
    /// # Errors
    /// If the thresholds break a rule.
    pub fn new(thresholds: PoolThresholds) -> Result<Self, ConfigErrors> {
        thresholds.validate()?;
        Ok(Self {
            thresholds,
            utilisation: PoolLevel::Healthy,
        })
    }

    /// Judges the present state of the pool.
    pub fn assess(&mut self, reading: &PoolReading) -> PoolHealth {
        self.utilisation = self.judge_utilisation(reading);
        let limits = &self.thresholds;
        let mut reasons = Vec::new();
        if self.utilisation > PoolLevel::Healthy {
            reasons.push(PoolReason::Utilisation {
                in_use: reading.in_use,
                limit: reading.limit,
                level: self.utilisation,
            });
        }
        if reading.waiting > 0 {
            reasons.push(PoolReason::Waiting {
                callers: reading.waiting,
            });
        }
        if reading.breaker != BreakerReading::Closed {
            reasons.push(PoolReason::Breaker {
                state: reading.breaker,
            });
        }
        if reading.targets_failing > 0 {
            reasons.push(PoolReason::Probes {
                failing: reading.targets_failing,
                of: reading.targets,
            });
        }
        let percent = reading.error_rate * 100.0;
        if percent > f64::from(limits.error_percent) {
            reasons.push(PoolReason::Errors { percent });
        }
        if let Some(p99) = reading.acquire_p99.filter(|p99| *p99 > limits.acquire_p99) {
            reasons.push(PoolReason::Acquire { p99 });
        }
        let level = reasons.iter().map(PoolReason::level).max();
        PoolHealth {
            level: level.unwrap_or(PoolLevel::Healthy),
            reasons,
        }
    }

    fn judge_utilisation(&self, reading: &PoolReading) -> PoolLevel {
        let limits = &self.thresholds;
        let used = u64::from(reading.in_use) * 100;
        let reaches = |percent: u8| {
            reading.limit > 0 && used >= u64::from(reading.limit) * u64::from(percent)
        };
        let entry = |percent: u8, level: PoolLevel| {
            let inside = self.utilisation >= level;
            percent - if inside { limits.leave_below } else { 0 }
        };
        if reaches(entry(limits.critical, PoolLevel::Critical)) {
            PoolLevel::Critical
        } else if reaches(entry(limits.warning, PoolLevel::Warning)) {
            PoolLevel::Warning
        } else {
            PoolLevel::Healthy
        }
    }
}

/// What is read off a pool.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PoolReading {
    /// Connections that are lent.
    pub in_use: u32,
    /// Connections that may exist. Of a pool that may have none no utilisation is computed.
    pub limit: u32,
    /// Callers that wait for a connection.
    pub waiting: u32,
    /// The state of the breaker in front, if there is one.
    pub breaker: BreakerReading,
    /// Targets whose probes fail.
    pub targets_failing: u32,
    /// Targets that are probed.
    pub targets: u32,
    /// The share of operations that fail, from 0 to 1.
    pub error_rate: f64,
    /// The 99th percentile of the time to acquire a connection, if any was acquired.
    pub acquire_p99: Option<Duration>,
}

/// What is read off a breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum BreakerReading {
    /// Lets everything through, or is not there.
    #[default]
    Closed,
    /// Lets some through.
    Degraded,
    /// Lets a few through to see how they fare.
    HalfOpen,
    /// Lets nothing through.
    Open,
}

/// The health of a pool.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PoolHealth {
    /// In one word: the worst of what the reasons amount to.
    pub level: PoolLevel,
    /// Why it is not healthy; empty if it is.
    pub reasons: Vec<PoolReason>,
}

impl fmt::Display for PoolHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.level.fmt(f)?;
        for (position, reason) in self.reasons.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { "; " })?;
            reason.fmt(f)?;
        }
        Ok(())
    }
}

/// How well a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "dashboards and readiness checks map all three"
)]
pub enum PoolLevel {
    /// Nothing to do.
    Healthy,
    /// Somebody should look.
    Warning,
    /// Somebody should act.
    Critical,
}

impl fmt::Display for PoolLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// One thing that is wrong with a pool; `Display` says it in words.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case", tag = "reason"))]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are named by the variants that they belong to"
)]
pub enum PoolReason {
    /// Most connections are lent.
    Utilisation {
        in_use: u32,
        limit: u32,
        level: PoolLevel,
    },
    /// Callers wait.
    Waiting { callers: u32 },
    /// The breaker holds calls back.
    Breaker { state: BreakerReading },
    /// Probes fail.
    Probes { failing: u32, of: u32 },
    /// Operations fail.
    Errors { percent: f64 },
    /// Connections are slow to be had.
    Acquire { p99: Duration },
}

impl PoolReason {
    /// How bad this is by itself.
    #[must_use]
    pub const fn level(&self) -> PoolLevel {
        match self {
            Self::Utilisation { level, .. } => *level,
            Self::Breaker {
                state: BreakerReading::Open,
            } => PoolLevel::Critical,
            Self::Probes { failing, of } if *failing >= *of => PoolLevel::Critical,
            Self::Waiting { .. }
            | Self::Breaker { .. }
            | Self::Probes { .. }
            | Self::Errors { .. }
            | Self::Acquire { .. } => PoolLevel::Warning,
        }
    }
}

impl fmt::Display for PoolReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utilisation { in_use, limit, .. } => {
                write!(f, "{in_use} of {limit} connections in use")
            }
            Self::Waiting { callers: 1 } => f.write_str("1 caller waiting"),
            Self::Waiting { callers } => write!(f, "{callers} callers waiting"),
            Self::Breaker { state } => f.write_str(match state {
                BreakerReading::Closed => "breaker closed",
                BreakerReading::Degraded => "breaker degraded",
                BreakerReading::HalfOpen => "breaker half-open",
                BreakerReading::Open => "breaker open",
            }),
            Self::Probes { failing, of } => write!(f, "probes of {failing} of {of} targets fail"),
            Self::Errors { percent } => write!(f, "{percent:.1} % of operations fail"),
            Self::Acquire { p99 } => {
                write!(
                    f,
                    "acquiring a connection takes {} ms at p99",
                    p99.as_millis()
                )
            }
        }
    }
}

/// Where a pool stops being healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolThresholds {
    warning: u8,
    critical: u8,
    leave_below: u8,
    error_percent: u8,
    acquire_p99: Duration,
}

impl PoolThresholds {
    /// The defaults: warning from 70 percent of the connections in use, critical from 90, each
    /// left 5 points below; more than 1 percent of errors; more than 100 ms to acquire at p99.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            warning: 70,
            critical: 90,
            leave_below: 5,
            error_percent: 1,
            acquire_p99: Duration::from_millis(100),
        }
    }

    /// The utilisations that are a warning and critical.
    #[must_use]
    pub const fn utilisation(mut self, warning_percent: u8, critical_percent: u8) -> Self {
        self.warning = warning_percent;
        self.critical = critical_percent;
        self
    }

    /// How many points below its entry a level is left.
    #[must_use]
    pub const fn leave_below(mut self, points: u8) -> Self {
        self.leave_below = points;
        self
    }

    /// The share of failed operations up to which all is well.
    #[must_use]
    pub const fn error_percent(mut self, percent: u8) -> Self {
        self.error_percent = percent;
        self
    }

    /// The time to acquire at p99 up to which all is well.
    #[must_use]
    pub const fn acquire_p99(mut self, time: Duration) -> Self {
        self.acquire_p99 = time;
        self
    }

    /// Names every rule that these thresholds break.
    ///
    /// # Errors
    /// If they break any.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut rules = Rules::default();
        rules.percent("pool.critical", self.critical);
        rules.require(
            self.warning < self.critical,
            "pool.warning",
            self.warning,
            "must be below pool.critical",
        );
        rules.require(
            self.leave_below < self.warning,
            "pool.leave_below",
            self.leave_below,
            "must be below pool.warning",
        );
        rules.percent("pool.error_percent", self.error_percent);
        rules.span("pool.acquire_p99", self.acquire_p99);
        rules.finish()
    }
}

impl Default for PoolThresholds {
    fn default() -> Self {
        Self::new()
    }
}
