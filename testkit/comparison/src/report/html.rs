//! `report.html`: one file that asks for nothing else.

use std::fmt::Write as _;

use super::{Report, baseline, summary, svg, word};
use crate::bars;
use crate::row::{Row, short};

pub(super) fn page(report: &Report<'_>) -> String {
    let Report {
        machine, session, ..
    } = report;
    let pace = if session.quick { "quick" } else { "full" };
    let versions = machine.versions.iter();
    let versions: Vec<_> = versions
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Ours beside the peers</title><style>{STYLE}</style></head><body>\n\
         <h1>Ours beside the peers</h1>\n<pre>{}\n{pace} run</pre>\n<p>{}.</p>\n<p>{}.</p>\n",
        escape(&machine.text()),
        escape(&versions.join(", ")),
        summary(&session.rows, &session.declared)
    );
    verdicts(&mut page, report);
    plots(&mut page, report);
    figures(&mut page, report);
    settings(&mut page);
    page.push_str("</body></html>\n");
    page
}

fn verdicts(page: &mut String, report: &Report<'_>) {
    let declared = &report.session.declared;
    page.push_str(
        "<h2>Bars</h2>\n<table class=\"bars\"><tr><th>row</th><th>what</th><th>measured</th>\
         <th>bar</th><th></th><th>why</th></tr>\n",
    );
    for row in report.verdicts() {
        let what = match bars::find(&row.id) {
            Some(bar) if row.workload.is_empty() => bar.what.to_owned(),
            _ => super::what(row),
        };
        let word = word(row, declared);
        let reason = declared.reason(row).filter(|_| row.met == Some(false));
        let why = [row.note.as_deref(), reason].into_iter().flatten();
        let _ = writeln!(
            page,
            "<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{word}</td><td>{}</td></tr>",
            word.replace(", ", " ").replace(' ', "-"),
            escape(&row.id),
            escape(&what),
            spread(row),
            escape(row.bar.as_deref().unwrap_or_default()),
            escape(&why.collect::<Vec<_>>().join("; "))
        );
    }
    page.push_str("</table>\n");
}

fn plots(page: &mut String, report: &Report<'_>) {
    if !report.session.plots.is_empty() {
        page.push_str("<h2>Curves</h2>\n");
    }
    for plot in &report.session.plots {
        let _ = writeln!(page, "<figure>{}</figure>", svg::lines(plot));
    }
}

fn figures(page: &mut String, report: &Report<'_>) {
    page.push_str("<h2>Figures</h2>\n<p>Median, and as a thin line the least to the most.</p>\n");
    for table in report.tables() {
        let first = table[0];
        let gauge = first.parallelism.map_or_else(String::new, |gauge| {
            format!("; two threads did {gauge:.2} times the work of one")
        });
        let title = format!("{} {}", first.workload, first.setting);
        let _ = writeln!(
            page,
            "<section><h3>{}</h3><p>{} ({}), {} rounds{gauge}</p>{}",
            escape(&title),
            escape(&first.metric),
            escape(&first.unit),
            first.rounds,
            svg::bars(&table)
        );
        for row in table {
            let note = row.note.as_deref();
            let ratio = baseline::ratio(row, report.baseline);
            if note.is_none() && ratio.is_none() {
                continue;
            }
            let ratio = ratio.map(|it| format!("{it:.2} of the baseline"));
            let words = [note.map(str::to_owned), ratio].into_iter().flatten();
            let words = words.collect::<Vec<_>>().join("; ");
            let contender = escape(&row.contender);
            let _ = writeln!(
                page,
                "<p class=\"note\">{contender}: {}</p>",
                escape(&words)
            );
        }
        page.push_str("</section>\n");
    }
}

fn settings(page: &mut String) {
    page.push_str("<h2>Settings</h2>\n<table><tr><th>contender</th><th>settings</th></tr>");
    for (name, settings) in super::settings() {
        let [name, settings] = [name, &settings].map(escape);
        let _ = writeln!(page, "<tr><td>{name}</td><td>{settings}</td></tr>");
    }
    page.push_str("</table>\n");
}

fn spread(row: &Row) -> String {
    match (row.median, row.min, row.max) {
        (Some(median), Some(min), Some(max)) if min < max => {
            let [median, min, max] = [median, min, max].map(short);
            format!("{median} <small>({min} to {max})</small>")
        }
        (Some(median), ..) => short(median),
        _ => "&ndash;".to_owned(),
    }
}

/// Text that means nothing to HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#1b1f24}
h2{margin-top:2em;border-bottom:1px solid #d0d7de}h3{margin-bottom:0}h3+p{margin-top:.2em;color:#57606a}
table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #d0d7de;padding:3px 7px;text-align:left;vertical-align:top}
tr.met td:nth-child(5){background:#d2f4d9}tr.missed td:nth-child(5){background:#ffb3ad}
tr.missed-declared td:nth-child(5){background:#ffe2b8}tr.not-judged td{color:#6e7781}
section{display:inline-block;vertical-align:top;width:520px;margin-right:20px}
figure{margin:0 0 1.5em}svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif}
.note{margin:.1em 0;font-size:12px;color:#57606a}pre{background:#f6f8fa;padding:.8em}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
