//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Ours beside the peers, in one process and in rotated rounds.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Options {
    /// In less than three minutes: every workload, shorter rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the jobs whose name contains this
    #[arg(long, value_name = "WORD")]
    pub(crate) only: Option<String>,
    /// Print the jobs and their bars, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Where results.jsonl, report.md and report.html go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// Compare with the results.jsonl of an earlier run
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Put the results into docs/BENCHMARKS.md
    #[arg(long, conflicts_with = "only")]
    pub(crate) publish: bool,
    #[command(subcommand)]
    pub(crate) child: Option<Child>,
}

/// Run by this program itself, under valgrind.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Child {
    /// Get and give back so many times, and nothing else
    #[command(hide = true)]
    Get {
        contender: String,
        setting: String,
        times: u32,
    },
}
