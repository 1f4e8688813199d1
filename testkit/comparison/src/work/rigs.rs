//! The very simulations that the tests of other crates hold to their gates.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "parts of other crates' tests, of which not all is used here"
)]

#[path = "../../../../breaker/tests/support/random.rs"]
pub(super) mod random;
#[path = "../../../../pool-facade/tests/nodes/report.rs"]
pub(super) mod report;
#[path = "../../../../breaker/tests/support/simulation.rs"]
pub(super) mod simulation;
#[path = "../../../../pool-facade/tests/nodes/world.rs"]
pub(super) mod world;
