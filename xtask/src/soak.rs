//! Minutes of load and random faults, by the same package as `chaos`.

use anyhow::Result;
use clap::Args;

use crate::chaos::chaos;
use crate::shell::Shell;
use crate::system;

/// For how long, and which faults.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How long, at least 2
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// Repeats the faults of the run that printed it; else one is drawn
    #[arg(long)]
    seed: Option<u64>,
}

impl Default for Soak {
    /// As in CI: what passed once passes again.
    fn default() -> Self {
        Self {
            minutes: 2,
            seed: Some(1),
        }
    }
}

pub(crate) fn run(shell: &Shell, options: &Soak) -> Result<()> {
    system::prepare(shell)?;
    let mut soak = chaos("soak");
    soak.args(["--minutes", &options.minutes.to_string()]);
    if let Some(seed) = options.seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    shell.run(&mut soak)
}
