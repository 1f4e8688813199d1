//! How many targets are probed together.

use std::time::Duration;

use crate::config::Rules;
use crate::{ConfigErrors, MonitorPolicy, OutlierPolicy};

/// Limits and thresholds of a [`Group`](crate::Group).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupPolicy {
    pub(crate) monitor: MonitorPolicy,
    pub(crate) outlier: Option<OutlierPolicy>,
    pub(crate) parallel: u32,
    pub(crate) sample: Option<u32>,
    pub(crate) batch_size: u32,
    pub(crate) batch_window: Duration,
    pub(crate) panic_percent: u8,
}

impl GroupPolicy {
    /// The defaults: those of [`MonitorPolicy`] and [`OutlierPolicy`], 64 probes in flight, no
    /// sampling, batches of up to 32 that are due within 100 ms, panic below 50 percent.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            monitor: MonitorPolicy::new(),
            outlier: Some(OutlierPolicy::new()),
            parallel: 64,
            sample: None,
            batch_size: 32,
            batch_window: Duration::from_millis(100),
            panic_percent: 50,
        }
    }

    /// How each target is probed.
    #[must_use]
    pub const fn monitor(mut self, policy: MonitorPolicy) -> Self {
        self.monitor = policy;
        self
    }

    /// How outcomes of real operations are judged, if they are.
    #[must_use]
    pub const fn outlier(mut self, policy: Option<OutlierPolicy>) -> Self {
        self.outlier = policy;
        self
    }

    /// How many probes, or batches of them, may be in flight at one time. In the worst case all
    /// targets hang: to keep pace then, allow targets x timeout / slow interval.
    #[must_use]
    pub const fn parallel(mut self, probes: u32) -> Self {
        self.parallel = probes;
        self
    }

    /// How many probes may start per round, a round being as long as the monitor's interval. For
    /// sets of which a few stand for all, such as the idle connections of a pool: those that were
    /// not asked for longest are asked first.
    #[must_use]
    pub const fn sample(mut self, probes: Option<u32>) -> Self {
        self.sample = probes;
        self
    }

    /// How many targets one call may judge, and how long before its time a target may be included.
    /// Concerns [`Group::poll_batch`](crate::Group::poll_batch) only.
    #[must_use]
    pub const fn batch(mut self, size: u32, window: Duration) -> Self {
        self.batch_size = size;
        self.batch_window = window;
        self
    }

    /// Below which share of available targets all are eligible.
    #[must_use]
    pub const fn panic_percent(mut self, percent: u8) -> Self {
        self.panic_percent = percent;
        self
    }

    /// Names every rule that this policy, or a part of it, breaks.
    ///
    /// # Errors
    /// If it breaks any.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut rules = Rules::default();
        self.monitor.examine(&mut rules);
        if let Some(outlier) = &self.outlier {
            outlier.examine(&mut rules);
        }
        rules.count("group.parallel", self.parallel);
        if let Some(sample) = self.sample {
            rules.count("group.sample", sample);
        }
        rules.count("group.batch_size", self.batch_size);
        rules.span("group.batch_window", self.batch_window);
        rules.require(
            self.batch_window <= self.monitor.fast_interval,
            "group.batch_window",
            self.batch_window,
            "must not exceed monitor.fast_interval",
        );
        rules.percent("group.panic_percent", self.panic_percent);
        rules.finish()
    }
}

impl Default for GroupPolicy {
    fn default() -> Self {
        Self::new()
    }
}
