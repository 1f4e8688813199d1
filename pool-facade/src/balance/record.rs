//! One node as the balancer judges it: its standing, when that may change, when it is probed.

use std::fmt;
use std::time::{Duration, Instant};

use super::board::{Counts, Price};
use super::evidence::{Evidence, SLOW, Usual};
use super::node::{Node, NodeId};
use super::policy::Policy;
use super::{NodeView, Standing};

/// A probe that came back without success, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct ProbeFailed;

impl fmt::Display for ProbeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe failed")
    }
}

impl std::error::Error for ProbeFailed {}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: NodeId,
    pub(super) node: Node,
    pub(super) standing: Standing,
    pub(super) evidence: Evidence,
    /// The total that the board had counted at the last tick.
    pub(super) successes: u32,
    /// What the health check says.
    believed: bool,
    succeeded_at: Option<Instant>,
    heard_at: Instant,
    changed_at: Option<Instant>,
    /// When probes brought it back; until calls have proved them right.
    improved_at: Option<Instant>,
    /// How many calls have still to succeed for that.
    unproved: u32,
    damping: Duration,
    ramp_from: Instant,
    probe: Probe,
}

#[derive(Debug, Clone, Copy)]
enum Probe {
    Due(Instant),
    /// Since when.
    UnderWay(Instant),
}

impl Record {
    pub(super) fn new(id: NodeId, node: Node, policy: &Policy, now: Instant) -> Self {
        Self {
            id,
            node,
            standing: Standing::Good,
            evidence: Evidence::default(),
            successes: 0,
            believed: true,
            succeeded_at: None,
            heard_at: now,
            changed_at: None,
            improved_at: None,
            unproved: 0,
            damping: policy.damping,
            ramp_from: now,
            probe: Probe::Due(now),
        }
    }

    pub(super) fn on_counts(&mut self, counts: Counts, now: Instant) {
        if counts.successes > 0 {
            self.succeeded_at = Some(now);
            self.unproved = self.unproved.saturating_sub(counts.successes);
        }
        if counts.successes > 0 || counts.failures > 0 {
            self.heard_at = now;
        }
        self.evidence.on_counts(counts);
    }

    pub(super) fn on_belief(&mut self, serves: bool) {
        self.believed = serves;
    }

    /// Takes the result of a probe. `usual` is what probes and calls take elsewhere.
    pub(super) fn on_probe(
        &mut self,
        result: Result<Duration, ProbeFailed>,
        usual: &Usual,
        policy: &Policy,
        now: Instant,
    ) {
        if let Probe::UnderWay(since) = self.probe {
            self.probe = Probe::Due((since + policy.probe_interval).max(now));
        }
        // Of a node in good standing real calls tell more.
        let judged = self.standing != Standing::Good;
        match result {
            Ok(took) => {
                self.evidence.on_probe(took);
                if judged {
                    self.heard_at = now;
                    self.evidence.error /= 2.0;
                }
                // Within the damping window the calls that changed the standing are believed.
                if judged && self.is_past(self.damping, now) {
                    self.evidence.pull(usual);
                }
            }
            // Whatever ails the probe, calls are well.
            Err(ProbeFailed) if judged && !self.serves_calls(now) => {
                self.heard_at = now;
                self.evidence.error = (1.0 + self.evidence.error) / 2.0;
            }
            Err(ProbeFailed) => {}
        }
    }

    /// What was not heard of lately is half forgotten; but silence brings nobody back.
    pub(super) fn fade(&mut self, since: Duration, usual_ns: Option<f64>, now: Instant) {
        if self.standing.serves() && self.heard_at < now {
            let latency_ns = self.evidence.latency_ns.unwrap_or_default();
            self.evidence.fade(since, usual_ns.unwrap_or(latency_ns));
        }
    }

