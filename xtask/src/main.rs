//! The jobs of CI and of a working day: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod api;
mod audit;
mod bench;
mod chaos;
mod ci;
mod examples;
mod fuzz;
mod model;
mod mutants;
mod ops;
mod plots;
mod python;
mod sanitize;
mod services;
mod shell;
mod sim;
mod soak;
mod system;
mod test;
mod tidy;
mod workspace;

use std::process::{Command as Process, ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::bench::Bench;
use crate::chaos::Chaos;
use crate::model::Checker;
use crate::services::Action;
use crate::shell::Shell;
use crate::sim::Sim;
use crate::soak::Soak;

/// The jobs of CI and of a working day.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Show the pool at work through faults, on an embedded server or a real PostgreSQL
    Demo(Demo),
    /// Run ours beside the peers and write a report
    Bench(Bench),
    /// Set up the real services and run every test of the workspace
    Test,
    /// Run every example of the libraries
    Examples,
    /// Run what CI runs
    Ci,
    /// Play random histories of the assembled pool in virtual time
    Sim(Sim),
    /// Put the contract through its faults on real PostgreSQL servers
    Chaos(Chaos),
    /// Put the pool under load and random faults for minutes
    Soak(Soak),
    /// Keep both PostgreSQL versions running for a working day
    Services {
        #[command(subcommand)]
        action: Action,
    },
    /// Explore every interleaving of the lock-free parts with loom
    Loom {
        /// Only this package
        package: Option<String>,
    },
    /// Explore random schedules of the concurrent parts with shuttle
    Shuttle {
        /// Only this package
        package: Option<String>,
    },
    /// Check the rules of the house that no compiler knows
    Tidy,
    /// Check the formatting
    Fmt,
    /// Run clippy with warnings denied
    Clippy,
    /// Compile each library with each of its features alone and with none
    Features,
    /// Build the documentation with warnings denied
    Doc,
    /// Check licences, sources and bans of all dependencies
    Deny,
    /// Check all dependencies against a snapshot of the RustSec database
    Audit {
        /// An `advisory-db-DATE.tar.xz`; else the newest in ../shared
        snapshot: Option<std::path::PathBuf>,
    },
    /// Fuzz each target, or one, from its committed inputs
    Fuzz(fuzz::Options),
    /// Run tests under the address and leak sanitizer
    Sanitize {
        /// This package instead of pool-core
        package: Option<String>,
    },
    /// Change the code of the pure machines in every place and see that a test fails each time
    Mutants(mutants::Options),
    /// Write the public API of each library to docs/api
    Api {
        /// Write nothing; fail if a text differs from what would be written
        #[arg(long)]
        check: bool,
    },
    /// Write the dashboard, the alert rules and the metric reference from the table of metrics
    Gen {
        /// Write nothing; fail if a file differs from what would be written
        #[arg(long)]
        check: bool,
    },
    /// Draw what each strategy of backoff does, for its documentation
    Plots {
        /// Draw nothing; fail if a drawing differs from what would be drawn
        #[arg(long)]
        check: bool,
    },
    /// Check the metrics page and test the alert rules with promtool
    OpsTest,
}

#[derive(Debug, Args)]
struct Demo {
    /// End within 20 seconds, once the servers have started
    #[arg(long)]
    quick: bool,
    /// What to run on: `embedded` or `postgres`
    #[arg(long, default_value = "embedded")]
    backend: String,
    /// A PostgreSQL of your own
    #[arg(long)]
    url: Option<String>,
}

fn main() -> ExitCode {
    let job = Options::parse().job;
    let shell = Shell::default();
    let result = match &job {
        Job::Demo(options) => demo(&shell, options),
        Job::Bench(bench) => bench::run(&shell, bench),
        Job::Test => test::run(&shell),
        Job::Examples => examples::run(&shell),
        Job::Ci => ci::run(),
        Job::Sim(options) => sim::run(&shell, options),
        Job::Chaos(options) => chaos::run(&shell, options),
        Job::Soak(options) => soak::run(&shell, options),
        Job::Services { action } => services::run(&shell, *action),
        Job::Loom { package } => Checker::Loom.run(&shell, package.as_deref()),
        Job::Shuttle { package } => Checker::Shuttle.run(&shell, package.as_deref()),
        Job::Tidy => tidy::run(&shell),
        Job::Fmt => ci::fmt(&shell),
        Job::Clippy => ci::clippy(&shell),
        Job::Features => ci::features(&shell),
        Job::Doc => ci::doc(&shell),
        Job::Deny => ci::deny(&shell),
        Job::Audit { snapshot } => audit::run(&shell, snapshot.as_deref()),
        Job::Fuzz(options) => fuzz::run(&shell, options),
        Job::Sanitize { package } => sanitize::run(&shell, package.as_deref()),
        Job::Mutants(options) => mutants::run(&shell, options),
        Job::Api { check } => api::run(&shell, *check),
        Job::Gen { check } => ops::generate(&shell, *check),
        Job::Plots { check } => plots::draw(&shell, *check),
        Job::OpsTest => ops::test(&shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell.say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The demo is a package of its own, so that this one builds without a runtime or a driver.
fn demo(shell: &Shell, options: &Demo) -> anyhow::Result<()> {
    let mut command = Process::new("cargo");
    // Not quiet: the first build takes a while, and shows that it goes on.
    command.args(["run", "--release", "--package", "demo", "--"]);
    command.args(["--backend", &options.backend]);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(url) = &options.url {
        command.args(["--url", url]);
    }
    shell.run(&mut command)
}
