//! Mutation testing of the pure machines: each change of their code must turn a test red.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::shell::Shell;
use crate::workspace::Workspace;

/// What to mutate.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this package
    #[arg(long, short)]
    package: Option<String>,
    /// Only files whose path contains this
    #[arg(long)]
    file: Option<String>,
    /// How long the tests of one mutant may take, in seconds; a slow machine needs more
    #[arg(long, default_value_t = 60)]
    timeout: u32,
}

/// Tests every mutant and compares those that survive with the declared ones.
pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let program = install(shell, &workspace)?;
    let declared = declared(&fs::read_to_string(workspace.root.join(DECLARED))?)?;
    let mut wrong = Vec::new();
    for machine in MACHINES {
        let files: Vec<_> = machine
            .files()
            .filter(|it| options.takes(machine, it))
            .collect();
        if files.is_empty() {
            continue;
        }
        let survivors = machine.test(shell, &workspace, &program, &files, options.timeout)?;
        for survivor in &survivors {
            if !declared.contains_key(survivor) {
                wrong.push(format!("survives and has no reason:\n    {survivor}"));
            }
        }
        for mutant in declared.keys() {
            let tested = files
                .iter()
                .any(|it| mutant.starts_with(&format!("{it}: ")));
            if tested && !survivors.contains(mutant) {
                wrong.push(format!(
                    "is caught by now, its reason can go:\n    {mutant}"
                ));
            }
        }
    }
    for finding in &wrong {
        shell.say(finding);
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!("{count} findings: write a test, or a reason into {DECLARED}"),
    }
}

impl Options {
    fn takes(&self, machine: &Machine, file: &str) -> bool {
        let package = self.package.as_deref().unwrap_or(machine.package);
        package == machine.package && file.contains(self.file.as_deref().unwrap_or_default())
    }
}

/// Pure code, and the tests that know it.
struct Machine {
    package: &'static str,
    /// In `src`, without their ending.
    files: &'static [&'static str],
    /// What cargo is told to test: the fewer targets, the faster each mutant is linked.
    tests: &'static str,
}

impl Machine {
    fn files(&self) -> impl Iterator<Item = String> {
        let package = self.package;
        self.files
            .iter()
            .map(move |file| format!("{package}/src/{file}.rs"))
    }

    /// The mutants that no test has noticed.
    fn test(
        &self,
        shell: &Shell,
        workspace: &Workspace,
        program: &Path,
        files: &[String],
        timeout: u32,
    ) -> Result<BTreeSet<String>> {
        let output = workspace.target.join("mutants").join(self.package);
        fs::create_dir_all(&output)?;
        let mut mutants = Command::new(program);
        mutants.args(["mutants", "--package", self.package, "--no-times"]);
        mutants
            .args(["--timeout", &timeout.to_string(), "--output"])
            .arg(&output);
        mutants.args(files.iter().flat_map(|file| ["--file", file]));
        mutants.arg("--").args(self.tests.split(' '));
        mutants
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .current_dir(&workspace.root);
        // It copies the sources and builds there.
        mutants.env_remove("CARGO_TARGET_DIR");
        shell.say(&format!("$ {}", files.join(" ")));
        let status = mutants.status()?;
        // 2: some survive; 3: some run for ever, which a test has noticed.
        if ![Some(0), Some(2), Some(3)].contains(&status.code()) {
            bail!(
                "cargo-mutants has failed, {status}; see {}",
                output.display()
            );
        }
        let missed = fs::read_to_string(output.join("mutants.out/missed.txt"))?;
        missed.lines().map(key).collect()
    }
}

/// A mutant by file and change; lines and columns move too easily.
fn key(line: &str) -> Result<String> {
    let mut parts = line.splitn(4, ':');
    let (file, change) = (parts.next(), parts.nth(2));
    let change = change.with_context(|| format!("no mutant: {line}"))?;
    Ok(format!("{}:{change}", file.unwrap_or_default()))
}

/// Mutants, each with the reason on the indented lines below it.
fn declared(text: &str) -> Result<BTreeMap<String, String>> {
    let mut declared: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in text
        .lines()
        .filter(|it| !it.is_empty() && !it.starts_with('#'))
    {
        match (line.strip_prefix("    "), &last) {
            (None, _) => {
                declared.insert(line.to_owned(), String::new());
                last = Some(line.to_owned());
            }
            (Some(reason), Some(mutant)) => {
                let reasons = declared.entry(mutant.clone()).or_default();
                if !reasons.is_empty() {
                    reasons.push(' ');
                }
                reasons.push_str(reason);
            }
            (Some(_), None) => bail!("{DECLARED} begins with a reason"),
        }
    }
    match declared.iter().find(|(_, reason)| reason.is_empty()) {
        Some((mutant, _)) => bail!("{DECLARED} gives no reason for: {mutant}"),
        None => Ok(declared),
    }
}

/// Found where it was installed before, or built: no registry has it ready-made.
fn install(shell: &Shell, workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace
        .target
        .join("xtask")
        .join(format!("cargo-mutants-{VERSION}"));
    let program = root.join("bin/cargo-mutants");
    if !program.exists() {
        let mut cargo = Command::new("cargo");
        cargo.args([
            "install",
            "--locked",
            "--debug",
            "--version",
            VERSION,
            "--root",
        ]);
        shell.run(cargo.arg(&root).arg("cargo-mutants"))?;
    }
    Ok(program)
}

const VERSION: &str = "27.1.0";
const DECLARED: &str = "docs/mutants.txt";
const MACHINES: &[Machine] = &[
    Machine {
        package: "backoff",
        files: &[
            "budget", "config", "curve", "delays", "hedge", "jitter", "policy", "ratio", "rng",
            "session",
        ],
        tests: "--features tokio,tower --lib --tests",
    },
    Machine {
        package: "breaker",
        files: &[
            "limit",
            "machine",
            "machine/judge",
            "machine/shell",
            "probes",
            "state",
            "window",
        ],
        tests: "--lib --test invariants --test refinement --test simulation",
    },
    Machine {
        package: "health",
        files: &[
            "capability",
            "group",
            "group/batches",
            "monitor",
            "outlier",
            "schedule",
            "score",
            "suspicion",
            "timetable",
        ],
        tests: "--features tokio,serde --lib --tests",
    },
    Machine {
        package: "pool-core",
        files: &["gate", "idle", "ledger", "queue"],
        tests: "--lib --test fairness --test full_server --test model --test outages",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_known_by_file_and_change() {
        let line = "a/src/b.rs:7:12: replace < with <= in a::b";
        assert_eq!(key(line).unwrap(), "a/src/b.rs: replace < with <= in a::b");
        assert!(key("nothing").is_err());
    }

    #[test]
    fn each_declared_mutant_has_a_reason() {
        let text = "# Why.\n\na/b.rs: x\n    It is\n    the same.\n";
        assert_eq!(declared(text).unwrap()["a/b.rs: x"], "It is the same.");
        assert!(declared("a/b.rs: x\na/b.rs: y\n    why\n").is_err());
        assert!(declared("    why\n").is_err());
    }
}
