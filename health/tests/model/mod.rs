//! Random operations against naive models, for the property tests and the fuzz targets alike.
//!
//! An operation is four bytes; every sequence of bytes is a history. The models keep whole
//! histories and judge them afresh after every step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use health::{
    Action, Cause, Event, Failure, Group, GroupAction, GroupPolicy, Monitor, MonitorPolicy,
    Outcome, Outlier, OutlierEvent, OutlierPolicy, Probe, Report, State, TargetId, TargetProbe,
    Weight,
};

pub(crate) type Operation = [u8; 4];

const RISE: usize = 2;
const FALL: usize = 3;
const SCALE: [State; 4] = [State::Up, State::Degraded, State::Draining, State::Down];

fn severity(state: State) -> usize {
    SCALE.iter().position(|level| *level == state).unwrap_or(0)
}

fn report(byte: u8) -> Report<u8> {
    let report = match byte % 4 {
        0 => Report::up().with_weight(Weight::percent(byte)),
        1 => Report::degraded(),
        2 => Report::draining(),
        _ => Report::down(Failure::Status),
    };
    match (byte >> 2) % 4 {
        0 => report,
        role => report.with_role(role),
    }
}

/// A target's whole history, and the belief that follows from it.
#[derive(Default)]
struct History {
    results: Vec<State>,
    roles: Vec<u8>,
    belief: Option<State>,
    role: Option<u8>,
}

impl History {
    fn add(&mut self, found: State, role: Option<u8>, starting: bool) {
        if let Some(role) = role {
            self.roles.push(role);
            let last = &self.roles[self.roles.len().saturating_sub(RISE)..];
            let agreed = last.len() == RISE && last.iter().all(|other| *other == role);
            if self.role.is_none() || agreed {
                self.role = Some(role);
            }
        }
        if self.belief.is_none() && found == State::Down && starting {
            return;
        }
        self.results.push(found);
        if self.belief.is_none() && found != State::Down {
            self.belief = Some(found);
            return;
        }
        let here = self.belief.map_or(0, severity);
        let last = |count: usize| {
            let from = self.results.len().checked_sub(count)?;
            Some(self.results[from..].iter().map(|state| severity(*state)))
        };
        let worse = last(FALL)
            .and_then(Iterator::min)
            .filter(|level| *level > here);
        let better = last(RISE)
            .and_then(Iterator::max)
            .filter(|level| *level < here);
        if let Some(level) = worse.or(better) {
            self.belief = Some(SCALE[level]);
        }
    }

    fn state(&self) -> State {
        self.belief.unwrap_or(State::Unknown)
    }
}

/// Moves a clock by one operation's worth, now and then backwards.
fn advance(now: Instant, start: Instant, next: Option<Instant>, amount: u8) -> Instant {
    match (amount % 8, next) {
        (0..=3, Some(next)) => now.max(next),
        (4, _) => now
            .checked_sub(Duration::from_millis(300))
            .unwrap_or(now)
            .max(start),
        _ => now + Duration::from_millis(u64::from(amount) * 11),
    }
}

fn take<T>(from: &mut Vec<T>, wanted: impl FnMut(&T) -> bool) -> Vec<T> {
    let (taken, kept) = from.drain(..).partition(wanted);
    *from = kept;
    taken
}

/// One monitor: belief, one probe at a time, late results ignored, starts apart.
pub(crate) fn drive_monitor(operations: &[Operation]) {
    let start = Instant::now();
    let mut now = start;
    let mut monitor = Monitor::<u8>::new(MonitorPolicy::new(), 1, now).expect("valid");
    let mut history = History::default();
    let mut flight: Option<Probe> = None;
    let mut stale: Vec<Probe> = Vec::new();
    let mut last_start: Option<Instant> = None;
    for [kind, argument, byte, _] in operations {
        let before = monitor.status();
        let lost = flight.filter(|probe| probe.deadline() <= now);
        let starting = now.saturating_duration_since(start) < Duration::from_secs(10);
        let mut told = None;
        match kind % 5 {
            0 => now = advance(now, start, Some(monitor.next_at()), *argument),
            1 => {
                if let Some(probe) = lost {
                    history.add(State::Down, None, starting);
                    stale.push(probe);
                    flight = None;
                }
                match monitor.poll(now) {
                    Action::Probe(probe) => {
                        assert!(flight.is_none(), "one probe at a time");
                        if let Some(last) = last_start.replace(now) {
                            let apart = now.saturating_duration_since(last);
                            assert!(apart >= Duration::from_millis(900), "too early");
                        }
                        flight = Some(probe);
                    }
                    Action::Changed(change) => told = Some(change),
                    Action::WaitUntil(then) => {
                        let latest = last_start.unwrap_or(start) + Duration::from_secs(33);
                        assert!(then > now && then <= latest.max(now), "{then:?}");
                    }
                }
            }
            2 => {
                let Some(probe) = flight.take() else { continue };
                let report = report(*byte);
                match lost {
                    Some(_) => history.add(State::Down, None, starting),
                    None => history.add(report.state(), report.role().copied(), starting),
                }
                stale.push(probe);
                told = monitor.on_result(probe, report, now);
            }
            3 => {
                let Some(probe) = stale.last() else { continue };
                assert_eq!(monitor.on_result(*probe, report(*byte), now), None, "late");
            }
            _ => monitor.on_suspicion(f64::from(*byte), now),
        }
        let status = monitor.status();
        assert_eq!(status.state, history.state());
        assert_eq!(status.role, history.role);
        assert_eq!(monitor.is_probing(), flight.is_some());
        assert_eq!(
            told.is_some(),
            before != status,
            "each change is told, and only changes"
        );
    }
}

