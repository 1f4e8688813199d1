//! Many targets: whom to probe next, whom to send work to.
//!
//! A group joins a [`Monitor`] for each target with an [`Outlier`] detector over all, under three
//! limits: probes in flight, probes per round, and the share of targets that may be taken out. It
//! is as pure as its parts: the caller brings the time and does the probes.
//!
//! A target is *available* if its monitor says that it serves and it is not ejected. *Eligible*
//! are the available ones; but below the panic threshold, when half of the targets or more seem to
//! be gone, all are: then the observer is more likely to be at fault than the observed, and the few
//! that are left could not carry the load.
//!
//! Who disagrees with the belief about it is probed before all others; after that the one that has
//! been due for longest. A slow target holds one of the places in flight until its deadline, and
//! nobody waits for it while there are others.

mod batches;
mod event;
mod policy;

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use crate::schedule::mix;
use crate::target::Targets;
use crate::timetable::Timetable;
use crate::{
    ConfigErrors, Ejection, Monitor, Outcome, Outlier, OutlierEvent, Report, State, Status,
    TargetId,
};

use batches::Batches;
pub use event::{BatchAction, Event, GroupAction, TargetProbe};
pub use policy::GroupPolicy;

/// Targets with keys of type `K` (an address, say) and roles of type `R`.
///
/// ```
/// use std::time::Instant;
/// use health::{Group, GroupAction, GroupPolicy, Report};
///
/// let mut now = Instant::now();
/// let mut group = Group::<&str>::new(GroupPolicy::new(), now)?;
/// for address in ["10.0.0.1:5432", "10.0.0.2:5432"] {
///     group.insert(address, now);
/// }
/// let mut verdicts = 0;
/// while verdicts < 2 {
///     match group.poll(now) {
///         GroupAction::Probe(probe) => {
///             let address = group.key(probe.target).expect("not removed");
///             assert!(address.starts_with("10.0.0.")); // ask it
///             verdicts += group.on_result(probe, Report::up(), now).iter().count();
///         }
///         GroupAction::Event(event) => println!("{event:?}"),
///         GroupAction::WaitUntil(then) => now = then.expect("there are targets"),
///     }
/// }
/// assert_eq!(group.eligible().count(), 2);
/// # Ok::<(), health::ConfigErrors>(())
/// ```
#[derive(Debug, Clone)]
pub struct Group<K, R = ()> {
    policy: GroupPolicy,
    seed: u64,
    targets: Targets<Target<K, R>>,
    /// Each target is in exactly one of these three: a doubt to confirm, all as believed, in flight.
    urgent: Timetable,
    routine: Timetable,
    flights: Timetable,
    batches: Batches,
    round: Round,
    outlier: Option<Outlier>,
    tally: Tally,
    /// Whether half of the targets have been available, or all judged, at some time.
    warm: bool,
    panicking: bool,
    announced_panic: bool,
}

#[derive(Debug, Clone)]
struct Target<K, R> {
    key: K,
    monitor: Monitor<R>,
    batch: u32,
    counted: Standing,
}

/// How many targets stand where. Kept up to date because counting ten thousand for each result
/// would be quadratic; `check` recounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    unknown: u32,
    available: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Available,
    Gone,
}

/// Probes left to start in this round.
#[derive(Debug, Clone, Copy)]
struct Round {
    ends: Instant,
    left: u32,
}

impl<K, R: Copy + Eq> Group<K, R> {
    /// An empty group, with a seed of its own: no two processes probe in step.
    ///
    /// # Errors
    /// If the policy breaks a rule.
    pub fn new(policy: GroupPolicy, now: Instant) -> Result<Self, ConfigErrors> {
        Self::with_seed(policy, RandomState::new().hash_one("health"), now)
    }

    /// An empty group whose schedule follows from the seed.
    ///
    /// # Errors
    /// If the policy breaks a rule.
    pub fn with_seed(policy: GroupPolicy, seed: u64, now: Instant) -> Result<Self, ConfigErrors> {
        policy.validate()?;
        Ok(Self {
            policy,
            seed,
            targets: Targets::new(),
            urgent: Timetable::default(),
            routine: Timetable::default(),
            flights: Timetable::default(),
            batches: Batches::new(policy.parallel),
            round: Round { ends: now, left: 0 },
            outlier: policy
                .outlier
                .map(|policy| Outlier::with_valid(policy, now)),
            tally: Tally::default(),
            warm: false,
            panicking: true,
            announced_panic: true,
        })
    }

