//! The public API of each library as text, so that a review sees what a change does to it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::Shell;
use crate::workspace::{Package, Workspace};

/// Writes docs/api, or with `check` only compares it.
pub(crate) fn run(shell: &Shell, check: bool) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let folder = workspace.root.join("docs/api");
    let mut changed = Vec::new();
    for package in workspace.packages.iter().filter(|it| it.is_library()) {
        let file = folder.join(&package.name).with_extension("txt");
        let before = fs::read_to_string(&file).unwrap_or_default();
        let now = text(shell, &workspace, package)?;
        if before == now {
            continue;
        }
        for line in differences(&before, &now) {
            shell.say(&line);
        }
        changed.push(&*package.name);
        if !check {
            fs::create_dir_all(&folder)?;
            fs::write(file, now)?;
        }
    }
    if check && !changed.is_empty() {
        bail!(
            "the public API of {} is not as in docs/api. If that is meant, commit what this \
             writes:\n    cargo xtask api",
            changed.join(", ")
        );
    }
    Ok(())
}

/// Every public item with its signature, one a line.
fn text(shell: &Shell, workspace: &Workspace, package: &Package) -> Result<String> {
    let target = workspace.target.join("api");
    let mut rustdoc = Command::new("cargo");
    rustdoc.args(["rustdoc", "--quiet", "--package", &package.name, "--lib"]);
    rustdoc.args(["--features", &package.public_features().join(",")]);
    // The format is unstable; version and reader are pinned to each other in the lock file.
    rustdoc.args(["--", "-Zunstable-options", "--output-format", "json"]);
    rustdoc.env("RUSTC_BOOTSTRAP", "1");
    shell.run(rustdoc.env("CARGO_TARGET_DIR", &target))?;
    let name = package.name.replace('-', "_");
    let json = target.join("doc").join(name).with_extension("json");
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .context("the format of rustdoc's JSON has changed: `public-api` must change with it")?;
    let items = api.items().map(ToString::to_string);
    // Whether a type may go to other threads is part of the promise; the other traits that
    // implement themselves say little.
    let lines = items.filter(|item| SELF_MADE.iter().all(|name| !item.contains(name)));
    Ok(lines.map(|line| line + "\n").collect())
}

fn differences(before: &str, now: &str) -> Vec<String> {
    let lines = |text| str::lines(text).collect::<BTreeSet<_>>();
    let (before, now) = (lines(before), lines(now));
    let gone = before.difference(&now).map(|line| format!("- {line}"));
    let come = now.difference(&before).map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}

const SELF_MADE: [&str; 5] = [
    " core::marker::Freeze for ",
    " core::marker::Unpin for ",
    " core::marker::UnsafeUnpin for ",
    " core::panic::unwind_safe::RefUnwindSafe for ",
    " core::panic::unwind_safe::UnwindSafe for ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_gone_and_what_has_come_is_told() {
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert_eq!(differences("a\n", "a\n"), [""; 0]);
    }
}
