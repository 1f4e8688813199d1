//! What a group does not do: too many probes at once, too many per round, giving up on everybody.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use health::{
    BatchAction, Event, Failure, Group, GroupAction, GroupPolicy, Monitor, MonitorPolicy, Outcome,
    Report, State, TargetId,
};

fn group(policy: GroupPolicy, targets: usize, now: Instant) -> (Group<usize>, Vec<TargetId>) {
    let mut group = Group::with_seed(policy, 9, now).expect("valid");
    let ids = (0..targets).map(|key| group.insert(key, now)).collect();
    (group, ids)
}

/// Runs for a while in virtual time; returns the events and how often each target was probed.
fn run(
    group: &mut Group<usize>,
    now: &mut Instant,
    span: Duration,
    answer: impl Fn(usize) -> Report,
) -> (Vec<Event>, HashMap<usize, u32>) {
    let end = *now + span;
    let mut events = Vec::new();
    let mut probes = HashMap::new();
    while *now < end {
        match group.poll(*now) {
            GroupAction::Probe(probe) => {
                let key = *group.key(probe.target).expect("a member");
                *probes.entry(key).or_default() += 1;
                events.extend(group.on_result(probe, answer(key), *now));
            }
            GroupAction::Event(event) => events.push(event),
            GroupAction::WaitUntil(until) => *now = until.expect("there are targets"),
        }
    }
    (events, probes)
}

#[test]
fn a_sample_is_all_that_a_round_probes_and_it_goes_round() {
    let mut now = Instant::now();
    let (mut group, _) = group(GroupPolicy::new().sample(Some(5)), 50, now);
    let (_, probes) = run(&mut group, &mut now, Duration::from_secs(300), |_| {
        Report::up()
    });
    let total: u32 = probes.values().sum();
    assert!((145..=155).contains(&total), "30 rounds of 5: {total}");
    assert_eq!(probes.len(), 50, "nobody is forgotten");
    assert!(
        probes.values().all(|times| (2..=4).contains(times)),
        "{probes:?}"
    );
}

#[test]
fn within_a_sample_a_doubtful_target_goes_first() {
    let mut now = Instant::now();
    let (mut group, ids) = group(GroupPolicy::new().sample(Some(5)), 50, now);
    run(&mut group, &mut now, Duration::from_secs(110), |_| {
        Report::up()
    });
    let answer = |key| {
        if key == 7 {
            Report::down(Failure::Connect)
        } else {
            Report::up()
        }
    };
    // One turn of all others at most, then two more rounds.
    run(&mut group, &mut now, Duration::from_secs(131), answer);
    assert!(!group.is_eligible(ids[7]));
}

#[test]
fn no_more_probes_are_in_flight_than_allowed_and_lost_ones_free_their_place() {
    let mut now = Instant::now();
    let (mut group, _) = group(GroupPolicy::new().parallel(4), 20, now);
    let mut started = 0;
    let end = now + Duration::from_secs(10);
    while now < end {
        match group.poll(now) {
            GroupAction::Probe(_) => started += 1,
            GroupAction::Event(_) => {}
            GroupAction::WaitUntil(until) => now = until.expect("there are targets"),
        }
        assert!(group.in_flight() <= 4);
    }
    assert!(
        (36..=44).contains(&started),
        "4 at a time, each for a second: {started}"
    );
}

