//! The settings besides those of the connections, by subject.

use std::time::Duration;

use backoff::{Jitter, Ratio};
use health::{MonitorPolicy, PoolThresholds};

use crate::balance;

/// When connecting to a node is tried again: one schedule for all who wait.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectConfig {
    /// The delay after the first failure in a row, doubled for each further one. Default: 8 ms.
    pub initial_delay: Duration,
    /// The longest delay. A server that is full is given half as much more, one that refuses for
    /// good three times as much. Default: 300 ms.
    pub max_delay: Duration,
    /// How delays are spread, so that many pools do not come back in step. Default: equal, from
    /// half of the delay to all of it.
    pub jitter: Jitter,
}

/// When calls are tried again.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// The most attempts of one call, the first included. Default: 3.
    pub max_attempts: u32,
    /// The delay before the second attempt, doubled for each further one. Default: 50 ms.
    pub initial_delay: Duration,
    /// The longest delay. Default: 1 s.
    pub max_delay: Duration,
    /// How delays are spread. Default: full, from 0 to the delay.
    pub jitter: Jitter,
    /// What keeps retries from becoming a load of their own.
    pub budget: BudgetConfig,
}

/// The tokens that pay for retries, one bucket for the whole pool.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BudgetConfig {
    /// Tokens that one success brings. Default: 1/10.
    pub deposit: Ratio,
    /// The most tokens that successes can save up, and those to begin with. Default: 10.
    pub capacity: u32,
    /// Tokens that a retry costs. Default: 1.
    pub failure_cost: u32,
    /// Tokens that a retry after a timeout costs, whose work may still be running. Default: 2.
    pub timeout_cost: u32,
}

/// How nodes are probed, and when the pool calls itself unwell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// From one probe of a node to the next, while all is as believed. Default: 10 s; none: nodes
    /// are not probed, and only calls tell how they are.
    pub interval: Option<Duration>,
    /// The same while the last result disagrees with the belief, and while no node that serves takes
    /// writes, or reads: one may have been promoted. Default: 1 s.
    pub fast_interval: Duration,
    /// The same while the node is down. Default: 2 s, as one that is back is wanted soon; to spare
    /// it is the connect gate's work.
    pub slow_interval: Duration,
    /// The time for one probe. Default: 1 s.
    pub timeout: Duration,
    /// Good results in a row that bring a node up. Default: 2.
    pub rise: u32,
    /// Bad results in a row that take a node down. Default: 3.
    pub fall: u32,
    /// The percentage of connections in use from which on the pool warns. Default: 70.
    pub warning_percent: u8,
    /// The same for critical. Default: 90.
    pub critical_percent: u8,
}

/// How calls are spread over nodes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BalanceConfig {
    /// How often a node that is slow, failing or down is probed. Default: 1 s.
    pub probe_interval: Duration,
    /// How long a node that is new or back takes to its whole weight. Default: 10 s.
    pub slow_start: Duration,
    /// How long a node's standing is left as it is after a change, at first. Default: 1 s.
    pub damping: Duration,
    /// The same at most: it doubles while the node goes up and down. Default: 30 s.
    pub longest_damping: Duration,
    /// Below which percentage of serving nodes health is ignored. Default: 50.
    pub panic_percent: u8,
}

impl ConnectConfig {
    /// The delays as a policy that never gives up.
    ///
    /// # Errors
    ///
    /// Every broken rule.
    pub fn policy(&self) -> Result<backoff::Policy, backoff::ConfigErrors> {
        backoff::Policy::exponential(self.initial_delay, self.max_delay)
            .jitter(self.jitter)
            .no_max_attempts()
            .build()
    }
}

impl RetryConfig {
    /// The delays as a policy.
    ///
    /// # Errors
    ///
    /// Every broken rule.
    pub fn policy(&self) -> Result<backoff::Policy, backoff::ConfigErrors> {
        backoff::Policy::exponential(self.initial_delay, self.max_delay)
            .jitter(self.jitter)
            .max_attempts(self.max_attempts)
            .build()
    }
}

impl BudgetConfig {
    /// A full bucket.
    ///
    /// # Errors
    ///
    /// Every broken rule.
    pub fn build(&self) -> Result<backoff::Budget, backoff::ConfigErrors> {
        backoff::Budget::builder()
            .deposit(self.deposit)
            .capacity(self.capacity)
            .failure_cost(self.failure_cost)
            .timeout_cost(self.timeout_cost)
            .build()
    }
}

impl HealthConfig {
    /// How one node is probed; `None` if it is not.
    pub fn monitor(&self) -> Option<MonitorPolicy> {
        let policy = MonitorPolicy::new()
            .interval(self.interval?)
            .fast_interval(self.fast_interval)
            .slow_interval(self.slow_interval)
            .timeout(self.timeout)
            .rise(self.rise)
            .fall(self.fall);
        Some(policy)
    }

    /// When the pool calls itself unwell.
    pub fn thresholds(&self) -> PoolThresholds {
        PoolThresholds::new().utilisation(self.warning_percent, self.critical_percent)
    }
}

impl BalanceConfig {
    /// The same as a balancer takes it.
    pub fn policy(&self) -> balance::Policy {
        balance::Policy::new()
            .probe_interval(self.probe_interval)
            .slow_start(self.slow_start)
            .damping(self.damping, self.longest_damping)
            .panic_percent(self.panic_percent)
    }
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            slow_start: Duration::from_secs(10),
            damping: Duration::from_secs(1),
            longest_damping: Duration::from_secs(30),
            panic_percent: 50,
        }
    }
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_millis(8),
            max_delay: Duration::from_millis(300),
            jitter: Jitter::Equal,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_delay: Duration::from_millis(50),
            max_delay: Duration::from_secs(1),
            jitter: Jitter::Full,
            budget: BudgetConfig::default(),
        }
    }
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            deposit: Ratio::new(1, 10),
            capacity: 10,
            failure_cost: 1,
            timeout_cost: 2,
        }
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(10)),
            fast_interval: Duration::from_secs(1),
            slow_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            warning_percent: 70,
            critical_percent: 90,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_crates_behind() {
        let health = HealthConfig::default();
        let monitor = MonitorPolicy::new().slow_interval(Duration::from_secs(2));
        assert_eq!(health.monitor(), Some(monitor));
        assert_eq!(health.thresholds(), PoolThresholds::new());
        assert_eq!(BalanceConfig::default().policy(), balance::Policy::new());
        let budget = BudgetConfig::default().build().unwrap();
        assert_eq!(
            format!("{budget:?}"),
            format!("{:?}", backoff::Budget::default())
        );
    }

    #[test]
    fn nodes_need_not_be_probed() {
        let health = HealthConfig {
            interval: None,
            ..HealthConfig::default()
        };
        assert_eq!(health.monitor(), None);
    }
}