    /// Changes the standing if it is time to, and says what it was.
    pub(super) fn judge(
        &mut self,
        usual_ns: Option<f64>,
        policy: &Policy,
        now: Instant,
    ) -> Option<Standing> {
        let to = self.verdict(usual_ns, now);
        if to == self.standing {
            if self.improved_at.is_some() && self.unproved == 0 {
                // The probes were right. A relapse from here on is another incident.
                self.improved_at = None;
                self.damping = policy.damping;
            }
            return None;
        }
        let proven = self.is_proven(to);
        // The window has grown because probes had lied. Calls have to wait for the first one only.
        let damping = if proven { policy.damping } else { self.damping };
        if !self.is_past(damping, now) {
            return None;
        }
        let from = std::mem::replace(&mut self.standing, to);
        self.changed_at = Some(now);
        if rank(to) < rank(from) {
            self.improved_at = (!proven).then_some(now);
            self.unproved = PROVING;
            if proven {
                self.damping = policy.damping;
            }
        } else {
            let relapse = |at| now.saturating_duration_since(at) < RELAPSE.max(self.damping * 2);
            self.damping = if self.improved_at.is_some_and(relapse) {
                (self.damping * 2).min(policy.longest_damping)
            } else {
                policy.damping
            };
        }
        if to == Standing::Down {
            self.evidence.error = self.evidence.error.max(DOWN_ERROR);
        }
        match (from.serves(), to.serves()) {
            (false, true) => {
                // What is left of the old errors would weigh ten times at a tenth of the weight.
                self.evidence.error = 0.0;
                self.evidence.call_error = 0.0;
                self.ramp_from = now;
            }
            (true, false) => self.evidence.call_error = 1.0,
            _ => {}
        }
        if from == Standing::Good {
            // What probes took in good times would make the first ones in bad times look better.
            self.evidence.probe_ns = None;
            if !matches!(self.probe, Probe::UnderWay(_)) {
                self.probe = Probe::Due(now + policy.probe_interval);
            }
        }
        Some(from)
    }

    /// Whether the node is to be probed now; if so, it is on its way.
    pub(super) fn poll_probe(&mut self, policy: &Policy, now: Instant) -> bool {
        let due = match self.probe {
            Probe::Due(at) => at <= now,
            // One that is lost does not end probing.
            Probe::UnderWay(since) => {
                now.saturating_duration_since(since) >= LOST.max(policy.probe_interval)
            }
        };
        let starts = due && self.standing != Standing::Good;
        if starts {
            self.probe = Probe::UnderWay(now);
        }
        starts
    }

    pub(super) fn price(&self, usual_ns: Option<f64>, policy: &Policy, now: Instant) -> Price {
        let price = self.evidence.price(usual_ns);
        let weight = self.weight(policy, now);
        Price {
            slope: (price / weight) as f32,
            jitter: (price.min(1.0) / weight) as f32,
        }
    }

    pub(super) fn view(&self, in_flight: u32, policy: &Policy, now: Instant) -> NodeView {
        let latency_ns = self.evidence.latency_ns;
        NodeView {
            id: self.id,
            standing: self.standing,
            role: self.node.role,
            in_flight,
            error_rate: self.evidence.error,
            latency: latency_ns.map(|ns| Duration::from_nanos(ns as u64)),
            weight: self.weight(policy, now) as f32,
            damping: self.damping,
        }
    }

    /// The one table of standings: what the evidence says that the node is.
    fn verdict(&self, usual_ns: Option<f64>, now: Instant) -> Standing {
        let disproved = self.serves_calls(now) && self.evidence.error <= FAILING;
        let ratio = self.evidence.ratio(usual_ns);
        let failing = if self.standing.serves() {
            FAILING
        } else {
            RECOVERED
        };
        let slow = if self.standing == Standing::Slow {
            FAST_AGAIN
        } else {
            SLOW
        };
        if !self.believed && !disproved {
            Standing::Down
        } else if self.evidence.error > failing {
            Standing::Failing
        } else if ratio > slow {
            Standing::Slow
        } else {
            Standing::Good
        }
    }

