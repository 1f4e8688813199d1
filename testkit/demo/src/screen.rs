//! What is shown.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use pool_core::State;

use crate::evidence::PROMISED;
use crate::script::{Act, Script};
use crate::show::{Interval, Report};
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
        server: &str,
        script: &Script,
        tasks: usize,
        size: usize,
    ) -> io::Result<()> {
        let title = self.paint(BOLD, "Holdfast: a connection pool while its server fails");
        let text = format!(
            "{tasks} tasks share a pool of {size} connections to {server}. Between pool and \
             server stands a proxy that does harm on purpose. For {} seconds the pool serves its \
             tasks while the server is well, slow, cut off, gone, and back. Each second one line \
             shows what the pool counts. At the end its books are compared with what the tasks \
             and the server have counted; a difference makes this command fail.",
            script.length().as_secs_f32(),
        );
        writeln!(self.out, "\n{title}\n\n{}\n", wrap(&text, WIDTH))?;
        let head = line(&[
            "time",
            "ops/s",
            "acquire p50",
            "p99",
            "active",
            "idle",
            "waiting",
            "connects",
            "errors",
        ]);
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
        let figures = line(&[
            &format!("{:.1} s", time.as_secs_f64()),
            &count(interval.rate()),
            &known(interval.p50),
            &known(interval.p99),
            &state.leased.to_string(),
            &state.idle.to_string(),
            &state.waiting.to_string(),
            &count(interval.connects),
            &count(interval.errors()),
        ]);
        writeln!(self.out, "{figures}")?;
        self.out.flush()
    }

    pub(crate) fn table(&mut self, acts: &[(Act, Interval)]) -> io::Result<()> {
        let title = self.paint(BOLD, "Phase by phase");
        writeln!(self.out, "\n{title}\n")?;
        let head = row(&[
            "",
            "seconds",
            "ops/s",
            "acquire p50",
            "p99",
            "connects",
            "refused",
            "answered",
            "unserved",
            "cut",
            "left",
        ]);
        let head = self.paint(DIM, &head);
        writeln!(self.out, "{head}")?;
        for (act, it) in acts {
            let figures = row(&[
                act.name(),
                &format!("{:.1}", it.length.as_secs_f64()),
                &count(it.rate()),
                &known(it.p50),
                &known(it.p99),
                &count(it.connects),
                &count(it.refused),
                &count(it.answered),
                &count(it.unserved),
                &count(it.cut),
                &count(it.left),
            ]);
            writeln!(self.out, "{figures}")?;
        }
        let legend = "acquire: from asking the pool to having a connection. connects, refused: \
             attempts, and those that failed. answered: requests with their own reply. unserved: \
             no connection in time. cut: the connection was lost before the reply. left: the \
             caller gave up, in the queue or midway.";
        let legend = self.paint(DIM, &wrap(legend, WIDTH));
        writeln!(self.out, "\n{legend}")
    }

    pub(crate) fn recoveries(
        &mut self,
        recoveries: &[Option<Duration>],
        acts: &[(Act, Interval)],
    ) -> io::Result<()> {
        let spans: Vec<_> = recoveries
            .iter()
            .map(|it| it.map_or_else(|| format!("more than {}", span(PROMISED)), span))
            .collect();
        let Some((back, cuts)) = spans.split_last() else {
            return Ok(());
        };
        let attempts = acts
            .iter()
            .find(|(act, _)| *act == Act::Refused)
            .map_or(0, |(_, it)| it.refused);
        let text = format!(
            "After each cut the pool was whole again in {}. While the server was gone it tried to \
             connect {} times, at one pace for all tasks. Once the server was back, it was whole \
             in {back}.",
            list(cuts),
            count(attempts),
        );
        writeln!(self.out, "\n{}", wrap(&text, WIDTH))
    }

    /// The end of it all.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn verdict(&mut self, report: &Report) -> io::Result<()> {
        let title = self.paint(BOLD, "Verdict");
        writeln!(self.out, "\n{title}\n")?;
        for finding in &report.findings {
            let mark = if finding.kept {
                self.paint(GREEN, "kept  ")
            } else {
                self.paint(RED, "BROKEN")
            };
            writeln!(
                self.out,
                "  {mark}  {:43}{}",
                finding.promise, finding.figures
            )?;
        }
        let end = if report.kept() {
            self.paint(GREEN, "The contract was kept.")
        } else {
            self.paint(
                RED,
                "The contract was broken. This is a bug in the pool or its manager.",
            )
        };
        writeln!(self.out, "\n{end}\n")?;
        self.out.flush()
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

fn known(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), span)
}

fn line(cells: &[&str]) -> String {
    columns(cells, &[9, 9, 13, 9, 9, 7, 10, 11, 9])
}

fn row(cells: &[&str]) -> String {
    let (name, figures) = cells.split_first().expect("a row has a name");
    format!(
        "  {name:8}{}",
        columns(figures, &[7, 8, 13, 9, 10, 9, 10, 10, 6, 7])
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
