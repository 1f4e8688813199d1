//! Every test of the workspace, the real services included.

use std::process::Command;

use anyhow::Result;

use crate::services::{self, Action};
use crate::shell::Shell;
use crate::workspace::Workspace;

/// Unit, integration and documentation tests; then each library alone with all its features, since
/// in the whole workspace features add up and hide a test that a missing one would fail.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    services::run(shell, Action::Fetch)?;
    shell.run(Command::new("cargo").args(["test", "--workspace", "--no-fail-fast"]))?;
    let workspace = Workspace::load(shell)?;
    for package in workspace
        .packages
        .iter()
        .filter(|package| package.is_library())
    {
        let features: Vec<_> = package
            .features
            .iter()
            .filter(|it| !SPECIAL.contains(&it.as_str()))
            .collect();
        if !features.is_empty() {
            let features = features
                .into_iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(",");
            let mut cargo = Command::new("cargo");
            cargo.args(["test", "--package", &package.name, "--features", &features]);
            shell.run(&mut cargo)?;
        }
    }
    Ok(())
}

/// On anyway, or for the model checkers alone.
const SPECIAL: [&str; 3] = ["default", "loom", "shuttle"];