#[test]
fn a_batch_holds_one_place_until_its_last_result() {
    let mut now = Instant::now();
    let policy = GroupPolicy::new()
        .parallel(1)
        .batch(8, Duration::from_millis(100));
    let (mut group, _) = group(policy, 100, now);
    let mut batch = Vec::new();
    let mut sizes = Vec::new();
    let end = now + Duration::from_secs(20);
    while now < end {
        match group.poll_batch(&mut batch, now) {
            BatchAction::Probe => {
                sizes.push(batch.len());
                assert_eq!(group.in_flight(), 1);
                for probe in batch.drain(..) {
                    let mut other = Vec::new();
                    let action = group.poll_batch(&mut other, now);
                    assert!(!matches!(action, BatchAction::Probe), "the place is taken");
                    group.on_result(probe, Report::up(), now);
                }
                assert_eq!(group.in_flight(), 0);
            }
            BatchAction::Event(_) => {}
            BatchAction::WaitUntil(until) => now = until.expect("there are targets"),
        }
    }
    assert!(
        sizes.iter().all(|size| *size <= 8) && sizes.contains(&8),
        "{sizes:?}"
    );
}

#[test]
fn below_half_everything_is_eligible_and_it_is_said() {
    let mut now = Instant::now();
    let policy = GroupPolicy::new().monitor(MonitorPolicy::new().startup_grace(None));
    let (mut group, _) = group(policy, 4, now);
    assert_eq!(group.eligible().count(), 4, "as long as nothing is known");
    let down = Report::down(Failure::Connect);
    let minute = Duration::from_secs(60);
    let (events, _) = run(&mut group, &mut now, minute, |_| Report::up());
    assert_eq!(
        events
            .iter()
            .filter(|event| **event == Event::Panic(false))
            .count(),
        1
    );
    let (events, _) = run(&mut group, &mut now, minute, |key| {
        if key < 2 { down } else { Report::up() }
    });
    assert_eq!(group.eligible().count(), 2, "half is enough");
    assert!(!events.contains(&Event::Panic(true)));
    let (events, _) = run(&mut group, &mut now, minute, |key| {
        if key < 3 { down } else { Report::up() }
    });
    assert_eq!(group.eligible().count(), 4);
    assert_eq!(
        events
            .iter()
            .filter(|event| **event == Event::Panic(true))
            .count(),
        1
    );
    let (events, _) = run(&mut group, &mut now, minute, |_| Report::up());
    assert!(events.contains(&Event::Panic(false)));
}

#[test]
fn growing_a_group_is_no_reason_to_panic() {
    let mut now = Instant::now();
    let (mut group, _) = group(GroupPolicy::new(), 2, now);
    run(&mut group, &mut now, Duration::from_secs(20), |_| {
        Report::up()
    });
    let newcomers: Vec<TargetId> = (2..10).map(|key| group.insert(key, now)).collect();
    assert!(!group.is_panicking());
    assert!(
        newcomers.iter().all(|id| !group.is_eligible(*id)),
        "not before they were asked"
    );
}

#[test]
fn the_first_targets_to_answer_do_not_get_all_the_work() {
    let mut now = Instant::now();
    let (mut group, _) = group(GroupPolicy::new(), 6, now);
    let mut answers = 0;
    while group.is_panicking() {
        assert_eq!(group.eligible().count(), 6, "after {answers} answers");
        match group.poll(now) {
            GroupAction::Probe(probe) => {
                group.on_result(probe, Report::up(), now);
                answers += 1;
            }
            GroupAction::Event(event) => panic!("{event:?}"),
            GroupAction::WaitUntil(until) => now = until.expect("there are targets"),
        }
    }
    assert_eq!((answers, group.eligible().count()), (3, 3));
}

#[test]
fn newcomers_that_still_start_are_no_reason_to_panic() {
    let mut now = Instant::now();
    let (mut group, _) = group(GroupPolicy::new(), 2, now);
    run(&mut group, &mut now, Duration::from_secs(20), |_| {
        Report::up()
    });
    let newcomers: Vec<TargetId> = (2..6).map(|key| group.insert(key, now)).collect();
    let second = Duration::from_secs(1);
    let (_, probes) = run(&mut group, &mut now, 8 * second, |key| match key {
        0 | 1 => Report::up(),
        _ => Report::down(Failure::Connect),
    });
    assert!((2..6).all(|key| probes.contains_key(&key)), "{probes:?}");
    for id in newcomers {
        let status = group.status(id).expect("a member");
        assert_eq!(status.state, State::Unknown, "within its grace");
    }
    assert!(!group.is_panicking());
}

