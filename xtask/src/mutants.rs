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
        if let Some(file) = files.iter().find(|it| !workspace.root.join(it).is_file()) {
            bail!("there is no {file}; it is in the list in xtask/src/mutants.rs");
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
    features: &'static str,
    /// Beside those in the code: the fewer targets, the faster each mutant is linked.
    tests: &'static [&'static str],
}

impl Machine {
    fn files(&self) -> impl Iterator<Item = String> {
        let package = self.package;
        self.files
            .iter()
            .map(move |file| format!("{package}/src/{file}.rs"))
    }

    /// The mutants that no test has noticed.
    ///
    /// The tests in the code, which are linked fast, look at all mutants, and all tests at those
    /// that are left.
    fn test(
        &self,
        shell: &Shell,
        workspace: &Workspace,
        program: &Path,
        files: &[String],
        timeout: u32,
    ) -> Result<BTreeSet<String>> {
        let mutants = workspace.target.join("mutants");
        let output = mutants.join(self.package);
        if output.exists() {
            fs::remove_dir_all(&output)?;
        }
        fs::create_dir_all(&output)?;
        let mut left = String::new();
        for all in [false, true] {
            let mut pass = Command::new(program);
            pass.args(["mutants", "--package", self.package, "--no-times"]);
            pass.args(files.iter().flat_map(|file| ["--file", file]));
            pass.arg("--output").arg(&output);
            // It knows `#[cfg(test)]`, but not `#[cfg(all(test, ..))]`.
            pass.args(["--exclude-re", r"\b(tests|rules)::"]);
            // What is given after `--` does not reach the build, which would link every test.
            pass.args(["--cargo-arg=--lib", "--features", self.features]);
            if all {
                pass.args(["--iterate", "--timeout", &timeout.to_string()]);
                let tests = self.tests.iter();
                pass.args(tests.map(|test| format!("--cargo-arg=--test={test}")));
            } else {
                pass.args(["--timeout", "20"]).env("PROPTEST_CASES", "64");
            }
            // What has caught one mutant is not kept for the next, so that each run is the same.
            pass.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
                .env("PROPTEST_MAX_SHRINK_ITERS", "0")
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                // It copies the sources; what they depend on is built once for all copies.
                .env("CARGO_TARGET_DIR", mutants.join("build"))
                .current_dir(&workspace.root);
            shell.say(&format!("$ {}", files.join(" ")));
            let status = pass.status()?;
            // 2: some survive; 3: some run for ever, which a test has noticed.
            if ![Some(0), Some(2), Some(3)].contains(&status.code()) {
                bail!(
                    "cargo-mutants has failed, {status}; see {}",
                    output.display()
                );
            }
            let found = |name| fs::read_to_string(output.join("mutants.out").join(name));
            left = found("missed.txt")?;
            if left.is_empty() && found("timeout.txt")?.is_empty() {
                break;
            }
        }
        left.lines().map(key).collect()
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
            "budget",
            "budget/bucket",
            "config",
            "curve",
            "delays",
            "hedge",
            "jitter",
            "policy",
            "ratio",
            "rng",
            "session",
        ],
        features: "tokio,tower",
        tests: &["*"],
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
        features: "",
        tests: &[
            "config",
            "drawing",
            "invariants",
            "refinement",
            "simulation",
        ],
    },
    Machine {
        package: "health",
        files: &[
            "capability",
            "group",
            "group/batches",
            "monitor",
            "monitor/evidence",
            "outlier",
            "schedule",
            "score",
            "suspicion",
            "timetable",
        ],
        features: "tokio,serde",
        tests: &["*"],
    },
    Machine {
        package: "pool-core",
        files: &["gate", "ledger", "queue", "slot/idle"],
        features: "",
        tests: &[
            "fairness",
            "full_server",
            "handles",
            "life",
            "model",
            "outages",
        ],
    },
    Machine {
        package: "pool-facade",
        files: &[
            "balance/balancer",
            "balance/board",
            "balance/change",
            "balance/evidence",
            "balance/flight",
            "balance/node",
            "balance/pick",
            "balance/plan",
            "balance/policy",
            "balance/record",
        ],
        features: "",
        tests: &["balance"],
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
