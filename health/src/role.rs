//! Ready-made roles: members of a Vault cluster, primaries and replicas of a database.
//!
//! Any `Copy + Eq` type will do as a role; these two are the ones that many people need.

use crate::{Failure, Report};

/// The part that a database server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DatabaseRole {
    /// Takes writes.
    Primary,
    /// Follows a primary, and takes reads only.
    Replica,
}

/// The part that a member of a Vault or OpenBao cluster plays.
///
/// `GET /v1/sys/health` answers with a status that names the part, not the fault: 429 is a standby
/// that is well, and has nothing to do with rate limits.
///
/// ```
/// use health::{State, VaultRole};
///
/// let role = VaultRole::from_status(429).expect("a status of the health endpoint");
/// assert_eq!(role, VaultRole::Standby);
/// assert_eq!(role.report().state(), State::Up);
/// assert_eq!(VaultRole::Sealed.report().state(), State::Down);
/// assert_eq!(VaultRole::from_status(502), None); // not Vault's word: take it as a failed probe
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum VaultRole {
    /// 200: serves everything.
    Active,
    /// 429: forwards to the active member.
    Standby,
    /// 473: serves reads, forwards the rest.
    PerformanceStandby,
    /// 472: waits for a disaster, and serves no clients.
    DrSecondary,
    /// 474: a standby that cannot reach the active member.
    CutOff,
    /// 501: was never set up.
    Uninitialised,
    /// 503: holds its data, but cannot read it.
    Sealed,
    /// 530: was taken out of the cluster.
    Removed,
}

impl VaultRole {
    /// Reads the status code of `/v1/sys/health`, asked without parameters that change it.
    #[must_use]
    pub const fn from_status(status: u16) -> Option<Self> {
        Some(match status {
            200 => Self::Active,
            429 => Self::Standby,
            472 => Self::DrSecondary,
            473 => Self::PerformanceStandby,
            474 => Self::CutOff,
            501 => Self::Uninitialised,
            503 => Self::Sealed,
            530 => Self::Removed,
            _ => return None,
        })
    }

    /// The report of a probe that found this role.
    #[must_use]
    pub fn report(self) -> Report<Self> {
        let report = match self {
            Self::Active | Self::Standby | Self::PerformanceStandby => Report::up(),
            Self::CutOff => Report::degraded(),
            Self::DrSecondary | Self::Uninitialised | Self::Sealed | Self::Removed => {
                Report::down(Failure::Role)
            }
        };
        report.with_role(self)
    }
}
