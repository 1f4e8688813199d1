//! The gates of behaviour, each met or missed.

use std::time::Duration;

use crate::interval::Interval;
use crate::script::Act;
use crate::text::{count, span};

/// One gate, and whether it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Gate {
    /// What is asked for.
    pub goal: &'static str,
    /// Whether it was met.
    pub met: bool,
    /// What was measured.
    pub figures: String,
}

/// How the pool was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Closing {
    /// The time that lent connections were given.
    pub grace: Duration,
    /// The time that it took.
    pub took: Duration,
    /// Connections that had not come back.
    pub outstanding: usize,
}

/// Holds what was seen in each act against the gates. `recoveries` are the times from the end of
/// each fault until all was well, if that was within the time that the pool promises.
///
/// # Panics
///
/// If an act is missing.
#[must_use]
pub fn gates(
    acts: &[(Act, Interval)],
    recoveries: &[(Act, Option<Duration>)],
    closing: Closing,
) -> Vec<Gate> {
    let of = |act: Act| {
        let found = acts.iter().find(|(it, _)| *it == act);
        &found.expect("every act was played").1
    };
    let steady = of(Act::Steady);
    let mut gates = nodes(steady, of(Act::Slow), of(Act::Failing));
    gates.push(overload(steady, of(Act::Overload)));
    gates.extend(outage(of(Act::Gone), of(Act::Back)));
    for (act, time) in recoveries {
        gates.push(Gate {
            goal: match act {
                Act::Slow => "one slow: in use again within 5 s",
                Act::Failing => "one failing: in use again within 5 s",
                Act::Late => "all late: whole again within 5 s",
                _ => "all gone: whole again within 5 s",
            },
            met: time.is_some(),
            figures: time.map_or_else(|| "it was not".into(), span),
        });
    }
    let most = acts.iter().map(|(_, it)| it.attempts()).fold(0.0, f64::max);
    gates.push(Gate {
        goal: "attempts per call, at most 1.1 in any phase",
        met: most <= 1.1,
        figures: format!("{most:.3}"),
    });
    gates.push(Gate {
        goal: "closed under load within the grace and 100 ms",
        met: closing.took <= closing.grace + Duration::from_millis(100) && closing.outstanding == 0,
        figures: format!("{} of {}", span(closing.took), span(closing.grace)),
    });
    gates
}

fn nodes(steady: &Interval, slow: &Interval, failing: &Interval) -> Vec<Gate> {
    let share = slow.share(VICTIM);
    let times = slow.p99.zip(steady.p99);
    vec![
        Gate {
            goal: "one slow, once seen: p99 at most 1.2 times that of steady",
            met: times.is_some_and(|(slow, steady)| slow <= steady.mul_f64(1.2)),
            figures: times.map_or_else(
                || "nothing was answered".into(),
                |(slow, steady)| format!("{} to {}", span(slow), span(steady)),
            ),
        },
        Gate {
            goal: "one slow, once seen: at most 1 % of the calls go there",
            met: share <= 0.01,
            figures: percent(share),
        },
        Gate {
            goal: "one failing: at least 99.9 % answered",
            met: failing.success() >= 0.999,
            figures: percent(failing.success()),
        },
    ]
}

/// What is possible follows from the time that a server works on a call: that of the quickest calls
/// of the steady phase, in which nothing waits.
fn overload(steady: &Interval, overload: &Interval) -> Gate {
    let work = steady.p10.unwrap_or(Duration::MAX).as_secs_f64();
    let lanes = Act::Overload.lanes() * overload.nodes.len();
    let possible = lanes as f64 / work;
    Gate {
        goal: "overload, once seen: at least 95 % of what is possible",
        met: overload.rate() >= 0.95 * possible,
        figures: format!("{:.0} of {possible:.0} calls a second", overload.rate()),
    }
}

