//! What is shown.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use pool_facade::balance::Standing;
use pool_facade::{NodeState, State};

use crate::evidence::Evidence;
use crate::interval::Interval;
use crate::load::PATIENCE;
use crate::script::{Act, Script};
use crate::show::Report;
use crate::text::{count, list, span, wrap};

/// Where the demo is shown: plain text, and colours where somebody sees them.
pub struct Screen {
    out: Box<dyn Write + Send>,
    colours: bool,
}

impl Screen {
    /// Standard output, in colours on a terminal unless `NO_COLOR` is set.
    #[must_use]
    pub fn stdout() -> Self {
        let out = io::stdout();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        Self {
            colours: wanted && out.is_terminal(),
            out: Box::new(out),
        }
    }

    /// Any writer, without colours.
    #[must_use]
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            colours: false,
        }
    }

    /// Says what is about to take a while.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    pub(crate) fn introduce(
        &mut self,
        servers: &str,
        nodes: &[String],
        script: &Script,
        tasks: usize,
        size: usize,
    ) -> io::Result<()> {
        let title = self.paint(BOLD, "Holdfast: a connection pool while its servers fail");
        let text = format!(
            "{tasks} tasks share a pool of {size} connections each to {servers}. Before each \
             stands a proxy that does harm on purpose. For {} seconds and what it takes to recover \
             the tasks ask, wait {} for an answer at most, and ask again, while nodes are slow, \
             fail, have too little capacity, are gone, and come back. Each second one line shows \
             what was answered, and by whom. At the end the pool's books are compared with what \
             the tasks and the servers have counted; a difference makes this command fail.",
            script.length().as_secs_f32(),
            span(PATIENCE),
        );
        writeln!(self.out, "\n{title}\n\n{}\n", wrap(&text, WIDTH))?;
        let mut head = line(&["time", "calls/s", "p50", "p99", "failed", "repeated"]);
        for node in nodes {
            head += &cell(node);
        }
        let head = self.paint(DIM, &head);
        writeln!(self.out, "{head}")
    }

    pub(crate) fn act(&mut self, act: Act) -> io::Result<()> {
        let name = self.paint(BOLD, act.name());
        writeln!(self.out, "{name}: {}", act.story())
    }

    pub(crate) fn line(
        &mut self,
        time: Duration,
        interval: &Interval,
        state: &State,
    ) -> io::Result<()> {
        let mut figures = line(&[
            &format!("{:.1} s", time.as_secs_f64()),
            &format!("{:.0}", interval.rate()),
            &known(interval.p50),
            &known(interval.p99),
            &count(interval.users.failed()),
            &count(interval.repeated),
        ]);
        for (node, seen) in state.nodes.iter().zip(&interval.nodes) {
            figures += &cell(&format!("{}{}", seen.calls, mark(node)));
        }
        writeln!(self.out, "{figures}")?;
        self.out.flush()
    }

    pub(crate) fn table(
        &mut self,
        acts: &[(Act, Interval)],
        evidence: &Evidence,
    ) -> io::Result<()> {
        let title = self.paint(BOLD, "Phase by phase");
        writeln!(self.out, "\n{title}\n")?;
        let head = row(&[
            "", "seconds", "calls/s", "p50", "p99", "answered", "refused", "unserved", "broken",
            "late", "connects",
        ]);
        let head = self.paint(DIM, &head);
        writeln!(self.out, "{head}")?;
        for (act, it) in acts {
            let connects = it.nodes.iter().map(|node| node.connects).sum();
            let figures = row(&[
                act.name(),
                &format!("{:.1}", it.length.as_secs_f64()),
                &format!("{:.0}", it.rate()),
                &known(it.p50),
                &known(it.p99),
                &count(it.users.answered),
                &count(it.users.refused),
                &count(it.users.unserved),
                &count(it.users.broken),
                &count(it.users.late),
                &count(connects),
            ]);
            writeln!(self.out, "{figures}")?;
        }
        let openings: Vec<_> = evidence
            .last
            .iter()
            .map(|node| format!("{} of {}", node.breaker.totals.openings, node.name))
            .collect();
        let legend = format!(
            "refused: no node would take the call. unserved: no connection in time. broken: the \
             operation failed. late: time ran out while a server worked. connects: attempts. The \
             breakers opened {} times.",
            list(&openings),
        );
        let legend = self.paint(DIM, &wrap(&legend, WIDTH));
        writeln!(self.out, "\n{legend}")
    }

    /// The end of it all.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn verdict(&mut self, report: &Report) -> io::Result<()> {
        let title = self.paint(BOLD, "The contract: books that balance");
        writeln!(self.out, "\n{title}\n")?;
        for finding in &report.findings {
            self.judgement(
                finding.kept,
                ("kept", "BROKEN"),
                finding.promise,
                &finding.figures,
            )?;
        }
        let title = self.paint(
            BOLD,
            "The gates: how well it behaved, on this machine and now",
        );
        writeln!(self.out, "\n{title}\n")?;
        for gate in &report.gates {
            self.judgement(gate.met, ("met", "MISSED"), gate.goal, &gate.figures)?;
        }
        let met = report.gates.iter().filter(|gate| gate.met).count();
        let end = if report.kept() {
            self.paint(GREEN, "The contract was kept.")
        } else {
            self.paint(
                RED,
                "The contract was broken. This is a bug in the pool or its manager.",
            )
        };
        let of = report.gates.len();
        writeln!(self.out, "\n{end} {met} of {of} gates were met.\n")?;
        self.out.flush()
    }

    fn judgement(
        &mut self,
        good: bool,
        (yes, no): (&str, &str),
        what: &str,
        figures: &str,
    ) -> io::Result<()> {
        let mark = if good {
            self.paint(GREEN, &format!("{yes:6}"))
        } else {
            self.paint(RED, no)
        };
        writeln!(self.out, "  {mark}  {what:57}  {figures}")
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("colours", &self.colours)
            .finish_non_exhaustive()
    }
}

/// The worst that can be said of a node, in a word.
fn mark(node: &NodeState) -> &'static str {
    let standing = node.view.map(|view| view.standing);
    let gone = node.connect_failures > 0 && node.pool.idle + node.pool.leased == 0;
    match (node.breaker, standing) {
        (breaker::State::Open, _) => " open",
        (breaker::State::HalfOpen, _) => " probed",
        _ if gone => " gone",
        (_, Some(Standing::Down)) => " down",
        (_, Some(Standing::Failing)) => " failing",
        (_, Some(Standing::Slow)) => " slow",
        (breaker::State::Degraded, _) => " degraded",
        (breaker::State::Closed, _) => "",
    }
}

fn known(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), span)
}

fn line(cells: &[&str]) -> String {
    columns(cells, &[8, 9, 9, 9, 8, 10])
}

fn cell(text: &str) -> String {
    format!("{text:>15}")
}

fn row(cells: &[&str]) -> String {
    let (name, figures) = cells.split_first().expect("a row has a name");
    format!(
        "  {name:14}{}",
        columns(figures, &[7, 8, 8, 8, 9, 8, 9, 7, 7, 9])
    )
}

/// Aligned to the right.
fn columns(cells: &[&str], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths);
    cells
        .map(|(cell, width)| format!("{cell:>width$}"))
        .collect()
}

const WIDTH: usize = 90;
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
