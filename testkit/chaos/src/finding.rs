//! What was measured, and what it says about a row.

use serde_json::{Value, json};

/// One measurement against one promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The row of the contract that it bears on.
    pub(crate) row: String,
    /// What was promised, as precisely as it was measured.
    pub(crate) promise: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
    /// The server it was measured on.
    pub(crate) server: String,
}

/// Whether a promise was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// Not measured, for this reason.
    Unknown(String),
}

impl Verdict {
    /// As JSON has it.
    pub(crate) fn met(&self) -> Value {
        match self {
            Self::Met => json!(true),
            Self::Missed => json!(false),
            Self::Unknown(_) => Value::Null,
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::Met | Self::Missed => None,
        }
    }

    /// Of several promises together: one missed is missed, and one unknown leaves all unknown.
    pub(crate) fn of_all<'a>(verdicts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        verdicts.into_iter().fold(None, |sum, verdict| {
            Some(match (sum, verdict) {
                (Some(Self::Missed), _) | (_, Self::Missed) => Self::Missed,
                (Some(Self::Unknown(reason)), Self::Unknown(other)) if reason != *other => {
                    Self::Unknown(format!("{reason}; {other}"))
                }
                (Some(Self::Unknown(reason)), _) => Self::Unknown(reason),
                (_, Self::Unknown(reason)) => Self::Unknown(reason.clone()),
                (_, Self::Met) => Self::Met,
            })
        })
    }
}

/// The middle one of what was seen in each round.
pub(crate) fn median<R, T: Ord>(rounds: &[R], figure: impl Fn(&R) -> T) -> T {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_unstable();
    figures.swap_remove(figures.len() / 2)
}

impl Finding {
    pub(crate) fn new(
        row: &str,
        promise: impl Into<String>,
        measured: impl Into<String>,
        met: bool,
    ) -> Self {
        let verdict = if met { Verdict::Met } else { Verdict::Missed };
        Self::with(row, promise, measured, verdict)
    }

    /// At most so many, counted.
    pub(crate) fn at_most(row: &str, what: &str, count: u64, limit: u64) -> Self {
        let promise = if limit == 0 {
            format!("no {what}")
        } else {
            format!("at most {limit} {what}")
        };
        Self::new(row, promise, count.to_string(), count <= limit)
    }

    /// What could not be measured.
    pub(crate) fn unknown(row: &str, promise: &str, reason: &str) -> Self {
        Self::with(row, promise, "-", Verdict::Unknown(reason.to_owned()))
    }

    fn with(
        row: &str,
        promise: impl Into<String>,
        measured: impl Into<String>,
        verdict: Verdict,
    ) -> Self {
        Self {
            row: row.to_owned(),
            promise: promise.into(),
            measured: measured.into(),
            verdict,
            server: String::new(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "row": self.row,
            "promise": self.promise,
            "measured": self.measured,
            "met": self.verdict.met(),
            "reason": self.verdict.reason(),
            "server": self.server,
        })
    }

    /// What [`Finding::to_json`] wrote, by a process that was started for one experiment.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let verdict = match (&value["met"], text("reason")) {
            (Value::Bool(true), _) => Verdict::Met,
            (Value::Bool(false), _) => Verdict::Missed,
            (Value::Null, Some(reason)) => Verdict::Unknown(reason),
            _ => return None,
        };
        Some(Self {
            row: text("row")?,
            promise: text("promise")?,
            measured: text("measured")?,
            verdict,
            server: text("server")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missed_promise_is_a_missed_row_and_one_unknown_leaves_it_open() {
        let unknown = |reason: &str| Verdict::Unknown(reason.into());
        let all = |verdicts: &[Verdict]| Verdict::of_all(verdicts);
        assert_eq!(all(&[]), None);
        assert_eq!(all(&[Verdict::Met, Verdict::Met]), Some(Verdict::Met));
        let missed = Some(Verdict::Missed);
        assert_eq!(all(&[Verdict::Missed, unknown("a"), Verdict::Met]), missed);
        assert_eq!(all(&[unknown("a"), Verdict::Missed]), missed);
        assert_eq!(all(&[Verdict::Met, unknown("a")]), Some(unknown("a")));
        let both = Some(unknown("a; b"));
        assert_eq!(all(&[unknown("a"), unknown("a"), unknown("b")]), both);
    }

    #[test]
    fn a_finding_survives_its_way_out_of_another_process() {
        let mut findings = vec![
            Finding::at_most("full", "caller errors", 1, 0),
            Finding::new("full", "served", "yes", true),
            Finding::unknown("slow", "goodput", "not built"),
        ];
        findings[0].server = "PostgreSQL 15".into();
        for finding in findings {
            assert_eq!(Finding::from_json(&finding.to_json()), Some(finding));
        }
        assert_eq!(Finding::from_json(&json!({ "row": "full" })), None);
    }
}
