//! What several tests of this crate need.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod model;
pub mod operations;
pub mod random;
pub mod simulation;
