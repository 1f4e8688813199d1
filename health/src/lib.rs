//! Who answers probes, who fails real work, how good a connection is.
//!
//! A health check asks; traffic shows. This crate has a small machine for each side and one that
//! joins them. None of them reads a clock, starts a task or does I/O: time comes in as an
//! [`Instant`](std::time::Instant), decisions go out as values. Ten thousand targets are simulated
//! in a second, and your own tests need no `sleep`.
//!
//! | question | answer |
//! |---|---|
//! | Is this target up, and when do I ask again? | [`Monitor`] |
//! | Which of many targets do I ask now, which may I use? | [`Group`] |
//! | Who fails real operations, whatever its probes say? | [`Outlier`] |
//! | How unusual is this silence? | [`Suspicion`] |
//! | Which connection is preferred, which is retired first? | [`Vitals`] and [`Score`] |
//! | How is the pool, in one word and in sentences? | [`PoolMonitor`] and [`PoolHealth`] |
//! | Can this connection do what I need? | [`Capability`] |
//! | Who runs all that for me? | `spawn`, with the feature `tokio` |
//!
//! # From nothing to a probed set of endpoints
//!
//! Put the endpoints into a group, say how one is probed, and let it run. The key of a target is
//! what the probe needs to find it: an address, a client, an index.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```text")]
//! use std::time::Instant;
//!
//! use health::{Failure, Group, GroupPolicy, Outcome, Report};
//! # mod net { pub async fn connect(_: &str) -> std::io::Result<()> { Ok(()) } }
//!
//! async fn probe(address: &'static str) -> Report {
//!     match net::connect(address).await {
//!         Ok(_) => Report::up(),
//!         Err(_) => Report::down(Failure::Connect),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut group = Group::new(GroupPolicy::new(), Instant::now())?;
//! let id = group.insert("10.0.0.1:5432", Instant::now());
//! let runner = health::spawn(group, probe);
//!
//! // What happens, as it happens ...
//! let mut events = runner.events();
//! println!("{:?}", events.next().await);
//! // ... and what holds now: cheap enough to ask for each request.
//! let snapshot = runner.snapshot();
//! let chosen = snapshot.eligible().next().expect("never empty while there are targets");
//! assert_eq!((chosen.id, chosen.key), (id, "10.0.0.1:5432"));
//! // Tell how the request went. Five failures in a row outrank any number of good probes.
//! runner.record(chosen.id, Outcome::Success);
//!
//! // Lets probes in flight finish, and gives the group back.
//! let group = runner.stop().await?;
//! assert_eq!(group.eligible().count(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! A probe is any `async` function that returns a [`Report`]: up, degraded, draining or down, with
//! a [`Weight`] and a role if you like ([`VaultRole`], [`DatabaseRole`] or a type of yours). It
//! needs no timeout of its own, and may panic: that is a failed probe. The example `probe_tcp` is
//! a complete program. Without tokio, drive [`Group::poll`] from whatever loop you have; its
//! documentation shows how.
//!
//! # What to rely on
//!
//! - A belief changes after 2 results in a row for the better or 3 for the worse, whatever kind of
//!   result it is; anything that flaps faster changes nothing.
//! - At most one probe per target is in flight, and it ends at its deadline. A late result is
//!   ignored.
//! - One target's probes keep their interval, give or take the jitter, however slow the others are.
//!   No two monitors probe in step, not even those created together.
//! - A failed operation outranks a good probe: only time ends an ejection.
//! - Never more than half of a group is ejected; below half available, all are eligible.
//! - A bad configuration is refused with every violation named.
//!
//! # Why not just ping
//!
//! A probe tests one path at one moment, from one place, with a request that is not yours. So it
//! must neither be believed at once (rise and fall), nor alone (outliers), nor when it condemns
//! everybody (panic). It should be cheap when all is well and quick when something is not: hence
//! three intervals. A "degraded" answer is not let past the thresholds either; where it is, one
//! overloaded reply in a hundred makes a target flap.
//!
//! # Features
//!
//! Both are off by default, and the crate then depends on nothing. `tokio` adds the runner. `serde`
//! adds `Serialize` to states, weights, roles, scores and pool health, and `Deserialize` to the
//! last.
#![forbid(unsafe_code)]

mod capability;
mod config;
mod group;
mod monitor;
mod outlier;
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
pub use group::{BatchAction, Event, Group, GroupAction, GroupPolicy, TargetProbe};
pub use monitor::{Action, Monitor, MonitorPolicy, Probe};
pub use outlier::{Cause, Ejection, Outcome, Outlier, OutlierEvent, OutlierPolicy};
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