    /// Whether calls alone say that the node belongs in the rotation, or out of it, as `to` does.
    fn is_proven(&self, to: Standing) -> bool {
        match (self.standing.serves(), to.serves()) {
            (false, true) => self.evidence.call_error <= RECOVERED,
            (true, false) => self.evidence.call_error > FAILING,
            _ => false,
        }
    }

    /// Whether calls have succeeded lately.
    fn serves_calls(&self, now: Instant) -> bool {
        let lately = |at| now.saturating_duration_since(at) < PROOF;
        self.succeeded_at.is_some_and(lately)
    }

    /// Whether the last change is so long ago.
    fn is_past(&self, damping: Duration, now: Instant) -> bool {
        let past = |at| now.saturating_duration_since(at) >= damping;
        self.changed_at.is_none_or(past)
    }

    /// From a tenth to the whole within the time of the slow start.
    fn weight(&self, policy: &Policy, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.ramp_from).as_secs_f64();
        let done = (passed / policy.slow_start.as_secs_f64()).min(1.0);
        f64::from(self.node.weight) * (FIRST_WEIGHT + (1.0 - FIRST_WEIGHT) * done)
    }
}

/// From best to worst.
const fn rank(standing: Standing) -> u8 {
    match standing {
        Standing::Good => 0,
        Standing::Slow => 1,
        Standing::Failing => 2,
        Standing::Down => 3,
    }
}

