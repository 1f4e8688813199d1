//! Once a group has its targets, neither `poll` nor anything that is told to it allocates.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{Failure, Group, GroupAction, GroupPolicy, Outcome, Report, TargetId};

#[test]
fn a_running_group_allocates_nothing() {
    let mut now = Instant::now();
    let mut group = Group::<u32>::with_seed(GroupPolicy::new(), 1, now).expect("valid");
    let ids: Vec<TargetId> = (0..100).map(|key| group.insert(key, now)).collect();
    let end = now + Duration::from_secs(600);
    let mut probes = 0;
    let mut events = 0;
    let allocations = allocation_counter::measure(|| {
        while now < end {
            match group.poll(now) {
                GroupAction::Probe(probe) => {
                    probes += 1;
                    // Every tenth answer is bad, every fiftieth never comes.
                    let report = if probes % 10 < 3 {
                        Report::down(Failure::Status)
                    } else {
                        Report::up()
                    };
                    if probes % 50 != 0 {
                        group.on_result(probe, report, now);
                    }
                    group.on_suspicion(ids[probes % 100], 4.0, now);
                    group.record(ids[probes % 7], Outcome::Failure, now);
                }
                GroupAction::Event(_) => events += 1,
                GroupAction::WaitUntil(until) => now = until.expect("there are targets"),
            }
        }
    });
    assert!(
        probes > 5_000 && events > 10,
        "{probes} probes, {events} events"
    );
    assert_eq!(allocations.count_total, 0);
}
