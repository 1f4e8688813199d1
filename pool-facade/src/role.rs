//! What the roles of well-known clusters mean to the balancer.

use health::{DatabaseRole, VaultRole};

use crate::balance::Role;

/// The primary takes writes, and reads when no replica serves.
///
/// ```
/// use pool_facade::balance::Role;
/// use pool_facade::health::DatabaseRole;
///
/// assert_eq!(Role::from(DatabaseRole::Primary), Role::Primary);
/// assert_eq!(Role::from(DatabaseRole::Replica), Role::Replica);
/// ```
impl From<DatabaseRole> for Role {
    fn from(role: DatabaseRole) -> Self {
        match role {
            DatabaseRole::Primary => Self::Primary,
            DatabaseRole::Replica => Self::Replica,
            _ => Self::None,
        }
    }
}

/// The active member takes everything; a standby is used when no other serves, and only if it hands
/// on what it gets; one that answers reads itself gets its share of them.
///
/// The answer of `/v1/sys/health`, which names the part that the member plays, makes a probe:
///
/// ```
/// use pool_facade::balance::Role;
/// use pool_facade::health::{Failure, Report, VaultRole};
///
/// fn report(status: u16) -> Report<Role> {
///     match VaultRole::from_status(status) {
///         Some(role) => role.report().map_role(Role::from),
///         None => Report::down(Failure::Status),
///     }
/// }
///
/// assert_eq!(report(200).role(), Some(&Role::Any));
/// assert_eq!(report(429).role(), Some(&Role::standby(true)));
/// assert_eq!(report(474).role(), Some(&Role::standby(false)));
/// assert_eq!(report(503).role(), Some(&Role::None));
/// assert_eq!(report(502), Report::down(Failure::Status));
/// ```
impl From<VaultRole> for Role {
    fn from(role: VaultRole) -> Self {
        match role {
            VaultRole::Active => Self::Any,
            VaultRole::Standby => Self::standby(true),
            VaultRole::PerformanceStandby => Self::ForwardingReplica,
            VaultRole::CutOff => Self::standby(false),
            _ => Self::None,
        }
    }
}
