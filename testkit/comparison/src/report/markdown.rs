//! `report.md`.

use std::fmt::Write as _;

use super::{Report, baseline, summary, word};
use crate::bars;
use crate::row::{Row, short};

pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = String::from("# Ours beside the peers\n\n");
    machine(&mut page, report);
    page.push_str("## Bars\n\n");
    verdicts(&mut page, report);
    figures(&mut page, report);
    settings(&mut page);
    page
}

/// Where, with what, and in short how it ended.
pub(super) fn machine(page: &mut String, report: &Report<'_>) {
    let Report {
        machine, session, ..
    } = report;
    let pace = if session.quick { "quick" } else { "full" };
    let _ = writeln!(page, "```text\n{}\n{pace} run\n```\n", machine.text());
    let versions = machine.versions.iter();
    let versions: Vec<_> = versions
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let _ = writeln!(page, "{}.\n", versions.join(", "));
    let _ = writeln!(page, "{}.\n", summary(&session.rows, &session.declared));
}

pub(super) fn verdicts(page: &mut String, report: &Report<'_>) {
    let _ = writeln!(
        page,
        "| row | what | measured | bar | | why |\n|---|---|---|---|---|---|"
    );
    let declared = &report.session.declared;
    for row in report.verdicts() {
        let what = match bars::find(&row.id) {
            Some(bar) if row.workload.is_empty() => bar.what.to_owned(),
            _ => super::what(row),
        };
        let reason = declared.reason(row).filter(|_| row.met == Some(false));
        let why = [row.note.as_deref(), reason].into_iter().flatten();
        let why = why.collect::<Vec<_>>().join("; ");
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            row.id,
            cell(&what),
            spread(row),
            cell(row.bar.as_deref().unwrap_or_default()),
            word(row, declared),
            cell(&why)
        );
    }
}

fn figures(page: &mut String, report: &Report<'_>) {
    page.push_str("\n## Figures\n\nMedian, and in brackets the least and most of the rounds.\n");
    for table in report.tables() {
        let first = table[0];
        let gauge = first.parallelism.map_or_else(String::new, |gauge| {
            format!("; two threads did {gauge:.2} times the work of one")
        });
        let _ = writeln!(
            page,
            "\n### {} {}\n\n{} ({}), {} rounds{gauge}\n",
            first.workload, first.setting, first.metric, first.unit, first.rounds
        );
        let earlier = !report.baseline.is_empty();
        let heading = if earlier {
            " against the baseline |"
        } else {
            ""
        };
        let line = if earlier { "---|" } else { "" };
        let _ = writeln!(page, "| contender | |{heading}\n|---|---|{line}");
        for row in table {
            let note = row.note.as_deref().map(|note| format!(" ({note})"));
            let ratio = baseline::ratio(row, report.baseline).map(|it| format!(" {it:.2} |"));
            let _ = writeln!(
                page,
                "| {}{} | {} |{}",
                row.contender,
                note.unwrap_or_default(),
                spread(row),
                ratio.unwrap_or_default()
            );
        }
    }
}

fn settings(page: &mut String) {
    page.push_str("\n## Settings\n\n| contender | settings |\n|---|---|\n");
    for (name, settings) in super::settings() {
        let _ = writeln!(page, "| {name} | {} |", cell(&settings));
    }
}

fn spread(row: &Row) -> String {
    match (row.median, row.min, row.max) {
        (Some(median), Some(min), Some(max)) if min < max => {
            let [median, min, max] = [median, min, max].map(short);
            format!("{median} ({min} to {max})")
        }
        (Some(median), ..) => short(median),
        _ => "-".to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
