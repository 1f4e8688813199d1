//! The complete pool: one or several nodes, each with a breaker, under one balancer.
//!
//! ```
//! # use pool_core::testing::Script;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let manager = Script::new().manager();
//! let pool = pool_facade::Pool::builder().node("db", manager).max_size(20).build()?;
//! let id = pool.run(async |connection| Ok(connection.id)).await?;
//! # assert_eq!(id, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A node is a [`pool_core::Pool`] with a connect gate, a [`breaker`] and a health monitor. Any
//! [`pool_core::Manager`] will do; the whole crate is re-exported as [`pool_core`], and no name at
//! this root means another thing than there.
//!
//! | question | answer |
//! |---|---|
//! | How do I run something on a connection? | [`Pool::run`]; with a deadline, read-only, idempotent, errors of your own: [`CallOptions`] |
//! | How do I hold a connection? | [`Pool::get`], a [`Guard`] that is `'static` |
//! | Who refused, and when do I come back? | [`Error::kind`], [`Error::retry_after`] |
//! | What may be tried again? | [`Judgement`]: what was provably not executed, or is idempotent |
//! | How do I name several nodes? | [`Endpoint`], [`Builder::probe`] for their roles, [`Builder::discover`] to look them up |
//! | How do I prepare or judge each connection? | [`Builder::after_connect`], [`Builder::on_checkout`], [`Builder::on_return`] |
//! | How is the pool? | [`Pool::ready`], [`Pool::health`], [`Pool::state`], [`Builder::metrics`] |
//! | How do I set all that? | [`Config`], from code, documents, URLs and the environment |
//!
//! # What to rely on
//!
//! - **A call is refused early.** An open breaker is asked before a connection is leased; a gate
//!   that is shut says why before anybody queues; what was shed is not tried again.
//! - **Two machines for two troubles.** The connect gate hears of connects alone and never keeps an
//!   idle connection from being lent. The breaker hears of operations alone. A caller's own mistake
//!   is an answer from a server that is well, and opens nothing.
//! - **An outage meets one schedule**, however many callers there are: attempts to connect are
//!   single, spread, and at most some 300 ms apart, and every caller knows the reason within 10 ms.
//! - **Retries are no load.** All calls of a pool share one budget: a tenth of the successes. What
//!   a server may have executed is not repeated unless the call says that it may be.
//! - **Real calls outrank probes.** A node is believed to be what its calls make of it.
//! - **The data plane needs no tick.** Scores, roles and limits are published as plain numbers; a
//!   tick that is late, or that panics in something plugged in, costs freshness and nothing else.
//! - **Dropping a call gives everything back**: the connection as its manager wants it, the
//!   breaker's permit as cancelled, the budget's tokens, the count of calls in flight.
//!
//! # What a call costs
//!
//! Nothing is allocated and no lock is taken while a connection is idle. A call that has to wait,
//! and one that has failed, allocate what they need for that, and so the future of every call is
//! half as large as it would be. On one node there are, beside the core's own work, two loads of
//! the published plan, the breaker's permit, and one reading of the clock, which its window of time
//! needs. `cargo bench -p pool-facade --bench call` shows it beside the core.
//!
//! # Features
//!
//! `serde` reads [`Config`] from documents of any format. `test-util` adds `testing`: repeatable
//! chance and an audit of the whole pool.

#![forbid(unsafe_code)]

pub mod balance;
mod builder;
mod call;
pub mod config;
mod control;
mod discover;
mod endpoint;
mod error;
mod gate;
mod guard;
mod hooks;
mod judge;
mod metrics;
mod node;
mod nodes;
mod observe;
mod options;
mod plan;
mod pool;
mod probe;
mod random;
mod role;
mod run;
mod shared;
mod state;
#[cfg(feature = "test-util")]
pub mod testing;
mod within;

pub use builder::Builder;
pub use config::{Config, ConfigErrors};
pub use discover::{Discover, DiscoverError};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind};
pub use guard::{Guard, Outcome, Scope};
pub use health;
pub use judge::{By, ByPool, Judge, Judgement};
pub use options::CallOptions;
pub use pool::Pool;
pub use pool_core;
pub use pool_metrics;
pub use shared::RetryStatistics;
pub use state::{NodeState, NodeStatistics, Readiness, State, Statistics};
