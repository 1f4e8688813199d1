//! The settings of a pool, their defaults, and the rules that they must keep.

use std::fmt;
use std::time::Duration;

/// The settings of a pool.
///
/// Made by a [`Builder`](crate::Builder), read by [`Pool::config`](crate::Pool::config), changed
/// while running by [`Pool::reconfigure`](crate::Pool::reconfigure). Each field names its default.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The name in errors, events and metrics. Default: `pool`.
    pub name: String,
    /// The most connections there may be at once, those being opened or closed included.
    /// Default: 10. After the start, [`Pool::resize`](crate::Pool::resize) may set any number.
    pub max_size: usize,
    /// How many idle connections are kept ready. Default: 0.
    pub min_idle: usize,
    /// The time for a whole acquire, whatever its stages do. Default: 30 s.
    pub acquire_timeout: Option<Duration>,
    /// The time that an acquire may wait for others to return a connection. Default: none but the
    /// total.
    pub wait_timeout: Option<Duration>,
    /// The time for opening one connection: DNS, TCP, TLS and login together. Default: 5 s.
    pub connect_timeout: Duration,
    /// The time for one check. Default: 1 s.
    pub validate_timeout: Duration,
    /// The time for one reset. Default: 1 s.
    pub reset_timeout: Duration,
    /// The time for closing one connection in good order. Default: 1 s.
    pub close_timeout: Duration,
    /// When a checkout asks the server whether the connection works. The synchronous peek of
    /// [`Manager::has_broken`](crate::Manager::has_broken) is made in any case.
    /// Default: after 30 s idle.
    pub check: Check,
    /// How often an idle connection is checked in the background. Default: every 60 s.
    pub keepalive: Option<Duration>,
    /// How long a connection may be idle before it is closed, down to
    /// [`min_idle`](Self::min_idle). Default: 10 min.
    pub idle_timeout: Option<Duration>,
    /// How old a connection may become. Default: 30 min.
    pub max_lifetime: Option<Duration>,
    /// The share of [`max_lifetime`](Self::max_lifetime) by which each connection's own limit is
    /// shortened at random, so that connections opened together do not end together.
    /// Default: 0.1.
    pub lifetime_jitter: f64,
    /// How often a connection may be lent. Default: no limit.
    pub max_uses: Option<u64>,
    /// The most connections that are opened at the same time. Default: the smaller of 8 and
    /// [`max_size`](Self::max_size).
    pub max_connecting: usize,
    /// The most connections that are opened in one second. Default: no limit.
    pub connect_rate: Option<u32>,
    /// The most callers that may wait, one or more: the first has to wait until its connection is
    /// open. Default: the larger of 1024 and 64 times
    /// [`max_size`](Self::max_size).
    pub max_waiters: usize,
    /// How long a woken caller may leave a connection lying that was handed to it, before others
    /// may take it. Default: 100 ms.
    pub handoff_grace: Duration,
    /// How many idle connections in a row must be found dead before the rest of their generation
    /// is closed unasked. Default: 3.
    pub sweep_after: u32,
    /// After which time a lent connection is reported, with the place that took it; also turns on
    /// the report of nested acquires. Default: off.
    pub leak_report: Option<Duration>,
    /// What an acquire does while the pool is suspended. Default: wait.
    pub when_suspended: WhenSuspended,
}

/// When a checkout asks the server whether the connection works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Every time.
    Always,
    /// When the connection has been idle for at least this time. Costs a clock reading (some
    /// 30 ns) at each checkout.
    IdleFor(Duration),
    /// Never; only the synchronous peek is made.
    Never,
}

/// What an acquire does while the pool is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenSuspended {
    /// Wait, within its time, for the pool to resume.
    #[default]
    Wait,
    /// Fail at once.
    Refuse,
}

impl Config {
    /// The defaults for a pool of at most `max_size` connections.
    pub fn new(max_size: usize) -> Self {
        Self {
            name: "pool".into(),
            max_size,
            min_idle: 0,
            acquire_timeout: Some(Duration::from_secs(30)),
            wait_timeout: None,
            connect_timeout: Duration::from_secs(5),
            validate_timeout: Duration::from_secs(1),
            reset_timeout: Duration::from_secs(1),
            close_timeout: Duration::from_secs(1),
            check: Check::IdleFor(Duration::from_secs(30)),
            keepalive: Some(Duration::from_secs(60)),
            idle_timeout: Some(Duration::from_secs(600)),
            max_lifetime: Some(Duration::from_secs(1800)),
            lifetime_jitter: 0.1,
            max_uses: None,
            max_connecting: max_size.clamp(1, 8),
            connect_rate: None,
            max_waiters: max_size.saturating_mul(64).max(1024),
            handoff_grace: Duration::from_millis(100),
            sweep_after: 3,
            leak_report: None,
            when_suspended: WhenSuspended::Wait,
        }
    }

