//! The real services of a working day; `testkit` starts and ends them.

use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::shell::Shell;
use crate::system;

/// What to do with them.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Action {
    /// Start them and print their addresses
    Up,
    /// Stop them and remove their data
    Down,
    /// Say whether they run
    Status,
    /// Download what they need and start nothing
    Fetch,
}

pub(crate) fn run(shell: &Shell, action: Action) -> Result<()> {
    let name = match action {
        Action::Up => "up",
        Action::Down => "down",
        Action::Status => "status",
        Action::Fetch => "fetch",
    };
    if matches!(action, Action::Up | Action::Fetch) {
        system::prepare(shell)?;
    }
    let mut cargo = Command::new("cargo");
    shell.run(cargo.args([
        "run",
        "--quiet",
        "--package",
        "testkit",
        "--bin",
        "services",
        "--",
        name,
    ]))
}
