//! The rules of the house that no compiler knows. Each finding says how to fix it.

mod clock;
mod docs;
mod layers;
mod length;
mod source;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell::Shell;
use crate::workspace::Workspace;
use source::Source;

/// Checks every text file and every manifest.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let mut findings = layers::check(&workspace.packages);
    let mut paths = Vec::new();
    collect(&workspace.root, &mut paths)?;
    paths.sort();
    for path in paths {
        // What is not text has no rules.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let source = Source::new(path.strip_prefix(&workspace.root)?, &text);
        findings.extend(RULES.iter().flat_map(|rule| rule(&source)));
    }
    for finding in &findings {
        shell.say(finding);
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings. Run it again with:\n    cargo xtask tidy"),
    }
}

/// Every file that could be ours: no hidden folder but `.ci` and `.cargo`, nothing built.
fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = !name.starts_with('.') || [".ci", ".cargo"].contains(&&*name);
        if entry.file_type()?.is_dir() {
            if ours && !["target", "corpus", "proptest-regressions"].contains(&&*name) {
                collect(&entry.path(), paths)?;
            }
        } else if ours && name != "Cargo.lock" {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// Looks at one file.
type Rule = fn(&Source<'_>) -> Vec<String>;

const RULES: [Rule; 6] = [
    length::files,
    length::functions,
    clock::reads,
    docs::modules,
    docs::ignored_examples,
    words::all,
];
