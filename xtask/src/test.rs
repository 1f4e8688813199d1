//! Every test of the workspace, the real services included.

use std::process::Command;

use anyhow::Result;

use crate::bench;
use crate::services::{self, Action};
use crate::shell::Shell;
use crate::workspace::Workspace;

/// Unit, integration and documentation tests, all features on: one build and one run of each.
/// That a library's tests also compile without its features is for `cargo xtask features` to say.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    services::run(shell, Action::Fetch)?;
    let features: Vec<_> = Workspace::load(shell)?
        .packages
        .iter()
        .filter(|package| package.name != bench::PACKAGE)
        .flat_map(|package| {
            let features = package.public_features().into_iter();
            features
                .map(|feature| format!("{}/{feature}", package.name))
                .collect::<Vec<_>>()
        })
        .collect();
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    cargo.args(bench::APART).arg("--features");
    shell.run(cargo.arg(features.join(",")))
}
