//! Health: who answers probes, who fails real work, how good a connection is.
#![forbid(unsafe_code)]

mod batches;
mod capability;
mod config;
mod evidence;
mod group;
mod group_policy;
mod monitor;
mod outlier;
mod policy;
mod pool;
mod report;
mod role;
#[cfg(feature = "tokio")]
mod runtime;
mod schedule;
mod score;
mod status;
mod suspicion;
mod target;
mod timetable;

pub use capability::{Answer, Capability, CapabilityAction, CapabilityError};
pub use config::{ConfigErrors, Violation};
pub use group::{BatchAction, Event, Group, GroupAction, TargetProbe};
pub use group_policy::GroupPolicy;
pub use monitor::{Action, Monitor, Probe};
pub use outlier::{Cause, Ejection, Outcome, Outlier, OutlierEvent, OutlierPolicy};
pub use policy::MonitorPolicy;
pub use pool::{
    BreakerReading, PoolHealth, PoolLevel, PoolMonitor, PoolReading, PoolReason, PoolThresholds,
};
pub use report::{Failure, Report, Weight};
pub use role::{DatabaseRole, VaultRole};
#[cfg(feature = "tokio")]
pub use runtime::{Events, Runner, Snapshot, Stopped, TargetView, Watch, spawn, spawn_batches};
pub use score::{Score, ScorePolicy, Vitals};
pub use status::{Change, State, Status};
pub use suspicion::{Suspicion, SuspicionPolicy};
pub use target::TargetId;
