//! Rise, fall and the pace of probes, seen from outside.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{Action, Change, Failure, Monitor, MonitorPolicy, Report, State, Weight};

struct Rig {
    monitor: Monitor<u8>,
    now: Instant,
}

impl Rig {
    fn new(policy: MonitorPolicy) -> Self {
        let now = Instant::now();
        let monitor = Monitor::new(policy, 3, now).expect("valid");
        Self { monitor, now }
    }

    /// Waits for the next probe and answers it; returns how long it waited.
    fn answer(&mut self, report: Report<u8>) -> (Duration, Option<Change<u8>>) {
        let before = self.now;
        loop {
            match self.monitor.poll(self.now) {
                Action::Probe(probe) => {
                    let waited = self.now - before;
                    return (waited, self.monitor.on_result(probe, report, self.now));
                }
                Action::WaitUntil(then) => self.now = then,
                Action::Changed(change) => panic!("nothing was lost: {change:?}"),
            }
        }
    }

    fn states(&mut self, reports: &[Report<u8>]) -> Vec<State> {
        let state = |report: &Report<u8>| {
            self.answer(*report);
            self.monitor.status().state
        };
        reports.iter().map(state).collect()
    }
}

const UP: Report<u8> = Report::up();
const DOWN: Report<u8> = Report::down(Failure::Connect);

#[test]
fn flapping_shorter_than_the_thresholds_changes_nothing() {
    let mut rig = Rig::new(MonitorPolicy::new());
    rig.answer(UP);
    for _ in 0..100 {
        assert_eq!(rig.states(&[DOWN, DOWN, UP]), [State::Up; 3]);
    }
    rig.states(&[DOWN, DOWN, DOWN]);
    for _ in 0..100 {
        assert_eq!(rig.states(&[UP, DOWN]), [State::Down; 2]);
    }
}

#[test]
fn three_failures_in_a_row_take_a_target_down_and_two_successes_bring_it_back() {
    let mut rig = Rig::new(MonitorPolicy::new());
    let found = rig.states(&[UP, DOWN, DOWN, DOWN, UP, UP]);
    use State::{Down, Up};
    assert_eq!(found, [Up, Up, Up, Down, Down, Up]);
}

#[test]
fn a_degraded_or_draining_result_obeys_the_thresholds_too() {
    for report in [Report::degraded(), Report::draining()] {
        let mut rig = Rig::new(MonitorPolicy::new());
        rig.answer(UP);
        assert_eq!(rig.states(&[report, report]), [State::Up; 2]);
        assert_eq!(rig.states(&[report]), [report.state()]);
    }
}

#[test]
fn a_change_is_told_once_with_its_reason() {
    let mut rig = Rig::new(MonitorPolicy::new());
    rig.answer(UP);
    assert_eq!(rig.answer(DOWN).1, None);
    assert_eq!(rig.answer(DOWN).1, None);
    let change = rig.answer(DOWN).1.expect("the third");
    assert_eq!(
        (change.from.state, change.to.state),
        (State::Up, State::Down)
    );
    assert_eq!(change.failure, Some(Failure::Connect));
    assert_eq!(rig.answer(DOWN).1, None);
    assert_eq!(rig.monitor.consecutive_failures(), 4);
}

#[test]
fn a_role_changes_after_as_many_reports_as_a_rise() {
    let mut rig = Rig::new(MonitorPolicy::new());
    rig.answer(UP.with_role(1));
    assert_eq!(rig.monitor.status().role, Some(1), "the first is believed");
    rig.answer(UP.with_role(2));
    rig.answer(UP.with_role(1));
    rig.answer(UP.with_role(2));
    assert_eq!(rig.monitor.status().role, Some(1));
    rig.answer(DOWN);
    rig.answer(UP.with_role(2));
    assert_eq!(
        rig.monitor.status().role,
        Some(2),
        "silence does not interrupt"
    );
}

#[test]
fn the_weight_is_that_of_the_last_result_that_agrees_with_the_belief() {
    let mut rig = Rig::new(MonitorPolicy::new());
    rig.answer(UP.with_weight(Weight::percent(80)));
    rig.answer(Report::degraded().with_weight(Weight::percent(5)));
    assert_eq!(rig.monitor.status().weight, Weight::percent(80));
    rig.states(&[Report::degraded(), DOWN]);
    assert_eq!(rig.monitor.status().state, State::Degraded);
    assert_eq!(rig.monitor.status().weight, Weight::HALF);
    rig.states(&[DOWN, DOWN]);
    assert_eq!(rig.monitor.status().weight, Weight::NONE);
}