#[derive(Default)]
struct Member {
    outcomes: Vec<bool>,
    until: Option<Instant>,
}

impl Member {
    fn deserves_ejection(&self) -> bool {
        let outcomes = &self.outcomes;
        let run = outcomes
            .iter()
            .rev()
            .take_while(|success| !**success)
            .count();
        let mean = outcomes.iter().fold(0.0, |mean: f64, success| {
            let failed = if *success { 0.0 } else { 1.0 };
            mean + 0.1 * (failed - mean)
        });
        run >= 5 || (run > 0 && outcomes.len() >= 20 && mean >= 0.5)
    }
}

/// A detector: every rule recomputed from all outcomes, the share of ejected members bounded.
pub(crate) fn drive_outlier(operations: &[Operation]) {
    let start = Instant::now();
    let mut now = start;
    let policy = OutlierPolicy::new().success_rate(3, 10).error_rate(50, 20);
    let mut outlier = Outlier::new(policy, now).expect("valid");
    let mut members: BTreeMap<TargetId, Member> = BTreeMap::new();
    for [kind, argument, byte, count] in operations {
        let id = members
            .keys()
            .nth(usize::from(*argument) % members.len().max(1))
            .copied();
        match (kind % 6, id) {
            (0, _) => now = advance(now, start, Some(outlier.next_at()), *argument),
            (1, _) if members.len() < 12 => {
                let id = outlier.insert();
                assert!(
                    members.insert(id, Member::default()).is_none(),
                    "a name used twice"
                );
            }
            (2, Some(id)) if byte % 8 == 0 => {
                members.remove(&id);
                assert!(outlier.remove(id));
                assert!(!outlier.remove(id), "removed once");
                assert_eq!(outlier.record(id, Outcome::Failure, now), None);
            }
            (3, _) => poll_outlier(&mut outlier, &mut members, now),
            (_, Some(id)) => {
                for _ in 0..count % 32 {
                    let ejected = members.values().filter(|m| m.until.is_some()).count();
                    let allowed = (ejected + 1) * 2 <= members.len();
                    let member = members.get_mut(&id).expect("chosen from the members");
                    let success = byte % 4 == 0;
                    let outcome = if success {
                        Outcome::Success
                    } else {
                        Outcome::Failure
                    };
                    let ejection = outlier.record(id, outcome, now);
                    if member.until.is_some() {
                        assert_eq!(ejection, None, "out is out");
                        continue;
                    }
                    member.outcomes.push(success);
                    assert_eq!(ejection.is_some(), member.deserves_ejection() && allowed);
                    member.until = ejection.map(|ejection| ejection.until);
                }
            }
            _ => {}
        }
        let ejected = members
            .values()
            .filter(|member| member.until.is_some())
            .count();
        assert_eq!(outlier.ejected(), ejected);
        for (id, member) in &members {
            assert_eq!(outlier.ejected_until(*id), member.until);
        }
    }
}

fn poll_outlier(outlier: &mut Outlier, members: &mut BTreeMap<TargetId, Member>, now: Instant) {
    for _ in 0..64 {
        match outlier.poll(now) {
            None => break,
            Some(OutlierEvent::Returned(id)) => {
                let member = members.get_mut(&id).expect("only members return");
                assert!(member.until.take().expect("was ejected") <= now);
                member.outcomes.clear();
            }
            Some(OutlierEvent::Ejected(ejection)) => {
                assert_eq!(ejection.cause, Cause::SuccessRate);
                let member = members.get_mut(&ejection.target).expect("only members go");
                assert!(
                    member.until.replace(ejection.until).is_none(),
                    "ejected once"
                );
                assert!(
                    outlier.ejected() * 2 <= members.len(),
                    "more than half ejected"
                );
            }
        }
    }
    assert!(
        outlier.poll(now).is_none() && outlier.next_at() > now,
        "poll comes to rest"
    );
}

const PARALLEL: u32 = 3;
const SAMPLE: u32 = 6;

