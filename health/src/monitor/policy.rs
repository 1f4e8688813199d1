//! How one target is probed.

use std::time::Duration;

use crate::ConfigErrors;
use crate::config::Rules;

/// Thresholds and times of a [`Monitor`](crate::Monitor).
///
/// ```
/// use std::time::Duration;
/// use health::MonitorPolicy;
///
/// const EAGER: MonitorPolicy = MonitorPolicy::new()
///     .interval(Duration::from_secs(2))
///     .fast_interval(Duration::from_millis(200))
///     .timeout(Duration::from_millis(200));
/// assert!(EAGER.validate().is_ok());
///
/// let errors = MonitorPolicy::new().fall(0).timeout(Duration::ZERO).validate().unwrap_err();
/// assert_eq!(errors.violations().len(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorPolicy {
    pub(crate) rise: u32,
    pub(crate) fall: u32,
    pub(crate) interval: Duration,
    pub(crate) fast_interval: Duration,
    pub(crate) slow_interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) jitter_percent: u8,
    pub(crate) startup_grace: Option<Duration>,
}

impl MonitorPolicy {
    /// The defaults: rise 2, fall 3, every 10 s, 1 s in transition, 30 s when down, each wait
    /// jittered by 10 percent, one second for an answer, 10 s of grace for a target that starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rise: 2,
            fall: 3,
            interval: Duration::from_secs(10),
            fast_interval: Duration::from_secs(1),
            slow_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(1),
            jitter_percent: 10,
            startup_grace: Some(Duration::from_secs(10)),
        }
    }

    /// How many results in a row it takes to think better of a target. A target of which nothing
    /// is known is believed at its first good result.
    #[must_use]
    pub const fn rise(mut self, results: u32) -> Self {
        self.rise = results;
        self
    }

    /// How many results in a row it takes to think worse of a target.
    #[must_use]
    pub const fn fall(mut self, results: u32) -> Self {
        self.fall = results;
        self
    }

    /// From the start of one probe to the next while all is as believed.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The same before the first verdict and while the last result disagrees with the belief.
    #[must_use]
    pub const fn fast_interval(mut self, interval: Duration) -> Self {
        self.fast_interval = interval;
        self
    }

    /// The same while the target is down.
    #[must_use]
    pub const fn slow_interval(mut self, interval: Duration) -> Self {
        self.slow_interval = interval;
        self
    }

    /// How long a probe may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How far each wait may deviate from its interval, either way.
    #[must_use]
    pub const fn jitter_percent(mut self, percent: u8) -> Self {
        self.jitter_percent = percent;
        self
    }

    /// For how long a target that has never answered may fail without being called down. It is
    /// probed at the fast interval meanwhile.
    #[must_use]
    pub const fn startup_grace(mut self, grace: Option<Duration>) -> Self {
        self.startup_grace = grace;
        self
    }

    /// Names every rule that this policy breaks.
    ///
    /// # Errors
    /// If it breaks any.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut rules = Rules::default();
        self.examine(&mut rules);
        rules.finish()
    }

    pub(crate) fn examine(&self, rules: &mut Rules) {
        rules.count("monitor.rise", self.rise);
        rules.count("monitor.fall", self.fall);
        rules.span("monitor.interval", self.interval);
        rules.span("monitor.fast_interval", self.fast_interval);
        rules.require(
            self.fast_interval <= self.interval,
            "monitor.fast_interval",
            self.fast_interval,
            "must not exceed monitor.interval",
        );
        rules.span("monitor.slow_interval", self.slow_interval);
        rules.require(
            self.slow_interval >= self.fast_interval,
            "monitor.slow_interval",
            self.slow_interval,
            "must not be below monitor.fast_interval",
        );
        rules.span("monitor.timeout", self.timeout);
        rules.require(
            self.timeout <= self.fast_interval,
            "monitor.timeout",
            self.timeout,
            "must not exceed monitor.fast_interval, or probes would overlap",
        );
        rules.require(
            self.jitter_percent <= 50,
            "monitor.jitter_percent",
            self.jitter_percent,
            "must be at most 50",
        );
        if let Some(grace) = self.startup_grace {
            rules.span("monitor.startup_grace", grace);
        }
    }
}

impl Default for MonitorPolicy {
    fn default() -> Self {
        Self::new()
    }
}
