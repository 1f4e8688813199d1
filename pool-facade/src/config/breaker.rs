//! The settings of each node's breaker.

use std::time::Duration;

use breaker::{Config, Degraded, Mode, OpenTime, Slow, Window};

/// The settings of each node's breaker; the words are those of [`breaker::Config`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// Who decides. Default: evidence.
    pub mode: Mode,
    /// Which results rates are computed from. Default: 10 x 100 ms.
    pub window: Window,
    /// Results below which no rate decides anything. Default: 10.
    pub minimum_calls: u32,
    /// The failure rate at which the breaker opens. Default: 0.95.
    pub failure_rate: Option<f64>,
    /// Hard failures in a row at which it opens. Default: 5.
    pub consecutive: Option<u32>,
    /// How many standard deviations sure of a rate it must be to open. Default: none.
    pub confidence: Option<f64>,
    /// The slow-call rule.
    pub slow: SlowConfig,
    /// How long it stays open. Default: 250 ms, doubling to 2 s, with jitter.
    pub open_time: OpenTime,
    /// The longest open time that a server's hint may ask for. Default: 60 s.
    pub longest_hint: Duration,
    /// Time spent closed after which one opening is forgotten. Default: 10 s.
    pub forget_opening: Duration,
    /// How probing goes.
    pub half_open: HalfOpenConfig,
    /// The degraded state.
    pub degraded: DegradedConfig,
}

/// The slow-call rule of a breaker.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct SlowConfig {
    /// From this duration on a call is slow. Default: none, no call is.
    pub threshold: Option<Duration>,
    /// The rate of slow calls at which the breaker degrades. Default: none.
    pub degrade: Option<f64>,
    /// The rate of slow calls at which it opens. Default: none.
    pub open: Option<f64>,
}

/// How a breaker probes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HalfOpenConfig {
    /// Probes admitted. Default: 5.
    pub probes: u32,
    /// Successful probes that suffice. Default: 2.
    pub successes: u32,
    /// The time after which what has come in decides. Default: none but the slow threshold, else
    /// 5 s.
    pub deadline: Option<Duration>,
}

/// The degraded state of a breaker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DegradedConfig {
    /// The failure rate at which it is entered. Default: 0.2; none: there is no such state, and
    /// overload is met with no limit.
    pub enter: Option<f64>,
    /// The failure rate under which it may be left. Default: 0.1.
    pub leave: f64,
    /// How long the rate must stay there. Default: 5 s.
    pub hold: Duration,
    /// The share of overload among recent results above which the limit shrinks. Default: 0.05.
    pub overload: f64,
}

impl BreakerConfig {
    /// The textbook breaker: opens after `failures` in a row, stays open for `open`, closes after
    /// `successes`, and never limits.
    pub fn classic(failures: u32, open: Duration, successes: u32) -> Self {
        Self {
            window: Window::Count { calls: failures },
            minimum_calls: failures,
            failure_rate: None,
            consecutive: Some(failures),
            open_time: OpenTime::Constant(open),
            half_open: HalfOpenConfig {
                probes: successes,
                successes,
                deadline: None,
            },
            degraded: DegradedConfig {
                enter: None,
                ..DegradedConfig::default()
            },
            ..Self::default()
        }
    }

    /// The same as the breaker takes it; the mode apart.
    pub fn policy(&self) -> Config {
        let slow = self.slow.threshold.map(|threshold| {
            let mut slow = Slow::new(threshold, 1.0);
            slow.degrade = self.slow.degrade;
            slow.open = self.slow.open;
            slow
        });
        let degraded = self.degraded.enter.map(|enter| {
            let mut degraded = Degraded::default();
            degraded.enter = enter;
            degraded.leave = self.degraded.leave;
            degraded.hold = self.degraded.hold;
            degraded.overload = self.degraded.overload;
            degraded
        });
        Config::new()
            .window(self.window)
            .minimum_calls(self.minimum_calls)
            .failure_rate(self.failure_rate)
            .consecutive(self.consecutive)
            .confidence(self.confidence)
            .slow(slow)
            .open_time(self.open_time)
            .longest_hint(self.longest_hint)
            .forget_opening(self.forget_opening)
            .half_open(self.half_open.probes, self.half_open.successes)
            .half_open_deadline(self.half_open.deadline)
            .degraded(degraded)
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Automatic,
            window: Window::Time {
                buckets: 10,
                width: Duration::from_millis(100),
            },
            minimum_calls: 10,
            failure_rate: Some(0.95),
            consecutive: Some(5),
            confidence: None,
            slow: SlowConfig::default(),
            open_time: OpenTime::Exponential {
                first: Duration::from_millis(250),
                max: Duration::from_secs(2),
            },
            longest_hint: Duration::from_secs(60),
            forget_opening: Duration::from_secs(10),
            half_open: HalfOpenConfig {
                probes: 5,
                successes: 2,
                deadline: None,
            },
            degraded: DegradedConfig::default(),
        }
    }
}

impl Default for DegradedConfig {
    fn default() -> Self {
        Self {
            enter: Some(0.2),
            leave: 0.1,
            hold: Duration::from_secs(5),
            overload: 0.05,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_breaker() {
        assert_eq!(BreakerConfig::default().policy(), Config::new());
    }

    #[test]
    fn the_textbook_breaker_is_that_of_the_breaker() {
        let open = Duration::from_secs(30);
        assert_eq!(
            BreakerConfig::classic(5, open, 2).policy(),
            Config::classic(5, open, 2)
        );
    }

    #[test]
    fn the_slow_rule_reaches_the_breaker() {
        let threshold = Duration::from_millis(800);
        let mut config = BreakerConfig::default();
        config.slow.threshold = Some(threshold);
        config.slow.open = Some(0.9);
        config.slow.degrade = Some(0.4);
        let expected = Config::new().slow(Slow::new(threshold, 0.9).degrade(0.4));
        assert_eq!(config.policy(), expected);
    }
}
