//! Ours beside the peers: `cargo xtask bench`.
#![forbid(unsafe_code)]

mod backoffs;
mod bars;
mod breakers;
mod clock;
mod declared;
mod figures;
mod gauge;
mod jobs;
mod machine;
mod options;
mod plot;
mod pool;
mod postgres;
mod report;
mod row;
mod screen;
mod session;
mod work;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

use crate::declared::Declared;
use crate::jobs::{JOBS, Job};
use crate::machine::Machine;
use crate::options::Options;
use crate::report::Report;
use crate::row::Row;
use crate::screen::Screen;
use crate::session::Session;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Screen::new(0).say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(child) = &options.child {
        return work::child(child);
    }
    let word = options.only.as_deref().unwrap_or_default();
    let chosen: Vec<_> = JOBS.iter().filter(|job| job.name.contains(word)).collect();
    if chosen.is_empty() {
        bail!("no job's name contains `{word}`; see --list");
    }
    let screen = Screen::new(chosen.len());
    if options.list {
        jobs::list(&chosen, &screen);
        return Ok(());
    }
    let baseline = match &options.baseline {
        None => Vec::new(),
        Some(file) => report::read(file).with_context(|| format!("{}", file.display()))?,
    };
    fs::create_dir_all(&options.out)?;
    let machine = Machine::look();
    screen.say(&machine.text());
    let mut session = Session::new(options.quick, Declared::committed()?, screen);
    for job in &chosen {
        run_job(&mut session, job)?;
        report::write_rows(&options.out, &session.rows)?;
        session.screen.done();
    }
    let report = Report {
        machine: &machine,
        session: &session,
        baseline: &baseline,
    };
    report.write(&options.out)?;
    if options.publish {
        report::publish::write(&report, Path::new(PAGE))?;
    }
    session
        .screen
        .say(&format!("\nwritten to {}", options.out.display()));
    verdict(&session, &chosen, options.only.is_none())
}

/// Runs a job; a second time if it missed a bar that nobody declared, since the machine may have
/// been busy elsewhere. The second time counts, and says that it is one.
fn run_job(session: &mut Session, job: &Job) -> Result<()> {
    session.begin(job.name);
    let (rows, plots) = (session.rows.len(), session.plots.len());
    (job.run)(session)?;
    let surprise = |session: &Session| {
        let mut new = session.rows[rows..].iter();
        new.any(|row| session.declared.surprises(row))
    };
    if job.timed && surprise(session) {
        session
            .screen
            .say("  a bar is missed that was not declared: once more");
        session.rows.truncate(rows);
        session.plots.truncate(plots);
        session.begin(job.name);
        (job.run)(session)?;
        for row in session.rows[rows..].iter_mut().filter(|it| it.is_verdict()) {
            let note = row.note.take().map(|note| note + ", ").unwrap_or_default();
            row.note = Some(note + "measured twice");
        }
    }
    Ok(())
}

/// Every bar has its verdict, every miss its reason, every reason its row.
fn verdict(session: &Session, chosen: &[&Job], complete: bool) -> Result<()> {
    let Session { rows, declared, .. } = session;
    let judged = |id: &str| rows.iter().any(|row| row.id == id && row.is_verdict());
    let bars = chosen.iter().flat_map(|job| job.bars);
    let silent: Vec<_> = bars.copied().filter(|id| !judged(id)).collect();
    let missed: Vec<_> = rows.iter().filter(|it| declared.surprises(it)).collect();
    let stale = if complete {
        declared.stale(rows)
    } else {
        Vec::new()
    };
    session.screen.say(&report::summary(rows, declared));
    if !silent.is_empty() {
        bail!("nothing was said about {}", silent.join(", "));
    }
    if !missed.is_empty() {
        let keys: Vec<_> = missed.into_iter().map(Row::key).collect();
        bail!(
            "missed and not declared in testkit/comparison/declared.txt:\n  {}",
            keys.join("\n  ")
        );
    }
    if !stale.is_empty() {
        bail!(
            "declared.txt names no row by `{}`; remove it there",
            stale.join("`, `")
        );
    }
    Ok(())
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/BENCHMARKS.md");
