//! Instruction counts and allocations of the hot paths, held to the committed ones.
//!
//! No clock takes part: valgrind counts the same on a busy machine as on a quiet one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::PACKAGE;
use crate::shell::Shell;
use crate::workspace::Workspace;

/// What one hot path costs per operation.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

type Costs = BTreeMap<String, Cost>;

/// Counts, and fails if a path grew by more than 5 %; with `update` writes what it counted.
pub(super) fn run(shell: &Shell, update: bool) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--package", PACKAGE]);
    shell.run(build.args(["--bin", "counts", "--no-default-features"]))?;
    let program = workspace.target.join("release/counts");
    let counted = count(shell, &program)?;
    let file = workspace.root.join(FILE);
    if update {
        fs::write(&file, write(&counted))?;
        return Ok(());
    }
    let committed = read(&fs::read_to_string(&file).with_context(|| FILE)?)?;
    for (path, cost) in &counted {
        let before = committed.get(path).map_or_else(String::new, |before| {
            format!(
                " (committed {:.1}, {})",
                before.instructions, before.allocations
            )
        });
        let Cost {
            instructions,
            allocations,
        } = cost;
        shell.say(&format!(
            "{path:<28}{instructions:>9.1} instructions, {allocations} allocations{before}"
        ));
    }
    let grown = compare(&committed, &counted);
    if !grown.is_empty() {
        bail!("{}\n{HINT}", grown.join("\n"));
    }
    Ok(())
}

/// What differs for the worse, and what is on one side alone.
fn compare(committed: &Costs, counted: &Costs) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, now) in counted {
        let Some(before) = committed.get(path) else {
            findings.push(format!("{path}: counted, and not committed"));
            continue;
        };
        if now.instructions > before.instructions * (1.0 + GROWTH) {
            let (before, now) = (before.instructions, now.instructions);
            let percent = (now / before - 1.0) * 100.0;
            findings.push(format!(
                "{path}: {now:.1} instructions, {percent:.0} % more than the {before:.1} committed"
            ));
        }
        if now.allocations > before.allocations * (1.0 + GROWTH) {
            let (before, now) = (before.allocations, now.allocations);
            findings.push(format!("{path}: {now} allocations, committed {before}"));
        }
    }
    let gone = committed.keys().filter(|path| !counted.contains_key(*path));
    findings.extend(gone.map(|path| format!("{path}: committed, and no longer counted")));
    findings
}

fn count(shell: &Shell, program: &Path) -> Result<Costs> {
    shell
        .read(Command::new("valgrind").arg("--version"))
        .context("valgrind is in the Debian package of its name: apt-get install valgrind")?;
    let listing = shell.read(&mut Command::new(program))?;
    let paths = listing.lines().filter_map(|line| line.split_once(' '));
    paths
        .map(|(path, allocations)| {
            // What the program does before and after falls out of the difference.
            let [few, many] = [FEW, MANY].map(|times| instructions(shell, program, path, times));
            let cost = Cost {
                instructions: (many? - few?) / f64::from(MANY - FEW),
                allocations: allocations.parse()?,
            };
            Ok((path.to_owned(), cost))
        })
        .collect()
}

fn instructions(shell: &Shell, program: &Path, path: &str, times: u32) -> Result<f64> {
    let log = program.with_extension("callgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", log.display()))
        .arg(program)
        .args([path, &times.to_string()]);
    shell.read(&mut valgrind)?;
    let text = fs::read_to_string(&log)?;
    let line = text.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.rsplit(' ').next());
    let count = count.with_context(|| format!("callgrind counted nothing:\n{text}"))?;
    Ok(count.parse()?)
}

fn read(text: &str) -> Result<Costs> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [path, instructions, allocations] = words[..] else {
                bail!("{FILE}: `{line}` is not a path and two figures");
            };
            let cost = Cost {
                instructions: instructions.parse()?,
                allocations: allocations.parse()?,
            };
            Ok((path.to_owned(), cost))
        })
        .collect()
}

fn write(costs: &Costs) -> String {
    let mut text = String::from(
        "# Instructions and allocations of one operation of each hot path, by callgrind.\n\
         # Written by: cargo xtask bench --gate --update\n",
    );
    for (path, cost) in costs {
        let Cost {
            instructions,
            allocations,
        } = cost;
        let _ = writeln!(text, "{path:<28}{instructions:>9.1} {allocations:>6}");
    }
    text
}

const FILE: &str = "testkit/comparison/counts.txt";
const HINT: &str = "if that is worth it, commit to it:\n    cargo xtask bench --gate --update";
const GROWTH: f64 = 0.05;
const FEW: u32 = 1_000;
const MANY: u32 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(all: &[(&str, f64, f64)]) -> Costs {
        let costs = all.iter().map(|&(path, instructions, allocations)| {
            let cost = Cost {
                instructions,
                allocations,
            };
            (path.to_owned(), cost)
        });
        costs.collect()
    }

    #[test]
    fn five_percent_pass_and_six_do_not() {
        let committed = costs(&[("get", 100.0, 0.0)]);
        assert!(compare(&committed, &costs(&[("get", 105.0, 0.0)])).is_empty());
        let grown = compare(&committed, &costs(&[("get", 106.0, 0.0)]));
        assert!(grown[0].contains("6 % more"), "{grown:?}");
        assert!(compare(&committed, &costs(&[("get", 50.0, 0.0)])).is_empty());
    }

    #[test]
    fn one_more_allocation_does_not_pass() {
        let committed = costs(&[("get", 100.0, 0.0)]);
        assert_eq!(compare(&committed, &costs(&[("get", 90.0, 1.0)])).len(), 1);
    }

    #[test]
    fn a_path_on_one_side_alone_is_found() {
        let findings = compare(&costs(&[("old", 1.0, 0.0)]), &costs(&[("new", 1.0, 0.0)]));
        assert_eq!(findings.len(), 2);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let costs = costs(&[("breaker/closed", 31.5, 0.0), ("pool/get", 240.0, 2.0)]);
        assert_eq!(read(&write(&costs)).unwrap(), costs);
        assert!(read("pool/get 1\n").is_err());
    }
}
