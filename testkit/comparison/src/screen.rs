//! What is seen while it runs: a table, and on a terminal a bar beneath it.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::row::{Row, short};
use crate::session::Case;

/// The terminal, or whatever reads along.
pub(crate) struct Screen(ProgressBar);

impl Screen {
    pub(crate) fn new(jobs: usize) -> Self {
        let bar = ProgressBar::new(jobs as u64);
        let style = ProgressStyle::with_template("[{pos}/{len}] {bar:20} {elapsed} {msg}");
        bar.set_style(style.expect("the template is valid"));
        Self(bar)
    }

    /// A job begins.
    pub(crate) fn begin(&self, name: &str) {
        self.say(&format!("\n== {name}"));
    }

    /// A job is done.
    pub(crate) fn done(&self) {
        self.0.inc(1);
    }

    pub(crate) fn turn(&self, workload: &str, contender: &str, turn: usize, turns: usize) {
        let message = format!("{workload}: {contender} ({} of {turns})", turn + 1);
        self.0.set_message(message);
    }

    pub(crate) fn title(&self, case: &Case) {
        let setting = match case.setting.as_str() {
            "" => String::new(),
            setting => format!(", {setting}"),
        };
        let Case {
            workload,
            metric,
            unit,
            ..
        } = case;
        self.say(&format!("{workload}{setting}: {metric} ({unit})"));
    }

    pub(crate) fn figure(&self, row: &Row) {
        let text = match (row.median, row.min, row.max) {
            (Some(median), Some(min), Some(max)) => {
                let [median, min, max] = [median, min, max].map(short);
                format!("  {:<22}{median:>9}   ({min} to {max})", row.contender)
            }
            _ => format!("  {:<22}{:>9}", row.contender, "-"),
        };
        self.say(&text);
    }

    pub(crate) fn verdict(&self, row: &Row, declared: Option<&str>) {
        let word = match (row.met, declared) {
            (Some(true), _) => "met",
            (Some(false), Some(_)) => "MISSED, as declared",
            (Some(false), None) => "MISSED",
            (None, _) => "not judged",
        };
        let value = row.median.map(short).unwrap_or_default();
        let Row {
            metric, bar, note, ..
        } = row;
        let (bar, note) = (bar.as_deref().unwrap_or_default(), note.as_deref());
        let note = note.map(|it| format!(" [{it}]")).unwrap_or_default();
        self.say(&format!("  => {metric} {value}{note}, bar {bar}: {word}"));
    }

    /// Prints a line. Whoever reads along may leave: what counts is in the files.
    pub(crate) fn say(&self, line: &str) {
        self.0.suspend(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
        });
    }
}