    /// Adds a target. It is not available before its first good probe.
    pub fn insert(&mut self, key: K, now: Instant) -> TargetId {
        // The seed of a target depends on how many there were before it, not on its place.
        self.seed = mix(self.seed, 1);
        let monitor = Monitor::with_valid(self.policy.monitor, self.seed, now);
        let id = self.targets.insert(Target {
            key,
            monitor,
            batch: 0,
            counted: Standing::Unknown,
        });
        self.tally.unknown += 1;
        let bound = self.targets.bound();
        for timetable in [&mut self.urgent, &mut self.routine, &mut self.flights] {
            timetable.reserve(bound);
        }
        if let Some(outlier) = &mut self.outlier {
            let member = outlier.insert();
            debug_assert_eq!(member, id, "both tables see the same members");
        }
        self.reschedule(id);
        self.judge_panic();
        self.check();
        id
    }

    /// Removes a target and gives its key back. A probe in flight is forgotten.
    pub fn remove(&mut self, id: TargetId) -> Option<K> {
        let target = self.targets.remove(id)?;
        if target.monitor.is_probing() {
            self.batches.settle(target.batch);
        }
        for timetable in [&mut self.urgent, &mut self.routine, &mut self.flights] {
            timetable.remove(id.index());
        }
        if let Some(outlier) = &mut self.outlier {
            outlier.remove(id);
        }
        match target.counted {
            Standing::Unknown => self.tally.unknown -= 1,
            Standing::Available => self.tally.available -= 1,
            Standing::Gone => {}
        }
        self.judge_panic();
        self.check();
        Some(target.key)
    }

    /// Says what to do now. Call it again after every answer but [`GroupAction::WaitUntil`].
    pub fn poll(&mut self, now: Instant) -> GroupAction<R> {
        if let Some(event) = self.poll_event(now) {
            return GroupAction::Event(event);
        }
        match self.open_batch(now) {
            Some((_, probe)) => GroupAction::Probe(probe),
            None => GroupAction::WaitUntil(self.next_at(now)),
        }
    }

    /// As `poll`, for probes that judge many targets in one call.
    ///
    /// After [`BatchAction::Probe`] the probes to do together are in `probes`: those that are due
    /// and those that will be within the batch window, up to the batch size. Together they count
    /// as one in flight, until the last of them is reported. What `probes` held before is lost.
    pub fn poll_batch(&mut self, probes: &mut Vec<TargetProbe>, now: Instant) -> BatchAction<R> {
        probes.clear();
        if let Some(event) = self.poll_event(now) {
            return BatchAction::Event(event);
        }
        let Some((batch, probe)) = self.open_batch(now) else {
            return BatchAction::WaitUntil(self.next_at(now));
        };
        probes.push(probe);
        let horizon = now + self.policy.batch_window;
        while probes.len() < self.policy.batch_size as usize {
            let Some(index) = self.next_due(horizon, now) else {
                break;
            };
            probes.push(self.start(index, batch, now));
        }
        BatchAction::Probe
    }

    /// Takes the result of a probe, and says what it changed.
    pub fn on_result(
        &mut self,
        probe: TargetProbe,
        report: Report<R>,
        now: Instant,
    ) -> Option<Event<R>> {
        let target = self.targets.get_mut(probe.target)?;
        let was_probing = target.monitor.is_probing();
        let change = target.monitor.on_result(probe.probe, report, now);
        if was_probing && !target.monitor.is_probing() {
            self.batches.settle(target.batch);
            self.reschedule(probe.target);
        }
        self.recount(probe.target);
        self.check();
        change.map(|change| Event::Changed(probe.target, change))
    }

    /// Takes the outcome of a real operation, which outranks any probe.
    ///
    /// A target that is ejected for it is also probed as soon as the fast interval allows; but
    /// whatever that probe says, the ejection lasts.
    pub fn record(&mut self, id: TargetId, outcome: Outcome, now: Instant) -> Option<Event<R>> {
        let ejection = self.outlier.as_mut()?.record(id, outcome, now)?;
        self.on_ejection(ejection, now);
        Some(Event::Ejected(ejection))
    }

    /// Passes a suspicion on to the monitor of a target: [`Monitor::on_suspicion`].
    pub fn on_suspicion(&mut self, id: TargetId, phi: f64, now: Instant) {
        if let Some(target) = self.targets.get_mut(id) {
            target.monitor.on_suspicion(phi, now);
            self.reschedule(id);
        }
    }

