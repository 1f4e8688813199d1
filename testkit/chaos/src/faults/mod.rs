//! One file for each kind of fault: what is done to the server, and what is seen.

pub(crate) mod cancelling;
pub(crate) mod closing;
pub(crate) mod connecting;
pub(crate) mod expiry;
pub(crate) mod failover;
pub(crate) mod firewall;
pub(crate) mod full;
pub(crate) mod killing;
pub(crate) mod leaks;
pub(crate) mod lies;
pub(crate) mod login;
pub(crate) mod nonsense;
pub(crate) mod overload;
pub(crate) mod panics;
pub(crate) mod restarts;
pub(crate) mod runtimes;
pub(crate) mod silence;
pub(crate) mod storm;
pub(crate) mod waiters;