fn outage(gone: &Interval, back: &Interval) -> Vec<Gate> {
    let most = gone.nodes.iter().map(|it| it.connects).max().unwrap_or(0);
    // 24 in 2 s and 60 in 10 s.
    let limit = 24.0 + (gone.length.as_secs_f64() - 2.0).max(0.0) * 4.5;
    vec![
        Gate {
            goal: "all gone: told why within 10 ms",
            met: gone
                .told
                .is_some_and(|told| told <= Duration::from_millis(10)),
            figures: gone.told.map_or_else(
                || "nobody was".into(),
                |told| format!("{} at p99", span(told)),
            ),
        },
        Gate {
            goal: "all gone: at most 24 attempts to connect to a node in 2 s",
            met: most as f64 <= limit,
            figures: format!("{} in {:.1} s", count(most), gone.length.as_secs_f64()),
        },
        Gate {
            goal: "back: first answer within 500 ms",
            met: back
                .first
                .is_some_and(|first| first <= Duration::from_millis(500)),
            figures: back.first.map_or_else(|| "none".into(), span),
        },
    ]
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// The node that is slow, and the one that fails.
pub(crate) const VICTIM: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::NodeInterval;
    use crate::load::Counts;

    type Acts = Vec<(Act, Interval)>;
    type Lapse = fn(&mut Interval);

    /// Three nodes that do in each act what the gates ask for, and no more.
    fn met() -> Acts {
        let millis = |millis| Some(Duration::from_millis(millis));
        let acts = Act::ALL.iter().map(|act| {
            let mut it = Interval {
                length: Duration::from_secs(2),
                users: Counts {
                    asked: 1000,
                    attempts: 1100,
                    answered: 999,
                    broken: 1,
                    ..Counts::default()
                },
                nodes: [495, 10, 495]
                    .map(|calls| NodeInterval {
                        calls,
                        connects: 24,
                    })
                    .into(),
                repeated: 100,
                p10: millis(10),
                p50: millis(11),
                p99: millis(20),
                told: millis(10),
                first: millis(500),
            };
            match act {
                Act::Slow => it.p99 = millis(24),
                Act::Overload => it.users.answered = 570,
                _ => {}
            }
            (*act, it)
        });
        acts.collect()
    }

    fn missed(acts: &Acts, recovery: Option<Duration>, took: u64) -> Vec<&'static str> {
        let recoveries = [(Act::Slow, recovery)];
        let closing = Closing {
            grace: Duration::from_secs(1),
            took: Duration::from_millis(took),
            outstanding: 0,
        };
        let gates = gates(acts, &recoveries, closing);
        let missed = gates.iter().filter(|gate| !gate.met);
        missed.map(|gate| gate.goal).collect()
    }

    #[test]
    fn a_gate_that_is_just_met_is_met() {
        let none: [&str; 0] = [];
        assert_eq!(missed(&met(), Some(Duration::ZERO), 1100), none);
    }

    #[test]
    fn each_lapse_misses_its_own_gate() {
        let lapses: [(Act, Lapse, &str); 8] = [
            (
                Act::Slow,
                |it| it.p99 = Some(Duration::from_millis(25)),
                "one slow, once seen: p99",
            ),
            (
                Act::Slow,
                |it| it.nodes[VICTIM].calls = 11,
                "one slow, once seen: at most 1 %",
            ),
            (Act::Failing, |it| it.users.answered = 990, "one failing"),
            (Act::Overload, |it| it.users.answered = 569, "overload"),
            (
                Act::Gone,
                |it| it.told = Some(Duration::from_millis(11)),
                "all gone: told",
            ),
            (
                Act::Gone,
                |it| it.nodes[2].connects = 25,
                "all gone: at most",
            ),
            (Act::Back, |it| it.first = None, "back"),
            (Act::Late, |it| it.users.attempts = 1101, "attempts"),
        ];
        for (act, lapse, goal) in lapses {
            let mut acts = met();
            lapse(&mut acts[act as usize].1);
            let missed = missed(&acts, Some(Duration::ZERO), 0);
            assert!(
                missed.len() == 1 && missed[0].starts_with(goal),
                "{goal}: {missed:?}"
            );
        }
        assert_eq!(
            missed(&met(), None, 0),
            ["one slow: in use again within 5 s"]
        );
        let late = missed(&met(), Some(Duration::ZERO), 1101);
        assert_eq!(late, ["closed under load within the grace and 100 ms"]);
    }
}
