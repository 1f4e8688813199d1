//! The shell: a tokio task that owns a group, does its probes and tells what changes.
//!
//! Nobody else touches the group, so there is no lock. Handles send commands and read what the
//! task has published. A probe that panics is a failed probe; one that takes too long is dropped
//! at its deadline.

mod clock;
mod runner;
mod task;

pub use runner::{Events, Runner, Snapshot, Stopped, TargetView, Watch, spawn, spawn_batches};
