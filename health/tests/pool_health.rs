//! Healthy, warning, critical: the borders, the hysteresis, the words.

use std::time::Duration;

use health::{BreakerReading, PoolHealth, PoolLevel, PoolMonitor, PoolReading, PoolThresholds};

fn assess(monitor: &mut PoolMonitor, change: impl FnOnce(&mut PoolReading)) -> PoolHealth {
    let mut reading = PoolReading::default();
    reading.limit = 100;
    reading.targets = 3;
    change(&mut reading);
    monitor.assess(&reading)
}

fn monitor() -> PoolMonitor {
    PoolMonitor::new(PoolThresholds::new()).expect("valid")
}

#[test]
fn a_level_is_entered_at_its_threshold_and_left_five_points_below() {
    use PoolLevel::{Critical, Healthy, Warning};
    let mut monitor = monitor();
    let steps = [
        (69, Healthy),
        (70, Warning),
        (65, Warning),
        (64, Healthy),
        (69, Healthy),
        (90, Critical),
        (85, Critical),
        (84, Warning),
        (89, Warning),
        (100, Critical),
        (64, Healthy),
    ];
    for (step, (in_use, level)) in steps.into_iter().enumerate() {
        let health = assess(&mut monitor, |reading| reading.in_use = in_use);
        assert_eq!(health.level, level, "step {step}: {in_use} %");
        assert_eq!(health.reasons.is_empty(), level == Healthy);
    }
}

#[test]
fn wobbling_at_the_border_changes_the_level_once() {
    let mut monitor = monitor();
    let levels: Vec<PoolLevel> = (0..1_000)
        .map(|n| assess(&mut monitor, |reading| reading.in_use = 68 + n % 4).level)
        .collect();
    assert_eq!(
        levels.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        1
    );
}

#[test]
fn every_reason_has_its_words_and_its_level() {
    type Setting = fn(&mut PoolReading);
    let table: [(Setting, PoolLevel, &str); 10] = [
        (
            |r| r.in_use = 95,
            PoolLevel::Critical,
            "95 of 100 connections in use",
        ),
        (|r| r.waiting = 1, PoolLevel::Warning, "1 caller waiting"),
        (|r| r.waiting = 7, PoolLevel::Warning, "7 callers waiting"),
        (
            |r| r.breaker = BreakerReading::Degraded,
            PoolLevel::Warning,
            "breaker degraded",
        ),
        (
            |r| r.breaker = BreakerReading::HalfOpen,
            PoolLevel::Warning,
            "breaker half-open",
        ),
        (
            |r| r.breaker = BreakerReading::Open,
            PoolLevel::Critical,
            "breaker open",
        ),
        (
            |r| r.targets_failing = 1,
            PoolLevel::Warning,
            "probes of 1 of 3 targets fail",
        ),
        (
            |r| r.targets_failing = 3,
            PoolLevel::Critical,
            "probes of 3 of 3 targets fail",
        ),
        (
            |r| r.error_rate = 0.025,
            PoolLevel::Warning,
            "2.5 % of operations fail",
        ),
        (
            |r| r.acquire_p99 = Some(Duration::from_millis(140)),
            PoolLevel::Warning,
            "acquiring a connection takes 140 ms at p99",
        ),
    ];
    for (setting, level, words) in table {
        let health = assess(&mut monitor(), setting);
        assert_eq!(health.to_string(), format!("{level}: {words}"));
        assert_eq!(health.level, level);
    }
}

#[test]
fn the_limits_themselves_are_healthy_and_so_is_a_pool_that_may_have_nothing() {
    let health = assess(&mut monitor(), |reading| {
        reading.error_rate = 0.01;
        reading.acquire_p99 = Some(Duration::from_millis(100));
    });
    assert_eq!(health.to_string(), "healthy");
    let health = assess(&mut monitor(), |reading| {
        (reading.in_use, reading.limit) = (5, 0)
    });
    assert_eq!(health.level, PoolLevel::Healthy);
    let health = assess(&mut monitor(), |reading| reading.in_use = u32::MAX);
    assert_eq!(health.level, PoolLevel::Critical);
}

#[cfg(feature = "serde")]
#[test]
fn health_survives_a_round_trip_through_json() {
    let health = assess(&mut monitor(), |reading| {
        reading.in_use = 75;
        reading.breaker = BreakerReading::HalfOpen;
    });
    let json = serde_json::to_string(&health).expect("plain data");
    let expected = r#"{"level":"warning","reasons":[{"reason":"utilisation","in_use":75,"limit":100,"level":"warning"},{"reason":"breaker","state":"half_open"}]}"#;
    assert_eq!(json, expected);
    assert_eq!(
        serde_json::from_str::<PoolHealth>(&json).expect("our own"),
        health
    );
}
