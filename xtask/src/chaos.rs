//! The contract, held against real PostgreSQL servers by a package of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::shell::Shell;
use crate::system;

/// What to put the pool through.
#[derive(Debug, Args, Default)]
pub(crate) struct Chaos {
    /// Write one object for each row of the contract to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only what bears on this row, or the experiment of this name
    #[arg(long)]
    only: Option<String>,
    /// Only say which rows there are, and what measures them
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(shell: &Shell, options: &Chaos) -> Result<()> {
    let mut chaos = chaos("faults");
    if options.list {
        return shell.run(chaos.arg("--list"));
    }
    system::prepare(shell)?;
    if let Some(file) = &options.json {
        chaos.arg("--json").arg(file);
    }
    if let Some(only) = &options.only {
        chaos.args(["--only", only]);
    }
    shell.run(&mut chaos)
}

/// What is measured are counts and seconds, but some of it at full speed: hence the release.
pub(crate) fn chaos(job: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--package", "chaos", "--", job]);
    command
}
