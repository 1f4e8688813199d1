//! The assembled pool in virtual time: as many random histories of it as there is time for.

use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::shell::Shell;

/// Which histories.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// How many, besides those that failed once
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
}

impl Default for Sim {
    fn default() -> Self {
        Self {
            seeds: 500,
            from: 1,
        }
    }
}

/// Plays them, and the rigs that would stay collapsed without the pool's defences.
pub(crate) fn run(shell: &Shell, sim: &Sim) -> Result<()> {
    let mut test = Command::new("cargo");
    test.args(["test", "--package", "pool-facade", "--test", "sim"])
        .env("SIM_SEEDS", sim.seeds.to_string())
        .env("SIM_FROM", sim.from.to_string());
    shell
        .run(&mut test)
        .context("the history that failed is above, shrunk, with the command that repeats it")
}
