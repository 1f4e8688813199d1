//! Tests under the address sanitizer, which also finds leaks; on the stable compiler.

use std::process::Command;

use anyhow::Result;

use crate::shell::Shell;
use crate::workspace::Workspace;

/// Runs the tests of the package, by default of `pool-core`, whose slots are the only unsafe code.
pub(crate) fn run(shell: &Shell, package: Option<&str>) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let mut test = cargo(shell, "test", "")?;
    test.args(["--package", package.unwrap_or("pool-core")]);
    test.args(["--lib", "--tests", "--no-fail-fast"]);
    // What `mem::forget` is called on is lost by intent.
    test.args(["--", "--skip", "forgotten"]);
    shell.run(test.env("CARGO_TARGET_DIR", workspace.target.join("address")))
}

/// A command of cargo's whose code is checked. `flags` are added to those of the compiler.
///
/// The sanitizers are unstable options; they are in the stable compiler all the same. std is not
/// instrumented, therefore the mismatch: a bad access that std makes for us goes unseen.
pub(crate) fn cargo(shell: &Shell, command: &str, flags: &str) -> Result<Command> {
    let host = host(shell)?;
    let mut cargo = Command::new("cargo");
    // With a target named, build scripts and macros are left out.
    cargo.args([command, "--target", &host]);
    cargo.env("RUSTC_BOOTSTRAP", "1").env(
        "RUSTFLAGS",
        format!("-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer {flags}"),
    );
    Ok(cargo)
}

pub(crate) fn host(shell: &Shell) -> Result<String> {
    let mut rustc = Command::new("rustc");
    Ok(shell
        .read(rustc.args(["--print", "host-tuple"]))?
        .trim()
        .to_owned())
}
