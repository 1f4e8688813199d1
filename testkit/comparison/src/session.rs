//! One run: its pace, its rows, and what is shown while it goes on.

use std::time::Duration;

use crate::declared::Declared;
use crate::figures::{Entrant, Figures, Kind, Spread};
use crate::gauge;
use crate::plot::Plot;
use crate::row::{Bound, Row};
use crate::screen::Screen;

/// What is being compared.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The bar that it is for.
    pub(crate) id: &'static str,
    pub(crate) workload: String,
    pub(crate) setting: String,
    pub(crate) metric: &'static str,
    pub(crate) unit: &'static str,
}

/// Collects the rows of a run.
pub(crate) struct Session {
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) screen: Screen,
    pub(crate) declared: Declared,
    parallelism: Option<f64>,
}

impl Session {
    pub(crate) fn new(quick: bool, declared: Declared, screen: Screen) -> Self {
        Self {
            quick,
            rows: Vec::new(),
            plots: Vec::new(),
            screen,
            declared,
            parallelism: None,
        }
    }

    /// Never fewer than five, in whatever hurry.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 5 } else { 9 }
    }

    /// The time that one round may take.
    pub(crate) fn span(&self, quick_ms: u64, full_ms: u64) -> Duration {
        Duration::from_millis(if self.quick { quick_ms } else { full_ms })
    }

    /// Takes the gauge, which stands beside all rows up to the end of the job.
    pub(crate) fn gauge(&mut self) -> f64 {
        let gauge = gauge::parallelism();
        self.parallelism = Some(gauge);
        let text = format!("gauge: two threads do {gauge:.2} times the work of one");
        self.screen.say(&text);
        gauge
    }

    /// Begins a job: what was gauged before is no longer true.
    pub(crate) fn begin(&mut self, name: &str) {
        self.parallelism = None;
        self.screen.begin(name);
    }

    /// Measures everybody and shows them.
    pub(crate) fn compare(&mut self, case: &Case, entrants: Vec<Entrant<'_>>) -> Figures {
        self.compare_rounds(case, entrants, self.rounds())
    }

    /// As [`compare`](Self::compare), where a round is dear or exact.
    pub(crate) fn compare_rounds(
        &mut self,
        case: &Case,
        entrants: Vec<Entrant<'_>>,
        rounds: usize,
    ) -> Figures {
        let turns = entrants.len() * rounds;
        let figures = Figures::measure(entrants, rounds, |name, turn| {
            self.screen.turn(&case.workload, name, turn, turns);
        });
        self.show(case, &figures);
        figures
    }

    /// Records figures that were measured elsewhere.
    pub(crate) fn show(&mut self, case: &Case, figures: &Figures) {
        self.screen.title(case);
        for figure in &figures.0 {
            let mut row = self.row(case, figure.name, &figure.rounds);
            if let Kind::Aside(reason) = figure.kind {
                row.note = Some(reason.to_owned());
            }
            self.screen.figure(&row);
            self.rows.push(row);
        }
    }

    /// Holds ours to a bar. `what` says what the values are; `note` what they are taken against.
    pub(crate) fn judge(
        &mut self,
        case: &Case,
        what: &str,
        bound: Bound,
        values: &[f64],
        note: impl Into<Option<String>>,
    ) {
        let mut row = self.row(case, "ours", values);
        what.clone_into(&mut row.metric);
        "".clone_into(&mut row.unit);
        row.bar = Some(bound.words());
        row.met = Some(row.median.is_some_and(|median| bound.holds(median)));
        row.note = note.into();
        self.screen.verdict(&row, self.declared.reason(&row));
        self.rows.push(row);
    }

    /// A bar that nothing can be held to yet.
    pub(crate) fn not_yet(&mut self, id: &'static str, bar: &str, reason: &str) {
        let case = Case {
            id,
            workload: String::new(),
            setting: String::new(),
            metric: "",
            unit: "",
        };
        let mut row = self.row(&case, "ours", &[]);
        row.bar = Some(bar.to_owned());
        row.note = Some(reason.to_owned());
        self.screen.verdict(&row, None);
        self.rows.push(row);
    }

    fn row(&self, case: &Case, contender: &str, rounds: &[f64]) -> Row {
        let mut row = Row {
            id: case.id.to_owned(),
            workload: case.workload.clone(),
            contender: contender.to_owned(),
            setting: case.setting.clone(),
            metric: case.metric.to_owned(),
            unit: case.unit.to_owned(),
            median: None,
            min: None,
            max: None,
            rounds: rounds.len(),
            bar: None,
            met: None,
            parallelism: self.parallelism,
            note: None,
        };
        row.spread(Spread::of(rounds));
        row
    }
}

impl Case {
    pub(crate) fn new(
        id: &'static str,
        workload: impl Into<String>,
        metric: &'static str,
        unit: &'static str,
    ) -> Self {
        Self {
            id,
            workload: workload.into(),
            setting: String::new(),
            metric,
            unit,
        }
    }

    pub(crate) fn setting(mut self, setting: &str) -> Self {
        setting.clone_into(&mut self.setting);
        self
    }
}
