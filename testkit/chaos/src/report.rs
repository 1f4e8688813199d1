//! What people read, and what programs read.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::contract::{ROWS, Row, Source};
use crate::finding::{Finding, Verdict};
use crate::plan::{EXPERIMENTS, UNMEASURED};

/// All that was found, row by row.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<(Row, Verdict, Vec<Finding>)>,
}

impl Report {
    /// Of the rows that are `wanted`.
    pub(crate) fn new(findings: &[Finding], wanted: impl Fn(&Row) -> bool) -> Self {
        let judge = |row: Row| {
            let own = findings.iter().filter(|it| it.row == row.key);
            let own: Vec<_> = own.cloned().collect();
            let verdict = Verdict::of_all(own.iter().map(|it| &it.verdict));
            let verdict = verdict.unwrap_or_else(|| Verdict::Unknown(why_not(&row)));
            (row, verdict, own)
        };
        let rows = ROWS.iter().copied().filter(wanted);
        Self {
            rows: rows.map(judge).collect(),
        }
    }

    /// Whether no promise of the contract was broken. The bars are goals: missing one is shown.
    pub(crate) fn kept(&self) -> bool {
        let broken = |(row, verdict, _): &(Row, Verdict, _)| {
            row.source == Source::Contract && *verdict == Verdict::Missed
        };
        !self.rows.iter().any(broken)
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|(row, verdict, findings)| {
            json!({
                "row": row.key,
                "source": row.source.name(),
                "fault": row.fault,
                "promise": row.promise,
                "met": verdict.met(),
                "reason": verdict.reason(),
                "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            })
        });
        Value::from(rows.collect::<Vec<_>>())
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (row, verdict, findings) in &self.rows {
            writeln!(out, "\n{:<8}{} ({})", word(verdict), row.fault, row.key)?;
            lines(&mut out, findings)?;
            if let Some(reason) = verdict.reason() {
                writeln!(out, "          {reason}")?;
            }
        }
        let count = |word_of: &str| {
            let rows = self
                .rows
                .iter()
                .filter(|(_, verdict, _)| word(verdict) == word_of);
            rows.count()
        };
        let [met, missed, unknown] = ["met", "MISSED", "unknown"].map(count);
        writeln!(out, "\n{met} rows met, {missed} missed, {unknown} unknown")
    }
}

/// Findings that belong to no row.
pub(crate) fn show(findings: &[Finding]) -> io::Result<()> {
    lines(&mut io::stdout().lock(), findings)
}

fn lines(out: &mut impl io::Write, findings: &[Finding]) -> io::Result<()> {
    for it in findings {
        let server = it.server.trim_start_matches("PostgreSQL ");
        let line = format!("{}: {}", it.promise, it.measured);
        writeln!(out, "  {:<8}{server:<8}{line}", word(&it.verdict))?;
    }
    Ok(())
}

/// The rows and what measures them.
pub(crate) fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for row in ROWS.iter() {
        let names = EXPERIMENTS
            .iter()
            .filter(|it| it.rows.contains(&row.key))
            .map(|it| it.name);
        let names = names.collect::<Vec<_>>().join(", ");
        let how = if names.is_empty() {
            why_not(row)
        } else {
            names
        };
        writeln!(out, "{:<16}{}\n{:16}by: {how}", row.key, row.fault, "")?;
    }
    Ok(())
}

/// Tells how it goes.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell that nobody can be told.
    let _ = writeln!(io::stderr(), "{line}");
}

fn why_not(row: &Row) -> String {
    let reason = UNMEASURED.iter().find(|(key, _)| *key == row.key);
    reason
        .map_or("nothing was measured", |(_, reason)| reason)
        .to_owned()
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "MISSED",
        Verdict::Unknown(_) => "unknown",
    }
}