#[test]
fn the_pace_is_fast_in_transition_slow_when_down_and_steady_else() {
    let policy = MonitorPolicy::new().jitter_percent(0);
    let mut rig = Rig::new(policy);
    let [fast, steady, slow] = [1, 10, 30].map(Duration::from_secs);
    assert!(rig.answer(UP).0 <= fast, "the first verdict comes soon");
    let spread = rig.answer(UP).0;
    assert!(
        spread >= fast && spread <= steady,
        "the phases are spread once"
    );
    let waits: Vec<Duration> = [UP, DOWN, DOWN, DOWN, DOWN, UP, UP, UP]
        .into_iter()
        .map(|report| rig.answer(report).0)
        .collect();
    assert_eq!(
        waits,
        [steady, steady, fast, fast, slow, slow, fast, steady]
    );
}

#[test]
fn a_target_that_starts_is_probed_fast_and_not_called_down() {
    let mut rig = Rig::new(MonitorPolicy::new());
    let begin = rig.now;
    while rig.now < begin + Duration::from_millis(8_900) {
        let (waited, change) = rig.answer(DOWN);
        assert!(waited <= Duration::from_millis(1_100));
        assert_eq!(change, None);
    }
    rig.now = begin + Duration::from_secs(10);
    let found = rig.states(&[DOWN, DOWN, DOWN]);
    assert_eq!(found, [State::Unknown, State::Unknown, State::Down]);
}

#[test]
fn a_probe_that_is_not_answered_in_time_has_failed_and_its_answer_is_late() {
    let mut rig = Rig::new(MonitorPolicy::new().fall(1));
    rig.answer(UP);
    let probe = loop {
        match rig.monitor.poll(rig.now) {
            Action::Probe(probe) => break probe,
            Action::WaitUntil(then) => rig.now = then,
            Action::Changed(change) => panic!("{change:?}"),
        }
    };
    assert_eq!(
        rig.monitor.poll(rig.now),
        Action::WaitUntil(probe.deadline())
    );
    let mut punctual = rig.monitor.clone();
    let Action::Changed(change) = rig.monitor.poll(probe.deadline()) else {
        panic!("the probe is lost")
    };
    assert_eq!(change.failure, Some(Failure::Timeout));
    assert_eq!(rig.monitor.on_result(probe, UP, probe.deadline()), None);
    assert_eq!(rig.monitor.status().state, State::Down);
    // The same, when the late answer itself is the first to notice.
    let change = punctual
        .on_result(probe, UP, probe.deadline())
        .expect("down");
    assert_eq!(change.failure, Some(Failure::Timeout));
}

#[test]
fn suspicion_brings_the_next_probe_forward_but_no_further_than_the_fast_interval() {
    let mut rig = Rig::new(MonitorPolicy::new());
    rig.answer(UP);
    rig.answer(UP);
    let due = rig.monitor.next_at();
    rig.monitor.on_suspicion(2.9, rig.now);
    assert_eq!(rig.monitor.next_at(), due);
    rig.monitor.on_suspicion(3.0, rig.now);
    assert_eq!(rig.monitor.next_at(), rig.now + Duration::from_secs(1));
    rig.monitor.on_suspicion(f64::NAN, rig.now);
    assert_eq!(rig.monitor.status().state, State::Up);
}

#[test]
fn first_probes_are_spread_over_the_fast_interval() {
    let now = Instant::now();
    let policy = MonitorPolicy::new();
    let mut first: Vec<_> = (0..100)
        .map(|seed| {
            let mut monitor = Monitor::<u8>::new(policy, seed, now).expect("valid");
            match monitor.poll(now) {
                Action::WaitUntil(then) => then - now,
                _ => Duration::ZERO,
            }
        })
        .collect();
    first.sort_unstable();
    let fast = Duration::from_secs(1);
    assert!(first[0] < fast / 5 && first[50] > fast / 5 && first[99] > fast * 4 / 5);
    assert!(first[99] <= fast, "{:?}", first[99]);
}

#[test]
fn a_target_is_starting_until_its_grace_is_over() {
    let grace = Duration::from_secs(10);
    let policy = MonitorPolicy::new().fall(1).startup_grace(Some(grace));
    let early = grace - Duration::from_nanos(1);
    for (age, state) in [(early, State::Unknown), (grace, State::Down)] {
        let mut rig = Rig::new(policy);
        rig.now += age;
        rig.answer(DOWN);
        assert_eq!(rig.monitor.status().state, state, "{age:?}");
    }
}
