//! The workloads, one file each.

pub(crate) mod allocations;
pub(crate) mod backoff;
pub(crate) mod behaviour;
pub(crate) mod breaker;
pub(crate) mod burst;
pub(crate) mod crowd;
pub(crate) mod get;
pub(crate) mod instructions;
pub(crate) mod memory;
pub(crate) mod outage;
pub(crate) mod postgres;
mod rigs;
pub(crate) mod scale;
pub(crate) mod storm;
pub(crate) mod tail;

use anyhow::Result;

use crate::options::Child;

/// What this program does when it is counted by valgrind.
pub(crate) fn child(child: &Child) -> Result<()> {
    let Child::Get {
        contender,
        setting,
        times,
    } = child;
    get::child(contender, setting, *times)
}
