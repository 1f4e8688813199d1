//! The four states, the causes that move between them, and the one table of edges.

use std::fmt::{self, Write as _};

/// What the breaker currently does with calls.
#[expect(clippy::exhaustive_enums, reason = "these four states are the product")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Every call is admitted.
    Closed,
    /// Calls are admitted up to an adaptive limit, if overload has set one.
    Degraded,
    /// No call is admitted until the open time is over.
    Open,
    /// A few probes are admitted; their outcomes decide.
    HalfOpen,
}

impl State {
    /// All states, in the order in which an incident visits them.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Degraded, Self::Open, Self::HalfOpen];

    /// The drawing of the machine in the `dot` language, made from the table that the machine runs.
    ///
    /// Solid edges are taken by evidence; the dashed ones are [`reset`](crate::Breaker::reset).
    ///
    /// ```
    /// assert!(breaker::State::dot().contains("closed -> open"));
    /// ```
    #[must_use]
    pub fn dot() -> String {
        let mut out = String::from("digraph breaker {\n    rankdir=LR;\n");
        for from in Self::ALL {
            for to in Self::ALL {
                let causes: Vec<String> = Cause::ALL
                    .into_iter()
                    .filter(|cause| *cause != Cause::Reset && edge(from, *cause) == Some(to))
                    .map(|cause| cause.to_string())
                    .collect();
                if !causes.is_empty() {
                    let label = causes.join("\\n");
                    writeln!(out, "    {from} -> {to} [label=\"{label}\"];")
                        .expect("writing to a string does not fail");
                }
            }
        }
        for from in [Self::Degraded, Self::Open, Self::HalfOpen] {
            writeln!(out, "    {from} -> closed [label=\"reset\", style=dashed];")
                .expect("writing to a string does not fail");
        }
        out.push_str("}\n");
        out
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Degraded => "degraded",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        })
    }
}

/// An operator's decision that stands beside the state until it is taken back.
///
/// The state is kept while a mode other than [`Automatic`](Self::Automatic) lasts, and no evidence
/// moves it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Evidence decides.
    #[default]
    Automatic,
    /// Every call is refused.
    ForcedOpen,
    /// Every call is admitted; outcomes are counted and decide nothing.
    ForcedClosed,
    /// As [`ForcedClosed`](Self::ForcedClosed), said of a breaker that is being tried out: the
    /// window fills as that of a closed breaker would, for a look at what it would have done.
    MetricsOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Automatic => "automatic",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::MetricsOnly => "metrics_only",
        })
    }
}

/// How a call ended.
///
/// Dropping a permit is a sixth ending, *cancelled*, which counts as neither success nor failure.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The call did what it should.
    Success,
    /// The call failed for a reason that sending fewer calls would not cure.
    Failure,
    /// The other side had too much to do: a timeout, 429, 503, too many connections, queue full.
    Overload,
    /// The call says nothing about the other side: a bad request, a missing row.
    Ignored,
}

impl Outcome {
    /// `Ok` is a success and `Err` a failure: the classifier of those who need none.
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(_) => Self::Failure,
        }
    }
}

