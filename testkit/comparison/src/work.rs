//! The workloads, one file each.

pub(crate) mod get;

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