#[test]
fn newcomers_do_not_prolong_a_panic() {
    let mut now = Instant::now();
    let minute = Duration::from_secs(60);
    let monitor = MonitorPolicy::new().startup_grace(Some(2 * minute));
    let (mut group, ids) = group(GroupPolicy::new().monitor(monitor), 4, now);
    let up_below = |bound| {
        move |key| match key < bound {
            true => Report::up(),
            false => Report::down(Failure::Connect),
        }
    };
    run(&mut group, &mut now, 3 * minute, up_below(1));
    assert!(group.is_panicking(), "one of four");
    for key in 4..10 {
        group.insert(key, now);
    }
    run(&mut group, &mut now, minute, up_below(2));
    assert!(!group.is_panicking(), "two of the four that are judged");
    assert!(group.eligible().eq([ids[0], ids[1]]));
}

#[test]
fn an_ejection_ends_at_its_time_and_not_at_the_next_probe() {
    let mut now = Instant::now();
    let (mut group, ids) = group(GroupPolicy::new(), 4, now);
    run(&mut group, &mut now, Duration::from_secs(20), |_| {
        Report::up()
    });
    let mut failures = (0..5).map(|_| group.record(ids[0], Outcome::Failure, now));
    let Some(Event::Ejected(ejection)) = failures.find_map(|event| event) else {
        panic!("five in a row")
    };
    let returned = loop {
        match group.poll(now) {
            GroupAction::Probe(probe) => {
                group.on_result(probe, Report::up(), now);
            }
            GroupAction::Event(Event::Returned(id)) => break id,
            GroupAction::Event(event) => panic!("{event:?}"),
            GroupAction::WaitUntil(until) => now = until.expect("there are targets"),
        }
    };
    assert_eq!((returned, now), (ids[0], ejection.until));
}

#[test]
fn a_suspected_target_is_probed_before_its_time() {
    let mut now = Instant::now();
    let (mut group, ids) = group(GroupPolicy::new().outlier(None), 1, now);
    run(&mut group, &mut now, Duration::from_secs(60), |_| {
        Report::up()
    });
    let GroupAction::Probe(probe) = group.poll(now) else {
        panic!("it is due")
    };
    group.on_result(probe, Report::up(), now);
    let due = group.monitor(ids[0]).map(Monitor::next_at);
    assert!(due > Some(now + Duration::from_secs(8)));
    assert_eq!(group.poll(now), GroupAction::WaitUntil(due));
    group.on_suspicion(ids[0], 4.0, now);
    let early = now + Duration::from_secs(1);
    assert_eq!(group.poll(now), GroupAction::WaitUntil(Some(early)));
    assert!(matches!(group.poll(early), GroupAction::Probe(_)));
}

#[test]
fn a_removed_target_is_gone_and_its_place_in_flight_is_free() {
    let mut now = Instant::now();
    let (mut group, ids) = group(GroupPolicy::new().parallel(1), 1, now);
    let probe = loop {
        match group.poll(now) {
            GroupAction::Probe(probe) => break probe,
            GroupAction::Event(event) => panic!("{event:?}"),
            GroupAction::WaitUntil(until) => now = until.expect("a target"),
        }
    };
    assert_eq!(group.remove(ids[0]), Some(0));
    assert_eq!((group.in_flight(), group.eligible().count()), (0, 0));
    assert_eq!(group.on_result(probe, Report::up(), now), None);
    assert_eq!(
        group.poll(now),
        GroupAction::WaitUntil(None),
        "nothing is left to do"
    );
    let newcomer = group.insert(1, now);
    assert_ne!(newcomer, ids[0], "names are not used twice");
    assert_eq!(group.status(ids[0]), None);
}
