//! How outcomes are judged.

use std::time::Duration;

use crate::ConfigErrors;
use crate::config::Rules;

/// Thresholds of an [`Outlier`](crate::Outlier) detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierPolicy {
    pub(super) consecutive: u32,
    pub(super) error_percent: u8,
    pub(super) minimum_results: u32,
    pub(super) success_members: u32,
    pub(super) success_minimum: u32,
    pub(super) interval: Duration,
    pub(super) base_ejection: Duration,
    pub(super) max_ejection: Duration,
    pub(super) ejected_percent: u8,
}

impl OutlierPolicy {
    /// The defaults: 5 failures in a row; half of the recent results failed, of 50 at least; 1.9
    /// standard deviations below the mean of 5 members with 100 results each in 10 s; ejection for
    /// 30 s x n up to 300 s; never more than half of the members.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            consecutive: 5,
            error_percent: 50,
            minimum_results: 50,
            success_members: 5,
            success_minimum: 100,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            ejected_percent: 50,
        }
    }

    /// How many failures in a row eject.
    #[must_use]
    pub const fn consecutive(mut self, failures: u32) -> Self {
        self.consecutive = failures;
        self
    }

    /// Which share of failures ejects, as a moving average over about twenty results, and how
    /// many results a member must have had since it joined or came back.
    #[must_use]
    pub const fn error_rate(mut self, percent: u8, minimum_results: u32) -> Self {
        self.error_percent = percent;
        self.minimum_results = minimum_results;
        self
    }

    /// How many members with how many results in an interval it takes to compare success rates.
    #[must_use]
    pub const fn success_rate(mut self, members: u32, results: u32) -> Self {
        self.success_members = members;
        self.success_minimum = results;
        self
    }

    /// How often success rates are compared and ejection times step back.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The time of a first ejection, which each further one adds, and the longest time.
    #[must_use]
    pub const fn ejection(mut self, base: Duration, max: Duration) -> Self {
        self.base_ejection = base;
        self.max_ejection = max;
        self
    }

    /// The share of members that may be ejected at one time. At 50 percent the only member of a
    /// group is never ejected, one of two is.
    #[must_use]
    pub const fn ejected_percent(mut self, percent: u8) -> Self {
        self.ejected_percent = percent;
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
        rules.count("outlier.consecutive", self.consecutive);
        rules.require(
            (1..=100).contains(&self.error_percent),
            "outlier.error_percent",
            self.error_percent,
            "must be from 1 to 100",
        );
        rules.count("outlier.minimum_results", self.minimum_results);
        rules.require(
            self.success_members >= 3,
            "outlier.success_members",
            self.success_members,
            "must be at least 3, or none can stand out",
        );
        rules.count("outlier.success_minimum", self.success_minimum);
        rules.span("outlier.interval", self.interval);
        rules.span("outlier.base_ejection", self.base_ejection);
        rules.span("outlier.max_ejection", self.max_ejection);
        rules.require(
            self.max_ejection >= self.base_ejection,
            "outlier.max_ejection",
            self.max_ejection,
            "must not be below outlier.base_ejection",
        );
        rules.percent("outlier.ejected_percent", self.ejected_percent);
    }
}

impl Default for OutlierPolicy {
    fn default() -> Self {
        Self::new()
    }
}
