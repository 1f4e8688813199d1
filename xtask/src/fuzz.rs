//! The fuzz targets: libFuzzer and the address sanitizer, on the stable compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::sanitize;
use crate::shell::Shell;
use crate::workspace::Workspace;

/// What to run, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this target, a file in fuzz/src/bin
    target: Option<String>,
    /// How long each target looks for new inputs
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Run this input alone, as after a crash
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
    /// Keep in fuzz/corpus the fewest inputs that reach all that was reached
    #[arg(long)]
    keep: bool,
}

/// What CI does: every committed input, and a look at what is near them.
pub(crate) const SMOKE: Options = Options {
    target: None,
    seconds: 5,
    input: None,
    keep: false,
};

/// Builds the targets and runs them, one after the other.
pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let workspace = Workspace::load(shell)?;
    let targets = targets(&workspace.root, options.target.as_deref())?;
    let build = workspace.target.join("fuzz");
    let mut cargo = sanitize::cargo(shell, "build", COVERAGE)?;
    cargo.args(["--manifest-path", "fuzz/Cargo.toml", "--release"]);
    for target in &targets {
        cargo.args(["--bin", target]);
    }
    cargo.env("CARGO_TARGET_DIR", &build);
    shell.run(cargo.current_dir(&workspace.root))?;
    let programs = build.join(sanitize::host(shell)?).join("release");
    for target in &targets {
        let place = Place {
            program: programs.join(target),
            found: build.join("corpus").join(target),
            kept: workspace.root.join("fuzz/corpus").join(target),
        };
        place
            .run(shell, options)
            .with_context(|| format!("target {target}; an input that fails is named above"))?;
        if options.keep {
            place.keep(shell)?;
        }
    }
    Ok(())
}

/// The names of the targets, or the one that is asked for.
fn targets(root: &Path, only: Option<&str>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/src/bin"))? {
        let path = entry?.path();
        let name = path.file_stem().context("a target has a name")?;
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    match only {
        None => Ok(names),
        Some(only) if names.iter().any(|name| name == only) => Ok(vec![only.to_owned()]),
        Some(only) => bail!(
            "no target is called `{only}`; there are {}",
            names.join(", ")
        ),
    }
}

/// Where a target is, and where its inputs are.
struct Place {
    program: PathBuf,
    /// Grows with each run on this machine.
    found: PathBuf,
    /// Committed.
    kept: PathBuf,
}

impl Place {
    fn run(&self, shell: &Shell, options: &Options) -> Result<()> {
        let mut fuzzer = Command::new(&self.program);
        fuzzer.args(LIMITS);
        if let Some(input) = &options.input {
            return shell.run(fuzzer.arg(input));
        }
        fs::create_dir_all(&self.found)?;
        fs::create_dir_all(&self.kept)?;
        let failed = self.found.with_extension("failed-");
        fuzzer
            .arg(format!("-max_total_time={}", options.seconds))
            .arg(format!("-artifact_prefix={}", failed.display()));
        quietly(shell, fuzzer.args([&self.found, &self.kept]))
    }

    /// The inputs that cover all edges; how often each is passed is left out.
    fn keep(&self, shell: &Shell) -> Result<()> {
        let fewest = self.found.with_extension("fewest");
        let _ = fs::remove_dir_all(&fewest);
        fs::create_dir_all(&fewest)?;
        let mut merge = Command::new(&self.program);
        merge
            .args(LIMITS)
            .args(["-set_cover_merge=1", "-use_counters=0"]);
        quietly(shell, merge.args([&fewest, &self.kept, &self.found]))?;
        fs::remove_dir_all(&self.kept)?;
        fs::create_dir_all(&self.kept)?;
        for entry in fs::read_dir(&fewest)? {
            let entry = entry?;
            fs::copy(entry.path(), self.kept.join(entry.file_name()))?;
        }
        Ok(())
    }
}

/// Shows what the fuzzer prints only if it finds something: it is a lot.
fn quietly(shell: &Shell, fuzzer: &mut Command) -> Result<()> {
    shell.say(&format!("$ {}", fuzzer.get_program().display()));
    shell.read(fuzzer).map(drop)
}

/// How libFuzzer learns what an input reaches.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// The longest input in bytes, the longest run of one in seconds, and the most memory in MiB.
const LIMITS: [&str; 3] = ["-max_len=1024", "-timeout=20", "-rss_limit_mb=2048"];
