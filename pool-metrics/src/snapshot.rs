//! What the owners say about themselves at one moment: plain values, no atomics, no clocks.
//!
//! An owner makes a snapshot with `new`, sets what it counts, and lets a
//! [`PoolRecorder`](crate::PoolRecorder) add what that counts. Totals and ratios are not fields:
//! they are derived from the fields, so that they cannot disagree with them.

mod breaker;
mod health;
mod pool;
mod retry;

pub use breaker::BreakerSnapshot;
pub use health::HealthSnapshot;
pub use pool::{ClassSnapshot, ConnectionSnapshot, PoolSnapshot};
pub use retry::RetrySnapshot;
