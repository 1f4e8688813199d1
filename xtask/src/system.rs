//! What the tests need from the system, installed where it is missing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell::Shell;

/// Sees to it that PostgreSQL and pip are there. On Debian and its descendants they are installed,
/// as root or with a `sudo` that asks nothing.
pub(crate) fn prepare(shell: &Shell) -> Result<()> {
    let mut missing = Vec::new();
    let mut versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    if !versions.any(|version| version.path().join("bin/initdb").is_file()) {
        missing.push("postgresql");
    }
    if !succeeds(Command::new("python3").args(["-m", "pip", "--version"])) {
        missing.push("python3-pip");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let sudo = !is_root();
    let packages = missing.join(" ");
    let by_hand = format!("install {packages}, for instance: apt-get install {packages}");
    if !Path::new("/usr/bin/apt-get").exists()
        || (sudo && !succeeds(Command::new("sudo").args(["-n", "true"])))
    {
        bail!("the tests need {packages}, which cannot be installed from here. Please {by_hand}");
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if sudo { "sudo" } else { "env" });
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"])
            .args(arguments);
        shell.run(&mut command)
    };
    apt(&["update"])?;
    apt(&[
        &["install", "--yes", "--no-install-recommends"],
        &missing[..],
    ]
    .concat())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