    /// The targets that work may be sent to. Empty only if the group is.
    pub fn eligible(&self) -> impl Iterator<Item = TargetId> {
        let all = self.panicking;
        let chosen = move |(id, target): (TargetId, &Target<K, R>)| {
            (all || target.counted == Standing::Available).then_some(id)
        };
        self.targets.iter().filter_map(chosen)
    }

    /// Whether work may be sent to this target.
    #[must_use]
    pub fn is_eligible(&self, id: TargetId) -> bool {
        let target = self.targets.get(id);
        target.is_some_and(|target| self.panicking || target.counted == Standing::Available)
    }

    /// Whether too few targets are available to be choosy. True of a group that has not had the
    /// time to judge its targets.
    #[must_use]
    pub const fn is_panicking(&self) -> bool {
        self.panicking
    }

    /// What the probes say of a target.
    #[must_use]
    pub fn status(&self, id: TargetId) -> Option<Status<R>> {
        Some(self.targets.get(id)?.monitor.status())
    }

    /// The monitor of a target.
    #[must_use]
    pub fn monitor(&self, id: TargetId) -> Option<&Monitor<R>> {
        Some(&self.targets.get(id)?.monitor)
    }

    /// The key of a target.
    #[must_use]
    pub fn key(&self, id: TargetId) -> Option<&K> {
        Some(&self.targets.get(id)?.key)
    }

    /// All targets with their keys.
    pub fn targets(&self) -> impl Iterator<Item = (TargetId, &K)> {
        self.targets.iter().map(|(id, target)| (id, &target.key))
    }

    /// The detector fed by [`Group::record`], unless it is switched off.
    #[must_use]
    pub const fn outlier(&self) -> Option<&Outlier> {
        self.outlier.as_ref()
    }

