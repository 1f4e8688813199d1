//! The results in docs/BENCHMARKS.md, between its two marks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Report, markdown};
use crate::bars::BARS;
use crate::row::{Row, short};

/// Puts the results of this run in place of those of an earlier one.
pub(crate) fn write(report: &Report<'_>, page: &Path) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("{}", page.display()))?;
    let new = between(&text, &results(report))?;
    Ok(fs::write(page, new)?)
}

fn between(text: &str, results: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("it has no begin mark")?;
    let (_, after) = rest.split_once(END).context("it has no end mark")?;
    Ok(format!("{before}{BEGIN}\n{results}{END}{after}"))
}

fn results(report: &Report<'_>) -> String {
    let mut text = String::from("\n");
    markdown::machine(&mut text, report);
    text.push_str("### Bars\n\n");
    markdown::verdicts(&mut text, report);
    text.push_str("\n### Figures\n\nMedians; the ranges are in the report that a run writes.\n");
    let tables = report.tables();
    for bar in BARS {
        let own: Vec<_> = tables
            .iter()
            .filter(|table| table[0].id == bar.id)
            .collect();
        if !own.is_empty() {
            let _ = writeln!(text, "\n**{}**: {}\n", bar.id, bar.what);
            pivot(&mut text, &own);
        }
    }
    text.push('\n');
    text
}

/// A line for each table, a column for each contender.
fn pivot(text: &mut String, tables: &[&Vec<&Row>]) {
    let mut contenders: Vec<&str> = Vec::new();
    for row in tables.iter().copied().flatten() {
        if !contenders.contains(&row.contender.as_str()) {
            contenders.push(&row.contender);
        }
    }
    let _ = writeln!(
        text,
        "| | {} |\n|---|{}",
        contenders.join(" | "),
        "---|".repeat(contenders.len())
    );
    for table in tables {
        let Row {
            workload,
            setting,
            metric,
            unit,
            ..
        } = table[0];
        let value = |contender: &&str| {
            let row = table.iter().find(|row| row.contender == *contender);
            let median = row.and_then(|row| row.median);
            median.map_or_else(|| "-".to_owned(), short)
        };
        let values: Vec<_> = contenders.iter().map(value).collect();
        let setting = if setting.is_empty() { "" } else { ", " }.to_owned() + setting;
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" ({unit})")
        };
        let _ = writeln!(
            text,
            "| {workload}{setting}: {metric}{unit} | {} |",
            values.join(" | ")
        );
    }
}

const BEGIN: &str = "<!-- results: written by cargo xtask bench --publish -->";
const END: &str = "<!-- end of results -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = between(&page, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert!(between("no marks", "new").is_err());
    }
}
