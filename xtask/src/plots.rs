//! The drawings in the documentation of `backoff`, made by an example of that crate.

use std::process::Command;

use anyhow::Result;

use crate::shell::Shell;

/// Draws them, or with `check` only compares them.
pub(crate) fn draw(shell: &Shell, check: bool) -> Result<()> {
    let mut plots = Command::new("cargo");
    plots.args(["run", "--quiet", "--package", "backoff"]);
    plots.args(["--example", "plots"]);
    if check {
        plots.args(["--", "--check"]);
    }
    shell.run(&mut plots)
}