    /// Checks every rule.
    ///
    /// # Errors
    ///
    /// All violations at once, each with field, value and rule.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let violations: Vec<_> = self
            .rules()
            .into_iter()
            .chain(self.spans())
            .flatten()
            .collect();
        if violations.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(violations))
        }
    }

    fn rules(&self) -> [Option<Violation>; 8] {
        let size = rule(
            "max_size",
            self.max_size,
            (1..=MAX_SLOTS).contains(&self.max_size),
        );
        [
            size("must be from 1 to 1000000"),
            rule("min_idle", self.min_idle, self.min_idle <= self.max_size)(
                "must not be above max_size",
            ),
            rule(
                "lifetime_jitter",
                self.lifetime_jitter,
                (0.0..=0.5).contains(&self.lifetime_jitter),
            )("must be from 0 to 0.5"),
            rule("max_uses", 0, self.max_uses != Some(0))("must be at least 1"),
            rule(
                "max_connecting",
                self.max_connecting,
                self.max_connecting >= 1,
            )("must be at least 1"),
            rule("connect_rate", 0, self.connect_rate != Some(0))("must be at least 1"),
            rule(
                "max_waiters",
                self.max_waiters,
                (1..=MAX_WAITERS).contains(&self.max_waiters),
            )("must be from 1 to 1000000000; not to wait at all, use `try_get`"),
            rule("sweep_after", self.sweep_after, self.sweep_after >= 1)("must be at least 1"),
        ]
    }

    fn spans(&self) -> impl Iterator<Item = Option<Violation>> {
        let check = match self.check {
            Check::IdleFor(idle) => Some(idle),
            Check::Always | Check::Never => None,
        };
        let spans = [
            ("acquire_timeout", self.acquire_timeout),
            ("wait_timeout", self.wait_timeout),
            ("connect_timeout", Some(self.connect_timeout)),
            ("validate_timeout", Some(self.validate_timeout)),
            ("reset_timeout", Some(self.reset_timeout)),
            ("close_timeout", Some(self.close_timeout)),
            ("check", check),
            ("keepalive", self.keepalive),
            ("idle_timeout", self.idle_timeout),
            ("max_lifetime", self.max_lifetime),
            ("handoff_grace", Some(self.handoff_grace)),
            ("leak_report", self.leak_report),
        ];
        spans.into_iter().map(|(field, span)| {
            let span = span?;
            let kept = !span.is_zero() && span <= MAX_SPAN;
            rule(field, format!("{span:?}"), kept)(
                "must be above zero and at most 100 years; leave an optional limit out instead",
            )
        })
    }
}

/// A violation with the rule that it is told, unless the rule is kept.
fn rule(
    field: &'static str,
    value: impl fmt::Display,
    kept: bool,
) -> impl FnOnce(&'static str) -> Option<Violation> {
    move |rule| {
        (!kept).then(|| Violation {
            field,
            value: value.to_string(),
            rule,
        })
    }
}

impl Default for Config {
    /// [`Config::new(10)`](Self::new).
    fn default() -> Self {
        Self::new(10)
    }
}

/// One setting that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The name of the field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// The rule that it breaks, as an instruction.
    pub rule: &'static str,
}

/// Every setting that breaks a rule; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Violation>);

impl ConfigErrors {
    pub(crate) fn one(field: &'static str, value: &str, rule: &'static str) -> Self {
        Self(vec![Violation {
            field,
            value: value.into(),
            rule,
        }])
    }

    /// The violations: those of numbers, then those of times.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid pool configuration: ")?;
        for (i, Violation { field, value, rule }) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{field} = {value}: {rule}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What the slot table can hold.
pub(crate) const MAX_SLOTS: usize = 1_000_000;

const MAX_WAITERS: usize = 1_000_000_000;

/// Far beyond any use, and safe to add to an `Instant`.
const MAX_SPAN: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_keep_every_rule() {
        for max_size in [1, 2, 10, 1000, MAX_SLOTS] {
            assert_eq!(Config::new(max_size).validate(), Ok(()));
        }
    }

    #[test]
    fn every_violation_is_named_at_once() {
        let mut config = Config::new(0);
        config.min_idle = 3;
        config.acquire_timeout = Some(Duration::ZERO);
        config.wait_timeout = Some(Duration::MAX);
        config.lifetime_jitter = f64::NAN;
        config.max_uses = Some(0);
        config.max_connecting = 0;
        config.connect_rate = Some(0);
        config.max_waiters = usize::MAX;
        config.sweep_after = 0;
        config.check = Check::IdleFor(Duration::ZERO);
        let errors = config.validate().unwrap_err();
        let fields: Vec<_> = errors.violations().iter().map(|v| v.field).collect();
        assert_eq!(
            fields,
            [
                "max_size",
                "min_idle",
                "lifetime_jitter",
                "max_uses",
                "max_connecting",
                "connect_rate",
                "max_waiters",
                "sweep_after",
                "acquire_timeout",
                "wait_timeout",
                "check",
            ]
        );
        assert!(
            errors
                .to_string()
                .contains("min_idle = 3: must not be above max_size")
        );
    }
}
