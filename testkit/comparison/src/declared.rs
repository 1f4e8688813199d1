//! The bars that we know to miss, each with its reason: `declared.txt` beside the manifest.

use anyhow::{Context as _, Result};

use crate::row::Row;

/// The committed list.
#[derive(Debug)]
pub(crate) struct Declared(Vec<(String, String)>);

impl Declared {
    pub(crate) fn committed() -> Result<Self> {
        Self::parse(include_str!("../declared.txt"))
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim);
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = entries.map(|line| {
            let parts = line.split_once('|');
            let (key, reason) = parts.with_context(|| format!("no reason given in `{line}`"))?;
            Ok((key.trim().to_owned(), reason.trim().to_owned()))
        });
        Ok(Self(entries.collect::<Result<_>>()?))
    }

    /// Why the row may miss its bar, if it may: an entry names the beginning of its key.
    pub(crate) fn reason(&self, row: &Row) -> Option<&str> {
        let key = row.key();
        let found = self.0.iter().find(|(start, _)| key.starts_with(start));
        found.map(|(_, reason)| reason.as_str())
    }

    /// Whether the row misses its bar and nobody said that it would.
    pub(crate) fn surprises(&self, row: &Row) -> bool {
        row.met == Some(false) && self.reason(row).is_none()
    }

    /// Entries that name no verdict among `rows`.
    pub(crate) fn stale(&self, rows: &[Row]) -> Vec<&str> {
        let verdicts: Vec<_> = rows.iter().filter(|row| row.is_verdict()).collect();
        let stale = self
            .0
            .iter()
            .filter(|(start, _)| !verdicts.iter().any(|row| row.key().starts_with(start)));
        stale.map(|(start, _)| start.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, met: Option<bool>) -> Row {
        Row {
            id: id.into(),
            workload: "w".into(),
            contender: "ours".into(),
            setting: "s".into(),
            metric: "m".into(),
            unit: String::new(),
            median: Some(1.0),
            min: None,
            max: None,
            rounds: 1,
            bar: Some("<= 0".into()),
            met,
            parallelism: None,
            note: None,
        }
    }

    #[test]
    fn only_a_miss_that_nobody_declared_surprises() {
        let declared = Declared::parse("# why\n\npool.get/w/s | too slow\n").unwrap();
        assert!(!declared.surprises(&row("pool.get", Some(false))));
        assert!(declared.surprises(&row("pool.put", Some(false))));
        assert!(!declared.surprises(&row("pool.put", Some(true))));
        assert!(!declared.surprises(&row("pool.put", None)));
    }

    #[test]
    fn an_entry_without_a_reason_is_refused_and_one_without_a_row_is_stale() {
        assert!(Declared::parse("pool.get/w").is_err());
        let declared = Declared::parse("pool.get | slow\npool.gone | slow").unwrap();
        assert_eq!(
            declared.stale(&[row("pool.get", Some(true))]),
            ["pool.gone"]
        );
    }

    #[test]
    fn the_committed_list_is_readable() {
        Declared::committed().unwrap();
    }
}
