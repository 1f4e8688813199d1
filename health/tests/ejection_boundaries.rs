//! Real outcomes, each rule at its boundary.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{Cause, Outcome, Outlier, OutlierEvent, OutlierPolicy, TargetId};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

fn outlier(policy: OutlierPolicy, members: usize) -> (Outlier, Vec<TargetId>, Instant) {
    let now = Instant::now();
    let mut outlier = Outlier::new(policy, now).expect("valid");
    let ids = (0..members).map(|_| outlier.insert()).collect();
    (outlier, ids, now)
}

/// Fails until it is ejected.
fn eject(outlier: &mut Outlier, id: TargetId, now: Instant) -> Instant {
    let mut failures = (0..5).map(|_| outlier.record(id, Outcome::Failure, now));
    failures.find_map(|it| it).expect("five in a row").until
}

fn drain(outlier: &mut Outlier, now: Instant) -> Vec<OutlierEvent> {
    std::iter::from_fn(|| outlier.poll(now)).collect()
}

#[test]
fn who_leaves_takes_its_ejection_along() {
    let (mut outlier, ids, now) = outlier(OutlierPolicy::new(), 4);
    let until = eject(&mut outlier, ids[0], now);
    assert_eq!(outlier.ejected_until(ids[0]), Some(until));
    assert_eq!(
        (outlier.ejected(), outlier.ejected_until(ids[1])),
        (1, None)
    );
    eject(&mut outlier, ids[1], now);
    assert_eq!((outlier.ejected(), outlier.spared()), (2, 0));
    assert!(outlier.remove(ids[0]));
    assert!(!outlier.remove(ids[0]), "it has left already");
    assert_eq!(
        (outlier.ejected(), outlier.ejected_until(ids[0])),
        (1, None)
    );
    assert_eq!(drain(&mut outlier, until), [OutlierEvent::Returned(ids[1])]);
}

#[test]
fn the_share_of_failures_ejects_with_the_least_number_of_results() {
    let policy = OutlierPolicy::new().consecutive(1000).error_rate(50, 20);
    let (mut outlier, ids, now) = outlier(policy, 2);
    for _ in 1..20 {
        assert_eq!(outlier.record(ids[0], Outcome::Failure, now), None);
    }
    // Each result weighs a tenth: 1 - 0.9^19.
    let rate = outlier.error_rate(ids[0]).expect("a member");
    assert!((rate - 0.864_915).abs() < 1e-6, "{rate}");
    assert_eq!(outlier.error_rate(ids[1]), Some(0.0));
    let ejection = outlier.record(ids[0], Outcome::Failure, now);
    assert_eq!(ejection.expect("the twentieth").cause, Cause::ErrorRate);
}

#[test]
fn intervals_follow_one_another_however_late_they_are_looked_at() {
    let interval = 10 * SECOND;
    let (mut outlier, _, now) = outlier(OutlierPolicy::new(), 2);
    assert_eq!(outlier.next_at(), now + interval);
    // When it is looked at, and when the next interval ends, both in intervals.
    for (looked, next) in [(1.0, 2), (2.5, 3), (3.0, 4), (7.9, 8), (20.0, 21)] {
        drain(&mut outlier, now + interval.mul_f64(looked));
        assert_eq!(outlier.next_at(), now + interval * next);
    }
}

#[test]
fn success_rates_are_compared_among_no_fewer_members_than_told() {
    for (members, ejected) in [(6, 0), (7, 1), (8, 1)] {
        let policy = OutlierPolicy::new().success_rate(7, 100);
        let (mut outlier, ids, now) = outlier(policy, members);
        for n in 0..100 {
            for id in &ids {
                let outcome = match *id == ids[1] && n % 5 == 0 {
                    true => Outcome::Failure,
                    false => Outcome::Success,
                };
                assert_eq!(outlier.record(*id, outcome, now), None);
            }
        }
        assert_eq!(drain(&mut outlier, now + 10 * SECOND - NANOSECOND), []);
        assert_eq!(drain(&mut outlier, now + 10 * SECOND).len(), ejected);
    }
}

#[test]
fn after_the_longest_ejections_each_healthy_interval_takes_one_step_off() {
    let (mut outlier, ids, mut now) = outlier(OutlierPolicy::new(), 2);
    // The longest is the tenth.
    for times in [10, 11, 13] {
        let mut outlier = outlier.clone();
        for _ in 0..times {
            now = eject(&mut outlier, ids[0], now);
            drain(&mut outlier, now);
        }
        for seconds in [300, 300, 270, 240] {
            let until = eject(&mut outlier.clone(), ids[0], now);
            assert_eq!(until - now, seconds * SECOND, "after {times}");
            now += 10 * SECOND;
            drain(&mut outlier, now);
        }
    }
    assert_eq!(drain(&mut outlier, now), []);
}

#[test]
fn fewer_results_are_no_worse_for_being_fewer() {
    let (mut outlier, ids, now) = outlier(OutlierPolicy::new(), 8);
    for n in 0..300 {
        for id in &ids {
            if *id != ids[3] || n % 3 == 0 {
                outlier.record(*id, Outcome::Success, now);
            }
        }
    }
    assert_eq!(drain(&mut outlier, now + 10 * SECOND), []);
}