/// A group: limits in flight and per round, eligibility, panic, no removed targets.
pub(crate) fn drive_group(operations: &[Operation]) {
    let start = Instant::now();
    let mut now = start;
    let policy = GroupPolicy::new()
        .parallel(PARALLEL)
        .sample(Some(SAMPLE))
        .monitor(MonitorPolicy::new().startup_grace(None));
    let mut group = Group::<u32, u8>::with_seed(policy, 5, now).expect("valid");
    let mut members: BTreeMap<TargetId, History> = BTreeMap::new();
    let mut flights: Vec<TargetProbe> = Vec::new();
    let mut stale: Vec<TargetProbe> = Vec::new();
    let mut starts: Vec<Instant> = Vec::new();
    let mut next = None;
    for [kind, argument, byte, _] in operations {
        let id = members
            .keys()
            .nth(usize::from(*argument) % members.len().max(1))
            .copied();
        match (kind % 8, id) {
            // Rounds are promised along a clock that does not go back.
            (0 | 1, _) => now = advance(now, start, next, *argument).max(now),
            (2, _) if members.len() < 12 => {
                let id = group.insert(u32::from(*byte), now);
                assert!(
                    members.insert(id, History::default()).is_none(),
                    "a name used twice"
                );
            }
            (3, Some(id)) if byte % 8 == 0 => {
                members.remove(&id);
                assert!(group.remove(id).is_some());
                assert!(group.remove(id).is_none(), "removed once");
                stale.extend(take(&mut flights, |probe| probe.target == id));
            }
            (4, _) => {
                let Some(probe) = flights.pop() else { continue };
                answer(&mut group, &mut members, probe, report(*byte), now);
                stale.push(probe);
            }
            (5, _) => {
                let Some(probe) = stale.last() else { continue };
                assert_eq!(group.on_result(*probe, report(*byte), now), None, "late");
            }
            (6, Some(id)) => {
                for _ in 0..byte % 6 {
                    group.record(id, Outcome::Failure, now);
                }
            }
            _ => {
                for probe in take(&mut flights, |probe| probe.probe.deadline() <= now) {
                    let history = members.get_mut(&probe.target).expect("only members");
                    history.add(State::Down, None, false);
                    stale.push(probe);
                }
                next = drain(&mut group, &mut flights, &mut starts, now);
                assert!(
                    next.is_none_or(|next| next > now),
                    "waits for the future only"
                );
                assert!(
                    members.is_empty() || next.is_some(),
                    "something is always due"
                );
            }
        }
        check_bounds(&group, &flights, &starts, now);
        check_eligibility(&group, &members);
    }
}

/// A probe comes back; by its deadline it counts, whatever it says, as down.
fn answer(
    group: &mut Group<u32, u8>,
    members: &mut BTreeMap<TargetId, History>,
    probe: TargetProbe,
    report: Report<u8>,
    now: Instant,
) {
    let history = members
        .get_mut(&probe.target)
        .expect("only members are probed");
    if probe.probe.deadline() <= now {
        history.add(State::Down, None, false);
    } else {
        history.add(report.state(), report.role().copied(), false);
    }
    group.on_result(probe, report, now);
}

/// Limits in flight and per round.
fn check_bounds(group: &Group<u32, u8>, flights: &[TargetProbe], starts: &[Instant], now: Instant) {
    assert!(flights.len() <= PARALLEL as usize && group.in_flight() == flights.len());
    let interval = Duration::from_secs(10);
    let recent = starts
        .iter()
        .filter(|at| now.saturating_duration_since(**at) < interval);
    // Two rounds touch any stretch as long as one.
    assert!(recent.count() <= 2 * SAMPLE as usize);
}

fn drain(
    group: &mut Group<u32, u8>,
    flights: &mut Vec<TargetProbe>,
    starts: &mut Vec<Instant>,
    now: Instant,
) -> Option<Instant> {
    for _ in 0..1_000 {
        match group.poll(now) {
            GroupAction::Probe(probe) => {
                let doubled = flights.iter().any(|other| other.target == probe.target);
                assert!(!doubled, "one probe at a time");
                flights.push(probe);
                starts.push(now);
            }
            GroupAction::Event(Event::Panic(panicking)) => {
                assert_eq!(panicking, group.is_panicking());
            }
            GroupAction::Event(_) => {}
            GroupAction::WaitUntil(then) => return then,
        }
    }
    panic!("poll never comes to rest");
}

fn check_eligibility(group: &Group<u32, u8>, members: &BTreeMap<TargetId, History>) {
    let outlier = group.outlier().expect("switched on");
    let mut available = Vec::new();
    let mut unknown = 0;
    for (id, history) in members {
        assert_eq!(group.status(*id).expect("a member").state, history.state());
        let ejected = outlier.ejected_until(*id).is_some();
        unknown += usize::from(history.state() == State::Unknown && !ejected);
        if history.state().serves() && !ejected {
            available.push(*id);
        }
    }
    let eligible: Vec<TargetId> = group.eligible().collect();
    if group.is_panicking() {
        assert_eq!(eligible.len(), members.len(), "in panic all are eligible");
    } else {
        assert_eq!(eligible, available, "else the available ones are");
        assert!(
            available.len() * 2 >= members.len() - unknown,
            "half are gone and no panic"
        );
    }
    assert!(
        members.is_empty() || !eligible.is_empty(),
        "nobody is eligible"
    );
}