/// Out of the rotation above this share of failures: three in a row.
const FAILING: f64 = 0.2;
/// Back in at this one: after three good probes at most.
const RECOVERED: f64 = 0.15;
/// The least share of failures of a node that is down.
const DOWN_ERROR: f64 = 0.5;
/// Not slow any more below this multiple of the usual latency.
const FAST_AGAIN: f64 = 1.5;
/// How long a call that succeeded outranks a health check that says otherwise.
const PROOF: Duration = Duration::from_secs(2);
/// A node that gets worse so soon after it had got better has deceived its probes.
const RELAPSE: Duration = Duration::from_secs(30);
/// So many calls prove a return: as many as it takes from nothing but failures to [`RECOVERED`].
const PROVING: u32 = 19;
/// A probe without a result is given up after this long.
const LOST: Duration = Duration::from_secs(5);
const FIRST_WEIGHT: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::Standing::{Down, Failing, Good, Slow};
    use super::*;

    /// A node that was inserted just now, and the now.
    fn inserted() -> (Record, Instant) {
        #[expect(clippy::disallowed_methods, reason = "a test's time begins somewhere")]
        let now = Instant::now();
        let id = NodeId {
            index: 0,
            generation: 1,
        };
        (Record::new(id, Node::new(), &Policy::new(), now), now)
    }

    /// From the standing, whether the health check believes in the node, whether a call has
    /// succeeded just now, its share of failures, its latency in relation to the usual one.
    fn verdict(
        standing: Standing,
        believed: bool,
        proven: bool,
        error: f64,
        ratio: f64,
    ) -> Standing {
        let (mut record, now) = inserted();
        record.standing = standing;
        record.believed = believed;
        record.succeeded_at = proven.then_some(now);
        record.evidence.error = error;
        record.evidence.latency_ns = Some(1000.0 * ratio);
        record.verdict(Some(1000.0), now)
    }

    #[test]
    fn the_table_of_standings() {
        let table = [
            // In the rotation, a fifth of failures and three times the latency are too much.
            (Good, true, false, 0.2, 3.0, Good),
            (Good, true, false, 0.2, 3.1, Slow),
            (Good, true, true, 0.21, 1.0, Failing),
            (Good, true, true, 0.21, 9.0, Failing),
            (Slow, true, false, 0.21, 1.0, Failing),
            (Slow, true, false, 0.0, 1.6, Slow),
            (Slow, true, false, 0.0, 1.5, Good),
            // Out of it, it takes less of both to come back.
            (Failing, true, true, 0.16, 1.0, Failing),
            (Failing, true, false, 0.15, 1.0, Good),
            (Failing, true, false, 0.15, 3.1, Slow),
            (Down, true, false, 0.16, 1.0, Failing),
            (Down, true, false, 0.15, 1.0, Good),
            // The health check is heard unless calls prove otherwise; failed calls prove nothing.
            (Good, false, false, 0.0, 1.0, Down),
            (Slow, false, false, 0.0, 9.0, Down),
            (Good, false, true, 0.2, 1.0, Good),
            (Good, false, true, 0.21, 1.0, Down),
            (Failing, false, false, 0.0, 1.0, Down),
            (Down, false, false, 0.0, 1.0, Down),
            (Down, false, true, 0.0, 1.0, Good),
        ];
        for (standing, believed, proven, error, ratio, to) in table {
            let got = verdict(standing, believed, proven, error, ratio);
            assert_eq!(got, to, "{standing:?} {believed} {proven} {error} {ratio}");
        }
    }

    #[test]
    fn calls_prove_by_their_failures_alone_who_belongs_in_the_rotation() {
        let table = [
            (Good, Failing, 0.2, false),
            (Good, Failing, 0.21, true),
            (Slow, Down, 0.21, true),
            (Failing, Good, 0.15, true),
            (Failing, Good, 0.16, false),
            (Down, Slow, 0.0, true),
            // In the rotation before and after, or out of it: no call has a say.
            (Good, Slow, 1.0, false),
            (Slow, Good, 0.0, false),
            (Failing, Down, 1.0, false),
        ];
        for (from, to, call_error, proven) in table {
            let (mut record, _) = inserted();
            record.standing = from;
            record.evidence.call_error = call_error;
            assert_eq!(record.is_proven(to), proven, "{from:?} {to:?} {call_error}");
        }
    }

    #[test]
    fn a_call_outranks_the_health_check_for_two_seconds() {
        for (passed, to) in [(PROOF - NANOSECOND, Good), (PROOF, Down)] {
            let (mut record, now) = inserted();
            record.believed = false;
            record.succeeded_at = Some(now);
            assert_eq!(record.verdict(None, now + passed), to, "{passed:?}");
        }
    }

    #[test]
    fn the_damping_doubles_where_a_node_gets_worse_soon_after_its_probes_brought_it_back() {
        let second = Duration::from_secs(1);
        let table = [
            (second, 30 * second - NANOSECOND, 2 * second),
            (second, 30 * second, second),
            // Soon is twice the damping where that is more.
            (20 * second, 40 * second - NANOSECOND, 30 * second),
            (20 * second, 40 * second, second),
        ];
        for (damping, passed, doubled) in table {
            let (mut record, now) = inserted();
            (record.damping, record.improved_at) = (damping, Some(now));
            record.evidence.error = 1.0;
            let from = record.judge(None, &Policy::new(), now + passed);
            assert_eq!((from, record.standing), (Some(Good), Failing));
            assert_eq!(record.damping, doubled, "{damping:?} {passed:?}");
        }
    }

    #[test]
    fn calls_that_prove_its_probes_right_end_the_damping_of_a_node() {
        let second = Duration::from_secs(1);
        for (successes, error, damping) in [
            (PROVING, 0.0, second),
            (PROVING - 1, 0.0, 8 * second),
            // They do not while the evidence speaks against it.
            (PROVING, 0.5, 8 * second),
        ] {
            let (mut record, now) = inserted();
            (record.standing, record.damping) = (Failing, 8 * second);
            record.evidence.call_error = 1.0;
            record.judge(None, &Policy::new(), now);
            assert_eq!(record.standing, Good, "probes brought it back");
            record.on_counts(
                Counts {
                    successes,
                    ..Counts::default()
                },
                now,
            );
            record.evidence.error = error;
            record.evidence.call_error = 0.0;
            record.judge(None, &Policy::new(), now);
            assert_eq!(record.standing, Good);
            assert_eq!(record.damping, damping, "{successes} {error}");
        }
    }

    const NANOSECOND: Duration = Duration::from_nanos(1);
}