/// Why a transition was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Overload is more of the recent results than is tolerated.
    Overload,
    /// The failure rate reached the threshold of the degraded state.
    ManyFailures,
    /// The slow-call rate reached the threshold of the degraded state.
    ManySlow,
    /// Less of the backend is healthy than the health rule asks for.
    HealthLow,
    /// The failure rate reached the threshold of the open state.
    FailureRate,
    /// So many hard failures came in a row.
    Consecutive,
    /// The slow-call rate reached the threshold of the open state.
    SlowRate,
    /// With the limit at one, call after call still failed.
    LimitFutile,
    /// Nothing of the backend is healthy.
    HealthGone,
    /// The limit stopped binding and failures stayed rare for the hold time.
    Calm,
    /// The degraded state is switched off, so it is passed through.
    Unlimited,
    /// The open time is over.
    WaitOver,
    /// Enough of the backend is healthy again.
    HealthBack,
    /// Enough probes succeeded.
    ProbesPassed,
    /// Too many probes failed.
    ProbesFailed,
    /// The half-open deadline passed and what had come in was not good enough.
    ProbesLate,
    /// An operator called [`reset`](crate::Breaker::reset).
    Reset,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 17] = [
        Self::Overload,
        Self::ManyFailures,
        Self::ManySlow,
        Self::HealthLow,
        Self::FailureRate,
        Self::Consecutive,
        Self::SlowRate,
        Self::LimitFutile,
        Self::HealthGone,
        Self::Calm,
        Self::Unlimited,
        Self::WaitOver,
        Self::HealthBack,
        Self::ProbesPassed,
        Self::ProbesFailed,
        Self::ProbesLate,
        Self::Reset,
    ];
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overload => "overload",
            Self::ManyFailures => "many failures",
            Self::ManySlow => "many slow calls",
            Self::HealthLow => "health low",
            Self::FailureRate => "failure rate",
            Self::Consecutive => "consecutive failures",
            Self::SlowRate => "slow-call rate",
            Self::LimitFutile => "limit futile",
            Self::HealthGone => "health gone",
            Self::Calm => "calm",
            Self::Unlimited => "degraded off",
            Self::WaitOver => "open time over",
            Self::HealthBack => "health back",
            Self::ProbesPassed => "probes passed",
            Self::ProbesFailed => "probes failed",
            Self::ProbesLate => "probes late",
            Self::Reset => "reset",
        })
    }
}

/// Every edge of the machine. What is not here cannot happen.
pub(crate) const fn edge(from: State, cause: Cause) -> Option<State> {
    use Cause::*;
    use State::*;
    match (from, cause) {
        (Closed, Overload | ManyFailures | ManySlow | HealthLow) => Some(Degraded),
        (Closed | Degraded, FailureRate | Consecutive | SlowRate | HealthGone) => Some(Open),
        (Degraded, LimitFutile) => Some(Open),
        (Degraded, Calm | Unlimited) => Some(Closed),
        (Open, WaitOver | HealthBack) => Some(HalfOpen),
        (HalfOpen, ProbesPassed) => Some(Degraded),
        (HalfOpen, ProbesFailed | ProbesLate | HealthGone) => Some(Open),
        (_, Reset) => Some(Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_designed_edges_exist() {
        use Cause::*;
        use State::*;
        let expected = [
            (
                Closed,
                Degraded,
                &[Overload, ManyFailures, ManySlow, HealthLow][..],
            ),
            (
                Closed,
                Open,
                &[FailureRate, Consecutive, SlowRate, HealthGone],
            ),
            (Degraded, Closed, &[Calm, Unlimited]),
            (
                Degraded,
                Open,
                &[FailureRate, Consecutive, SlowRate, LimitFutile, HealthGone],
            ),
            (Open, HalfOpen, &[WaitOver, HealthBack]),
            (HalfOpen, Degraded, &[ProbesPassed]),
            (HalfOpen, Open, &[HealthGone, ProbesFailed, ProbesLate]),
        ];
        for from in State::ALL {
            for to in State::ALL {
                let found: Vec<Cause> = Cause::ALL
                    .into_iter()
                    .filter(|cause| *cause != Reset && edge(from, *cause) == Some(to))
                    .collect();
                let wanted = expected.iter().find(|row| (row.0, row.1) == (from, to));
                assert_eq!(found, wanted.map_or(&[][..], |row| row.2), "{from} -> {to}");
            }
            assert_eq!(edge(from, Reset), Some(Closed));
        }
    }

    #[test]
    fn every_mode_state_and_cause_has_a_name_of_its_own() {
        let modes = [
            (Mode::Automatic, "automatic"),
            (Mode::ForcedOpen, "forced_open"),
            (Mode::ForcedClosed, "forced_closed"),
            (Mode::MetricsOnly, "metrics_only"),
        ];
        for (mode, name) in modes {
            assert_eq!(mode.to_string(), name);
        }
        assert_eq!(State::HalfOpen.to_string(), "half_open");
        let names = Cause::ALL.map(|cause| cause.to_string());
        let names: std::collections::HashSet<_> = names.into_iter().collect();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
