//! Real outcomes: who is ejected, for how long, and how many at a time.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{
    Cause, Event, Group, GroupAction, GroupPolicy, Outcome, Outlier, OutlierEvent, OutlierPolicy,
    Report, State, TargetId,
};

const SECOND: Duration = Duration::from_secs(1);

fn fail(outlier: &mut Outlier, id: TargetId, now: Instant) -> Option<Instant> {
    let mut failures = (0..5).map(|_| outlier.record(id, Outcome::Failure, now));
    failures.find_map(|ejection| Some(ejection?.until))
}

/// Polls until nothing is left to say.
fn drain(outlier: &mut Outlier, now: Instant) -> Vec<OutlierEvent> {
    std::iter::from_fn(|| outlier.poll(now)).collect()
}

#[test]
fn each_ejection_lasts_longer_up_to_the_maximum() {
    let mut now = Instant::now();
    let mut outlier = Outlier::new(OutlierPolicy::new(), now).expect("valid");
    let ids = [(); 2].map(|()| outlier.insert());
    for seconds in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300] {
        // Back at its time, and failing again at once: no healthy interval between.
        let until = fail(&mut outlier, ids[0], now).expect("five in a row");
        assert_eq!(until - now, seconds * SECOND);
        drain(&mut outlier, until - SECOND / 1_000);
        assert_eq!(outlier.ejected(), 1);
        now = until;
        assert!(drain(&mut outlier, now).contains(&OutlierEvent::Returned(ids[0])));
    }
}

#[test]
fn the_multiplier_steps_back_once_per_healthy_interval() {
    let mut now = Instant::now();
    let mut outlier = Outlier::new(OutlierPolicy::new(), now).expect("valid");
    let ids = [(); 2].map(|()| outlier.insert());
    for _ in 0..3 {
        now = fail(&mut outlier, ids[0], now).expect("ejected");
        drain(&mut outlier, now);
    }
    for seconds in [120, 90, 60, 30, 30] {
        let until = fail(&mut outlier.clone(), ids[0], now).expect("ejected");
        assert_eq!(until - now, seconds * SECOND);
        now += 10 * SECOND;
        drain(&mut outlier, now);
    }
}

#[test]
fn half_of_the_members_may_be_out_counted_after_the_ejection() {
    let now = Instant::now();
    for members in 1..=9 {
        let mut outlier = Outlier::new(OutlierPolicy::new(), now).expect("valid");
        let ids: Vec<TargetId> = (0..members).map(|_| outlier.insert()).collect();
        let ejected = ids
            .iter()
            .filter(|id| fail(&mut outlier, **id, now).is_some())
            .count();
        assert_eq!(ejected, members / 2);
        assert!(outlier.spared() > 0);
    }
}

#[test]
fn failures_between_successes_eject_by_their_rate() {
    let now = Instant::now();
    let mut outlier = Outlier::new(OutlierPolicy::new(), now).expect("valid");
    let ids = [(); 2].map(|()| outlier.insert());
    let causes: Vec<Cause> = (0..200)
        .map(|n| {
            if n % 4 == 0 {
                Outcome::Success
            } else {
                Outcome::Failure
            }
        })
        .filter_map(|outcome| Some(outlier.record(ids[0], outcome, now)?.cause))
        .collect();
    assert_eq!(causes, [Cause::ErrorRate]);
    let tenth = |n| {
        if n % 10 == 0 {
            Outcome::Failure
        } else {
            Outcome::Success
        }
    };
    assert!((0..1_000).all(|n| outlier.record(ids[1], tenth(n), now).is_none()));
}

#[test]
fn a_success_rate_far_below_the_group_ejects_at_the_end_of_the_interval() {
    let mut now = Instant::now();
    let mut outlier = Outlier::new(OutlierPolicy::new(), now).expect("valid");
    let ids: Vec<TargetId> = (0..6).map(|_| outlier.insert()).collect();
    let interval = |outlier: &mut Outlier, bad: u32, now| {
        for n in 0..100 {
            for (position, id) in ids.iter().enumerate() {
                let failed = position == 2 && n % 5 < bad;
                let outcome = if failed {
                    Outcome::Failure
                } else {
                    Outcome::Success
                };
                assert_eq!(outlier.record(*id, outcome, now), None);
            }
        }
    };
    interval(&mut outlier, 0, now);
    now += 10 * SECOND;
    assert_eq!(drain(&mut outlier, now), [], "all alike");
    interval(&mut outlier, 1, now);
    assert_eq!(outlier.poll(now), None, "not before the interval ends");
    now += 10 * SECOND;
    let events = drain(&mut outlier, now);
    let [OutlierEvent::Ejected(ejection)] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (ejection.target, ejection.cause),
        (ids[2], Cause::SuccessRate)
    );
}

/// A health check that lies: every probe is good, every operation fails.
#[test]
fn a_failed_operation_outranks_every_good_probe() {
    let begin = Instant::now();
    let mut now = begin;
    let mut group = Group::<&str>::with_seed(GroupPolicy::new(), 1, now).expect("valid");
    let liar = group.insert("liar", now);
    for key in ["a", "b", "c"] {
        group.insert(key, now);
    }
    let mut changes = Vec::new();
    while now < begin + 1_200 * SECOND {
        let until = loop {
            match group.poll(now) {
                GroupAction::Probe(probe) => {
                    group.on_result(probe, Report::up(), now);
                    let out = group.outlier().expect("on").ejected_until(liar).is_some();
                    assert_eq!(group.is_eligible(liar), !out && status_up(&group, liar));
                }
                GroupAction::Event(Event::Ejected(_) | Event::Returned(_)) => changes.push(now),
                GroupAction::Event(_) => {}
                GroupAction::WaitUntil(until) => break until.expect("targets"),
            }
        };
        if status_up(&group, liar) && group.is_eligible(liar) {
            // Traffic goes to whoever is eligible.
            let ejected = group.record(liar, Outcome::Failure, now);
            changes.extend(ejected.map(|_| now));
        }
        now = until.min(now + SECOND / 10);
    }
    assert_eq!(
        group.status(liar).expect("a member").state,
        State::Up,
        "the probes still lie"
    );
    // At most one ejection and one return per damping window of 30 s x n.
    assert!(changes.len() >= 8, "{}", changes.len());
    for (ejection, pair) in changes.chunks_exact(2).enumerate() {
        let window = 30 * SECOND * (ejection as u32 + 1).min(10);
        assert!(
            pair[1] - pair[0] >= window,
            "{ejection}: {:?}",
            pair[1] - pair[0]
        );
    }
}

fn status_up(group: &Group<&str>, id: TargetId) -> bool {
    group
        .status(id)
        .is_some_and(|status| status.state == State::Up)
}
