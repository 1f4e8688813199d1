//! Runs the examples of the libraries, each of which ends by itself.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::shell::Shell;
use crate::workspace::Workspace;

/// Runs every example to its end; the first that fails fails the job.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    for package in workspace.packages.iter().filter(|it| it.is_library()) {
        for example in package.examples.iter().filter(|it| !is_tool(&it.name)) {
            let mut cargo = Command::new("cargo");
            cargo.args(["run", "--quiet", "--package", &package.name]);
            cargo.args(["--example", &example.name]);
            if !example.features.is_empty() {
                cargo.arg("--features").arg(example.features.join(","));
            }
            // One that waits for a key is told that none will come.
            shell.run(cargo.stdin(Stdio::null()))?;
        }
    }
    Ok(())
}

/// Whether it writes files of this repository; such a one has a command of its own.
fn is_tool(example: &str) -> bool {
    ["gen", "plots"].contains(&example)
}
