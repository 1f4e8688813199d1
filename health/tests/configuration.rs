//! Nonsense is refused, all of it at once, with field, value and rule.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{
    Capability, ConfigErrors, Group, GroupPolicy, Monitor, MonitorPolicy, Outlier, OutlierPolicy,
    PoolMonitor, PoolThresholds, ScorePolicy, Suspicion, SuspicionPolicy,
};

fn fields(errors: &ConfigErrors) -> Vec<&str> {
    errors
        .violations()
        .iter()
        .map(health::Violation::field)
        .collect()
}

#[test]
fn every_default_is_valid() {
    assert_eq!(GroupPolicy::default().validate(), Ok(()));
    assert_eq!(SuspicionPolicy::default().validate(), Ok(()));
    assert_eq!(ScorePolicy::default().validate(), Ok(()));
    assert_eq!(PoolThresholds::default().validate(), Ok(()));
}

#[test]
fn all_violations_are_named_at_once_across_the_parts() {
    let zero = Duration::ZERO;
    let monitor = MonitorPolicy::new()
        .rise(0)
        .fall(0)
        .interval(zero)
        .fast_interval(zero)
        .slow_interval(zero)
        .timeout(zero)
        .jitter_percent(51)
        .startup_grace(Some(zero));
    let outlier = OutlierPolicy::new()
        .consecutive(0)
        .error_rate(101, 0)
        .success_rate(2, 0)
        .interval(zero)
        .ejection(zero, zero)
        .ejected_percent(101);
    let policy = GroupPolicy::new()
        .monitor(monitor)
        .outlier(Some(outlier))
        .parallel(0)
        .sample(Some(0))
        .batch(0, zero)
        .panic_percent(101);
    let errors = Group::<()>::new(policy, Instant::now()).expect_err("nothing is right");
    let expected = [
        "monitor.rise",
        "monitor.fall",
        "monitor.interval",
        "monitor.fast_interval",
        "monitor.slow_interval",
        "monitor.timeout",
        "monitor.jitter_percent",
        "monitor.startup_grace",
        "outlier.consecutive",
        "outlier.error_percent",
        "outlier.minimum_results",
        "outlier.success_members",
        "outlier.success_minimum",
        "outlier.interval",
        "outlier.base_ejection",
        "outlier.max_ejection",
        "outlier.ejected_percent",
        "group.parallel",
        "group.sample",
        "group.batch_size",
        "group.batch_window",
        "group.panic_percent",
    ];
    assert_eq!(fields(&errors), expected);
    let first = &errors.violations()[0];
    assert_eq!(
        (first.value(), first.rule()),
        ("0", "must be from 1 to 1000000")
    );
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    let [short, long] = [1, 20].map(Duration::from_secs);
    let policy = MonitorPolicy::new()
        .fast_interval(long)
        .slow_interval(short)
        .timeout(2 * long);
    let errors = Monitor::<()>::new(policy, 0, Instant::now()).expect_err("contradictory");
    let expected = [
        "monitor.fast_interval",
        "monitor.slow_interval",
        "monitor.timeout",
    ];
    assert_eq!(fields(&errors), expected);
    let policy = OutlierPolicy::new().ejection(long, short);
    let errors = Outlier::new(policy, Instant::now()).expect_err("contradictory");
    assert_eq!(fields(&errors), ["outlier.max_ejection"]);
}

#[test]
fn no_extreme_panics_in_any_policy() {
    let now = Instant::now();
    for span in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        for count in [0, 1, u32::MAX] {
            let monitor = MonitorPolicy::new()
                .rise(count)
                .interval(span)
                .timeout(span);
            let policy = GroupPolicy::new()
                .monitor(monitor)
                .parallel(count)
                .batch(count, span);
            assert!(Group::<()>::new(policy, now).is_err());
            let policy = SuspicionPolicy::new().window(count).expected_interval(span);
            assert!(Suspicion::new(policy).is_err());
            assert!(Capability::new("", span, u64::from(count), now).is_err());
        }
    }
    for percent in [0, 1, 100, u8::MAX] {
        let thresholds = PoolThresholds::new().utilisation(percent, percent);
        assert!(PoolMonitor::new(thresholds).is_err());
        let policy = ScorePolicy::new().age(percent, 100).latency(percent, 100);
        assert!(policy.validate().is_err());
    }
}

#[test]
fn the_message_is_one_line_for_a_human() {
    let errors = MonitorPolicy::new()
        .rise(0)
        .jitter_percent(90)
        .validate()
        .expect_err("two");
    let expected = "invalid health configuration: monitor.rise is 0, but must be from 1 to \
                    1000000; monitor.jitter_percent is 90, but must be at most 50";
    assert_eq!(errors.to_string(), expected);
}
