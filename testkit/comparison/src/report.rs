//! What is left of a run: rows, a page of Markdown, a page of HTML.

mod baseline;
mod html;
mod markdown;
pub(crate) mod publish;
mod svg;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::bars::BARS;
use crate::declared::Declared;
use crate::machine::Machine;
use crate::row::Row;
use crate::session::Session;
use crate::{backoffs, breakers, pool};

/// Everything that the pages show.
pub(crate) struct Report<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) session: &'a Session,
    /// The rows of an earlier run.
    pub(crate) baseline: &'a [Row],
}

impl Report<'_> {
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        fs::write(out.join("report.md"), markdown::page(self))?;
        fs::write(out.join("report.html"), html::page(self))?;
        Ok(())
    }

    /// The rows in groups that belong in one table: same workload, setting and metric.
    fn tables(&self) -> Vec<Vec<&Row>> {
        let mut tables: Vec<Vec<&Row>> = Vec::new();
        let figures = self.session.rows.iter().filter(|row| !row.is_verdict());
        for row in figures {
            let same = |other: &&Row| {
                let key = |it: &Row| (it.id.clone(), it.workload.clone(), it.setting.clone());
                key(row) == key(other) && row.metric == other.metric
            };
            match tables.iter_mut().find(|table| same(&table[0])) {
                Some(table) => table.push(row),
                None => tables.push(vec![row]),
            }
        }
        tables
    }

    /// The verdicts in the order of the bars.
    fn verdicts(&self) -> Vec<&Row> {
        let of = |id: &'static str| {
            let rows = self.session.rows.iter();
            rows.filter(move |row| row.id == id && row.is_verdict())
        };
        BARS.iter().flat_map(|bar| of(bar.id)).collect()
    }
}

/// Writes `results.jsonl`.
pub(crate) fn write_rows(out: &Path, rows: &[Row]) -> Result<()> {
    let mut file = fs::File::create(out.join("results.jsonl"))?;
    for row in rows {
        writeln!(file, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

/// Reads a `results.jsonl`.
pub(crate) fn read(file: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(file)?;
    let rows = text.lines().map(serde_json::from_str);
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many bars were met.
pub(crate) fn summary(rows: &[Row], declared: &Declared) -> String {
    let verdicts = rows.iter().filter(|row| row.is_verdict());
    let [mut met, mut known, mut unknown, mut open] = [0; 4];
    for row in verdicts {
        match (row.met, declared.reason(row)) {
            (Some(true), _) => met += 1,
            (Some(false), Some(_)) => known += 1,
            (Some(false), None) => unknown += 1,
            (None, _) => open += 1,
        }
    }
    format!("{met} met, {known} missed as declared, {unknown} missed undeclared, {open} not judged")
}

/// Who is set to what, everybody who is compared.
fn settings() -> Vec<(&'static str, String)> {
    let pools = pool::settings().into_iter();
    let pools = pools.map(|(name, tuned, equal)| match tuned == equal {
        true => (name, tuned.to_owned()),
        false => (name, format!("tuned: {tuned}; equal: {equal}")),
    });
    let others = breakers::settings().into_iter().chain(backoffs::settings());
    let others = others.map(|(name, settings)| (name, settings.to_owned()));
    pools.chain(others).collect()
}

/// What a verdict is about.
fn what(row: &Row) -> String {
    let Row {
        workload,
        setting,
        metric,
        ..
    } = row;
    match setting.as_str() {
        "" => format!("{workload}: {metric}"),
        _ => format!("{workload}, {setting}: {metric}"),
    }
}

/// How a verdict ended, in a word.
fn word(row: &Row, declared: &Declared) -> &'static str {
    match (row.met, declared.reason(row)) {
        (Some(true), _) => "met",
        (Some(false), Some(_)) => "missed, declared",
        (Some(false), None) => "missed",
        (None, _) => "not judged",
    }
}
