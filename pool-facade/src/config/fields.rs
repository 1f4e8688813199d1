//! The list of all settings: name, whether it can change in a running pool, place.

use super::setting::Setting;
use super::{
    BalanceConfig, BreakerConfig, BudgetConfig, Config, ConnectConfig, DegradedConfig,
    HalfOpenConfig, HealthConfig, RetryConfig, SlowConfig,
};

/// Sees each setting in turn.
pub(super) trait Visitor {
    fn visit<T: Setting>(&mut self, path: &'static str, live: bool, value: &mut T);
}

/// A setting as text.
pub(super) struct Text {
    pub(super) path: &'static str,
    pub(super) live: bool,
    pub(super) text: String,
}

impl Config {
    /// Shows every setting to `visitor`, in the order in which they are printed.
    pub(super) fn visit(&mut self, visitor: &mut impl Visitor) {
        let Self {
            pool,
            connect,
            retry,
            breaker,
            balance,
            health,
            close_grace,
        } = self;
        visit_pool(pool, visitor);
        visitor.visit("close_grace", LIVE, close_grace);
        visit_connect(connect, visitor);
        visit_retry(retry, visitor);
        visit_breaker(breaker, visitor);
        visit_balance(balance, visitor);
        visit_health(health, visitor);
    }

    /// Every setting as text.
    pub(super) fn texts(&self) -> Vec<Text> {
        let mut texts = Texts(Vec::new());
        self.clone().visit(&mut texts);
        texts.0
    }
}

struct Texts(Vec<Text>);

impl Visitor for Texts {
    fn visit<T: Setting>(&mut self, path: &'static str, live: bool, value: &mut T) {
        let text = value.print();
        self.0.push(Text { path, live, text });
    }
}

fn visit_pool(pool: &mut pool_core::Config, visitor: &mut impl Visitor) {
    visitor.visit("name", FIXED, &mut pool.name);
    visitor.visit("max_size", LIVE, &mut pool.max_size);
    visitor.visit("min_idle", LIVE, &mut pool.min_idle);
    visitor.visit("acquire_timeout", LIVE, &mut pool.acquire_timeout);
    visitor.visit("wait_timeout", LIVE, &mut pool.wait_timeout);
    visitor.visit("connect_timeout", LIVE, &mut pool.connect_timeout);
    visitor.visit("validate_timeout", LIVE, &mut pool.validate_timeout);
    visitor.visit("reset_timeout", LIVE, &mut pool.reset_timeout);
    visitor.visit("close_timeout", LIVE, &mut pool.close_timeout);
    visitor.visit("check", LIVE, &mut pool.check);
    visitor.visit("keepalive", LIVE, &mut pool.keepalive);
    visitor.visit("idle_timeout", LIVE, &mut pool.idle_timeout);
    visitor.visit("max_lifetime", LIVE, &mut pool.max_lifetime);
    visitor.visit("lifetime_jitter", LIVE, &mut pool.lifetime_jitter);
    visitor.visit("max_uses", LIVE, &mut pool.max_uses);
    visitor.visit("max_connecting", LIVE, &mut pool.max_connecting);
    visitor.visit("connect_rate", FIXED, &mut pool.connect_rate);
    visitor.visit("max_waiters", LIVE, &mut pool.max_waiters);
    visitor.visit("handoff_grace", LIVE, &mut pool.handoff_grace);
    visitor.visit("sweep_after", LIVE, &mut pool.sweep_after);
    visitor.visit("leak_report", LIVE, &mut pool.leak_report);
    visitor.visit("when_suspended", LIVE, &mut pool.when_suspended);
}

fn visit_connect(connect: &mut ConnectConfig, visitor: &mut impl Visitor) {
    let ConnectConfig {
        initial_delay,
        max_delay,
        jitter,
    } = connect;
    visitor.visit("connect.initial_delay", FIXED, initial_delay);
    visitor.visit("connect.max_delay", FIXED, max_delay);
    visitor.visit("connect.jitter", FIXED, jitter);
}

fn visit_retry(retry: &mut RetryConfig, visitor: &mut impl Visitor) {
    let RetryConfig {
        max_attempts,
        initial_delay,
        max_delay,
        jitter,
        budget,
    } = retry;
    visitor.visit("retry.max_attempts", LIVE, max_attempts);
    visitor.visit("retry.initial_delay", LIVE, initial_delay);
    visitor.visit("retry.max_delay", LIVE, max_delay);
    visitor.visit("retry.jitter", LIVE, jitter);
    let BudgetConfig {
        deposit,
        capacity,
        failure_cost,
        timeout_cost,
    } = budget;
    visitor.visit("retry.budget.deposit", LIVE, deposit);
    visitor.visit("retry.budget.capacity", LIVE, capacity);
    visitor.visit("retry.budget.failure_cost", LIVE, failure_cost);
    visitor.visit("retry.budget.timeout_cost", LIVE, timeout_cost);
}

fn visit_breaker(breaker: &mut BreakerConfig, visitor: &mut impl Visitor) {
    let BreakerConfig {
        mode,
        window,
        minimum_calls,
        failure_rate,
        consecutive,
        confidence,
        slow,
        open_time,
        longest_hint,
        forget_opening,
        half_open,
        degraded,
    } = breaker;
    visitor.visit("breaker.mode", LIVE, mode);
    visitor.visit("breaker.window", LIVE, window);
    visitor.visit("breaker.minimum_calls", LIVE, minimum_calls);
    visitor.visit("breaker.failure_rate", LIVE, failure_rate);
    visitor.visit("breaker.consecutive", LIVE, consecutive);
    visitor.visit("breaker.confidence", LIVE, confidence);
    visitor.visit("breaker.open_time", LIVE, open_time);
    visitor.visit("breaker.longest_hint", LIVE, longest_hint);
    visitor.visit("breaker.forget_opening", LIVE, forget_opening);
    let SlowConfig {
        threshold,
        degrade,
        open,
    } = slow;
    visitor.visit("breaker.slow.threshold", LIVE, threshold);
    visitor.visit("breaker.slow.degrade", LIVE, degrade);
    visitor.visit("breaker.slow.open", LIVE, open);
    let HalfOpenConfig {
        probes,
        successes,
        deadline,
    } = half_open;
    visitor.visit("breaker.half_open.probes", LIVE, probes);
    visitor.visit("breaker.half_open.successes", LIVE, successes);
    visitor.visit("breaker.half_open.deadline", LIVE, deadline);
    let DegradedConfig {
        enter,
        leave,
        hold,
        overload,
    } = degraded;
    visitor.visit("breaker.degraded.enter", LIVE, enter);
    visitor.visit("breaker.degraded.leave", LIVE, leave);
    visitor.visit("breaker.degraded.hold", LIVE, hold);
    visitor.visit("breaker.degraded.overload", LIVE, overload);
}

fn visit_balance(balance: &mut BalanceConfig, visitor: &mut impl Visitor) {
    let BalanceConfig {
        probe_interval,
        slow_start,
        damping,
        longest_damping,
        panic_percent,
    } = balance;
    visitor.visit("balance.probe_interval", FIXED, probe_interval);
    visitor.visit("balance.slow_start", FIXED, slow_start);
    visitor.visit("balance.damping", FIXED, damping);
    visitor.visit("balance.longest_damping", FIXED, longest_damping);
    visitor.visit("balance.panic_percent", FIXED, panic_percent);
}

fn visit_health(health: &mut HealthConfig, visitor: &mut impl Visitor) {
    let HealthConfig {
        interval,
        fast_interval,
        slow_interval,
        timeout,
        rise,
        fall,
        warning_percent,
        critical_percent,
    } = health;
    visitor.visit("health.interval", FIXED, interval);
    visitor.visit("health.fast_interval", FIXED, fast_interval);
    visitor.visit("health.slow_interval", FIXED, slow_interval);
    visitor.visit("health.timeout", FIXED, timeout);
    visitor.visit("health.rise", FIXED, rise);
    visitor.visit("health.fall", FIXED, fall);
    visitor.visit("health.warning_percent", FIXED, warning_percent);
    visitor.visit("health.critical_percent", FIXED, critical_percent);
}

/// Can change in a running pool.
const LIVE: bool = true;
/// Takes a new pool.
const FIXED: bool = false;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_of_the_connections_is_left_out() {
        let shown = format!("{:#?}", pool_core::Config::default());
        let named = shown.lines().filter_map(|line| {
            let field = line.strip_prefix("    ")?.split_once(": ")?.0;
            (!field.starts_with(' ')).then_some(field)
        });
        let texts = Config::default().texts();
        let listed = texts.iter().map(|it| it.path);
        let listed: Vec<_> = listed.take_while(|path| *path != "close_grace").collect();
        assert_eq!(named.collect::<Vec<_>>(), listed);
    }

    #[test]
    fn no_name_is_given_twice() {
        let texts = Config::default().texts();
        let mut paths: Vec<_> = texts.iter().map(|it| it.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), texts.len());
    }
}
