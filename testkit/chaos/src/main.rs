//! The contract on real PostgreSQL servers: see `--help`.
#![forbid(unsafe_code)]

mod contract;
mod crowd;
mod faults;
mod finding;
mod plan;
mod report;
mod rig;
mod run;
mod server;
mod soak;
mod time;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::contract::ROWS;
use crate::plan::EXPERIMENTS;
use crate::report::{Report, say};

/// The contract on real PostgreSQL servers. Ends with 1 when a promise was broken, with 2 when
/// nothing could be said.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Put the pool through the faults of the contract
    Faults {
        /// Write one object for each row to this file
        #[arg(long)]
        json: Option<PathBuf>,
        /// Only what bears on this row, or the experiment of this name
        #[arg(long)]
        only: Option<String>,
        /// Only say which rows there are
        #[arg(long)]
        list: bool,
    },
    /// Put the pool under load and random faults for minutes
    Soak {
        /// How long, at least 2
        #[arg(long, default_value_t = 2)]
        minutes: u64,
        /// Which faults come when; else it is drawn and told
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Carry out one experiment for another process
    #[command(hide = true)]
    Inside { name: String, version: String },
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Options::parse().job).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

async fn run(job: Job) -> Result<bool> {
    match job {
        Job::Faults { list: true, .. } => report::list().map(|()| true).map_err(Into::into),
        Job::Faults { json, only, .. } => faults(json, only.as_deref()).await,
        Job::Soak { minutes, seed } => {
            let drawn = RandomState::new().hash_one(std::process::id());
            soak::run(minutes, seed.unwrap_or(drawn)).await
        }
        Job::Inside { name, version } => run::inside(&name, &version).await.map(|()| true),
    }
}

async fn faults(json: Option<PathBuf>, only: Option<&str>) -> Result<bool> {
    let by_name = EXPERIMENTS.iter().find(|it| Some(it.name) == only);
    let row = |key: &str| match (only, by_name) {
        (None, _) => true,
        (Some(only), None) => key == only,
        (Some(_), Some(experiment)) => experiment.rows.contains(&key),
    };
    ensure!(
        ROWS.iter().any(|it| row(it.key)),
        "no such row or experiment; --list names them"
    );
    let findings = run::all(|experiment| match by_name {
        Some(one) => one.name == experiment.name,
        None => experiment.rows.iter().any(|key| row(key)),
    });
    let report = Report::new(&findings.await, |it| row(it.key));
    if let Some(file) = json {
        fs::write(file, format!("{:#}\n", report.to_json()))?;
    }
    report.print()?;
    Ok(report.kept())
}