    /// How many probes, or batches of them, are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.batches.in_flight()
    }

    /// What time has brought about: lost probes, ejections, panic.
    fn poll_event(&mut self, now: Instant) -> Option<Event<R>> {
        while let Some((_, index)) = self.flights.first().filter(|(at, _)| *at <= now) {
            let (id, target) = self.targets.at_mut(index).expect("only members are probed");
            let change = target.monitor.expire(now);
            self.batches.settle(target.batch);
            self.reschedule(id);
            self.recount(id);
            self.check();
            if let Some(change) = change {
                return Some(Event::Changed(id, change));
            }
        }
        match self.outlier.as_mut().and_then(|outlier| outlier.poll(now)) {
            Some(OutlierEvent::Ejected(ejection)) => {
                self.on_ejection(ejection, now);
                return Some(Event::Ejected(ejection));
            }
            Some(OutlierEvent::Returned(id)) => {
                self.recount(id);
                return Some(Event::Returned(id));
            }
            None => {}
        }
        if self.panicking == self.announced_panic {
            return None;
        }
        self.announced_panic = self.panicking;
        Some(Event::Panic(self.panicking))
    }

    fn judge_panic(&mut self) {
        let Tally { unknown, available } = self.tally;
        let members = self.targets.len();
        if members == 0 {
            return;
        }
        let enough = |of: u32| {
            u64::from(available) * 100 >= u64::from(of) * u64::from(self.policy.panic_percent)
        };
        // Until then the group panics because it knows nothing, which is no news.
        self.warm |= unknown == 0 || enough(members);
        // Newcomers are left out: growing a group must not look like losing it.
        self.panicking = !self.warm || available == 0 || !enough(members - unknown);
    }

    fn on_ejection(&mut self, ejection: Ejection, now: Instant) {
        if let Some(target) = self.targets.get_mut(ejection.target) {
            target.monitor.hurry(now);
        }
        self.reschedule(ejection.target);
        self.recount(ejection.target);
        self.check();
    }

    fn open_batch(&mut self, now: Instant) -> Option<(u32, TargetProbe)> {
        if !self.batches.has_room() {
            return None;
        }
        let index = self.next_due(now, now)?;
        let batch = self.batches.open();
        Some((batch, self.start(index, batch, now)))
    }

    /// Who is due by `horizon`, if the round allows another probe `now`.
    fn next_due(&self, horizon: Instant, now: Instant) -> Option<u32> {
        if self.quota_until(now).is_some() {
            return None;
        }
        let due = |timetable: &Timetable| timetable.first().filter(|(at, _)| *at <= horizon);
        due(&self.urgent)
            .or_else(|| due(&self.routine))
            .map(|(_, index)| index)
    }

    /// When the next round begins, if the sample of this one is used up.
    fn quota_until(&self, now: Instant) -> Option<Instant> {
        self.policy.sample?;
        (self.round.left == 0 && now < self.round.ends).then_some(self.round.ends)
    }

    fn next_at(&self, now: Instant) -> Option<Instant> {
        let due = self
            .urgent
            .first_at()
            .into_iter()
            .chain(self.routine.first_at())
            .min();
        let may_start = if self.batches.has_room() {
            due.map(|due| self.quota_until(now).map_or(due, |round| round.max(due)))
        } else {
            None
        };
        let outlier = self.outlier.as_ref().filter(|_| self.targets.len() > 0);
        let others = [self.flights.first_at(), outlier.map(Outlier::next_at)];
        others.into_iter().flatten().chain(may_start).min()
    }

    fn start(&mut self, index: u32, batch: u32, now: Instant) -> TargetProbe {
        if let Some(sample) = self.policy.sample {
            if self.round.ends <= now {
                let interval = self.policy.monitor.interval;
                let late = now.saturating_duration_since(self.round.ends);
                let periods = late.as_nanos() / interval.as_nanos() + 1;
                self.round.ends += interval * u32::try_from(periods).unwrap_or(u32::MAX);
                self.round.left = sample;
            }
            self.round.left -= 1;
        }
        let (id, target) = self.targets.at_mut(index).expect("only members are due");
        let probe = target.monitor.start(now);
        target.batch = batch;
        self.batches.join(batch);
        self.reschedule(id);
        self.check();
        TargetProbe { target: id, probe }
    }

    /// Puts a target into the one timetable where it belongs.
    fn reschedule(&mut self, id: TargetId) {
        let Some(target) = self.targets.get(id) else {
            return;
        };
        let (at, index) = (target.monitor.next_at(), id.index());
        let timetables = [&mut self.flights, &mut self.urgent, &mut self.routine];
        let chosen = if target.monitor.is_probing() {
            0
        } else if target.monitor.is_urgent() {
            1
        } else {
            2
        };
        for (position, timetable) in timetables.into_iter().enumerate() {
            if position == chosen {
                timetable.set(index, at);
            } else {
                timetable.remove(index);
            }
        }
    }

    fn recount(&mut self, id: TargetId) {
        let outlier = self.outlier.as_ref();
        let ejected = outlier.is_some_and(|outlier| outlier.ejected_until(id).is_some());
        let Some(target) = self.targets.get_mut(id) else {
            return;
        };
        let before = target.counted;
        target.counted = match target.monitor.status().state {
            State::Unknown if !ejected => Standing::Unknown,
            state if state.serves() && !ejected => Standing::Available,
            _ => Standing::Gone,
        };
        let after = target.counted;
        for (standing, sign) in [(before, -1), (after, 1)] {
            let tally = match standing {
                Standing::Unknown => &mut self.tally.unknown,
                Standing::Available => &mut self.tally.available,
                Standing::Gone => continue,
            };
            *tally = tally
                .checked_add_signed(sign)
                .expect("a target is counted before it moves");
        }
        self.judge_panic();
    }

    /// The whole count is made for small groups only, or debug builds would be quadratic.
    fn check(&self) {
        debug_assert!(
            self.batches.in_flight() <= self.flights.len(),
            "no batch is empty"
        );
        if !cfg!(debug_assertions) || self.targets.len() > 64 {
            return;
        }
        let standing = |wanted| {
            self.targets
                .iter()
                .filter(|(_, t)| t.counted == wanted)
                .count()
        };
        debug_assert_eq!(standing(Standing::Unknown), self.tally.unknown as usize);
        debug_assert_eq!(standing(Standing::Available), self.tally.available as usize);
        let tabled = self.urgent.len() + self.routine.len() + self.flights.len();
        debug_assert_eq!(
            tabled,
            self.targets.len() as usize,
            "each target has one next time"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn what_cannot_be_is_noticed() {
        let wrong: [fn(&mut Group<u8>); 4] = [
            |it| _ = it.batches.open(),
            |it| it.tally.unknown += 1,
            |it| it.tally.available += 1,
            |it| {
                it.urgent.remove(0);
                it.routine.remove(0);
            },
        ];
        #[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
        let now = Instant::now();
        for spoil in wrong {
            let mut group = Group::with_seed(GroupPolicy::new(), 1, now).expect("valid");
            for key in 0..64 {
                group.insert(key, now);
            }
            group.check();
            spoil(&mut group);
            assert!(catch_unwind(AssertUnwindSafe(|| group.check())).is_err());
        }
    }
}
