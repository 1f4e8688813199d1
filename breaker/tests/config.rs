//! Bad configuration is refused as a whole, with every violation named.
#![cfg(not(loom))]

use std::time::Duration;

use breaker::{Breaker, Config, Degraded, Health, OpenTime, Slow, Window};

#[test]
fn presets_are_good() {
    for config in [
        Config::new(),
        Config::classic(5, Duration::from_secs(30), 2),
        Config::for_health(),
    ] {
        assert_eq!(config.check(), Ok(()));
    }
}

#[test]
fn every_violation_is_named_at_once() {
    let mut degraded = Degraded::default();
    (degraded.enter, degraded.leave, degraded.overload) = (0.6, 0.7, 1.0);
    let mut health = Health::default();
    (health.degrade, health.recover) = (0.9, 0.5);
    let config = Config::new()
        .window(Window::Count { calls: 5 })
        .minimum_calls(6)
        .failure_rate(0.5)
        .consecutive(0)
        .confidence(f64::NAN)
        .slow(Slow::new(Duration::ZERO, 2.0).degrade(f64::NAN))
        .open_time(OpenTime::Exponential {
            first: Duration::from_secs(2),
            max: Duration::from_secs(1),
        })
        .forget_opening(Duration::ZERO)
        .half_open(0, 3)
        .half_open_deadline(Duration::ZERO)
        .degraded(degraded)
        .health(health);
    let errors = Breaker::new(config).unwrap_err();
    let fields: Vec<&str> = errors
        .violations()
        .iter()
        .map(|violation| violation.field)
        .collect();
    let expected = [
        "minimum_calls",
        "consecutive",
        "confidence",
        "open_time.max",
        "forget_opening",
        "half_open.probes",
        "half_open.successes",
        "half_open.deadline",
        "degraded.enter",
        "degraded.leave",
        "degraded.overload",
        "slow.threshold",
        "slow.open",
        "slow.degrade",
        "slow.degrade",
        "health.recover",
    ];
    assert_eq!(fields, expected);
    let shown = errors.to_string();
    assert!(
        shown.contains("half_open.successes is 3 but must be at least 1"),
        "{shown}"
    );
}

#[test]
fn a_zero_window_is_refused() {
    let config = Config::new().window(Window::Time {
        buckets: 0,
        width: Duration::ZERO,
    });
    assert_eq!(Breaker::new(config).unwrap_err().violations().len(), 2);
}

#[test]
fn a_refused_reconfiguration_changes_nothing() {
    let breaker = Breaker::new(Config::new()).unwrap();
    let before = breaker.snapshot();
    assert!(breaker.configure(Config::new().minimum_calls(0)).is_err());
    assert_eq!(breaker.snapshot().sequence, before.sequence);
}
