//! The comparison with the peers, the criterion benches, and the gate on instruction counts.

mod gate;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::shell::Shell;
use crate::workspace::Workspace;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// In less than three minutes: every workload, shorter rounds
    #[arg(long)]
    quick: bool,
    /// Only the jobs whose name contains this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Print the jobs and their bars, and run nothing
    #[arg(long)]
    list: bool,
    /// Where results.jsonl, report.md and report.html go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare with the results.jsonl of an earlier run
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Put the results into docs/BENCHMARKS.md
    #[arg(long, conflicts_with = "only")]
    publish: bool,
    /// Hold the instruction counts of the hot paths to the committed ones, as CI does
    #[arg(long, group = "instead")]
    gate: bool,
    /// With --gate: commit to what is counted now
    #[arg(long, requires = "gate")]
    update: bool,
    /// Check the harness itself: its lints and its tests
    #[arg(long, group = "instead")]
    check: bool,
    /// Run the criterion benches of every crate
    #[arg(long, group = "instead")]
    criterion: bool,
}

/// Keeps the peers out of what concerns the whole workspace: they are many.
pub(crate) const APART: [&str; 2] = ["--exclude", PACKAGE];

/// The package with the peers.
pub(crate) const PACKAGE: &str = "comparison";

pub(crate) fn run(shell: &Shell, bench: &Bench) -> Result<()> {
    if bench.gate {
        return gate::run(shell, bench.update);
    }
    if bench.check {
        return check(shell);
    }
    if bench.criterion {
        return criterion(shell);
    }
    let mut cargo = Command::new("cargo");
    // Not quiet: the first build takes minutes, and shows that it goes on.
    cargo.args(["run", "--release", "--package", PACKAGE, "--"]);
    for (flag, set) in [
        ("--quick", bench.quick),
        ("--list", bench.list),
        ("--publish", bench.publish),
    ] {
        cargo.args(set.then_some(flag));
    }
    if let Some(word) = &bench.only {
        cargo.args(["--only", word]);
    }
    for (flag, path) in [("--out", &bench.out), ("--baseline", &bench.baseline)] {
        if let Some(path) = path {
            cargo.arg(flag).arg(path);
        }
    }
    shell.run(&mut cargo)
}

/// The lints and tests that the commands for the whole workspace leave out.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let mut clippy = Command::new("cargo");
    clippy.args(["clippy", "--package", PACKAGE, "--all-targets"]);
    shell.run(clippy.args(["--", "-D", "warnings"]))?;
    let mut test = Command::new("cargo");
    shell.run(test.args(["test", "--package", PACKAGE]))
}

/// Fails when a hot path costs more than what was committed.
pub(crate) fn hold(shell: &Shell) -> Result<()> {
    gate::run(shell, false)
}

fn criterion(shell: &Shell) -> Result<()> {
    for package in Workspace::load(shell)?.packages {
        if package.has_benches {
            let mut cargo = Command::new("cargo");
            shell.run(cargo.args(["bench", "--package", &package.name, "--benches"]))?;
        }
    }
    Ok(())
}
