//! Which node gets the next call: a pure machine, and the board on which it posts its verdicts.
//!
//! A [`Board`] is the data plane: published numbers and counters, no lock, no clock. It picks the
//! node of the least cost
//!
//! ```text
//! latency x (1 - error rate)^-3 x (calls in flight + 1) / weight
//! ```
//!
//! among those that the request may use; beyond three times the usual latency it is the cube of
//! the latency that counts. A node that fails fast looks idle and quick; the third power makes it
//! dear instead, and a failure counts from the moment that it is told, without waiting for anybody.
//! [`Balancer`] is the control plane: told of time, probes and roles, it reads the counters, judges
//! each node and posts prices and candidates. If it is late or gone, the board works on with what
//! was posted last.
//!
//! The invariant: what is posted only prefers. A node is never beyond reach because of its health,
//! only because of its role or because it was removed.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use pool_facade::balance::{Access, Balancer, Node, Outcome, Policy, Request};
//!
//! let mut now = Instant::now();
//! let mut balancer = Balancer::new(Policy::new())?;
//! let first = balancer.insert(Node::new(), now)?;
//! let second = balancer.insert(Node::new(), now)?;
//! let board = balancer.board().clone();
//!
//! // The first node fails whatever it is given; each call goes where it is likely to succeed.
//! let mut failed = 0;
//! for random in 0..100 {
//!     let node = board.pick(&Request::new(Access::Read), random * 0x9e37_79b9).expect("two nodes");
//!     let flight = board.start(node).expect("none was removed");
//!     failed += u32::from(node == first);
//!     let outcome = if node == first { Outcome::Failure } else { Outcome::Success };
//!     flight.settle(outcome, Some(Duration::from_millis(5)));
//! }
//! assert!(failed <= 20);
//!
//! // The tick judges: the node leaves the rotation and is to be probed in the background.
//! now += Duration::from_millis(200);
//! let verdict = balancer.tick(now);
//! assert_eq!(verdict.changes[0].node, first);
//! assert_eq!(board.pick(&Request::new(Access::Read), 7), Some(second));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How many
//!
//! A board has room for 64 nodes, so that a set of them is one word. Up to eight candidates are
//! compared one with another; of more, two chosen at random, which is nearly as good and costs no
//! more for sixty nodes than for nine.
//!
//! # Why a judgement is slow to change
//!
//! A node that leaves the rotation comes back once probes went well, and not before its damping
//! window is over. Should real calls fail again before 19 have succeeded, the probes have lied, and
//! the window doubles.
//! So a health check that is wrong costs a few calls at 1, 2, 4, .. 30 s, and no flapping. What
//! calls themselves prove, that a node fails or that it serves, has to wait for the first window
//! alone: some twenty calls that succeed bring a node back, whatever its probes say.
//!
//! # Why there is no `health::Outlier` here
//!
//! It ejects by outcomes, for those who have a list of targets and no prices. A standing keeps each
//! of its promises, and keeping both would be two judges of one matter:
//!
//! | `Outlier` | here |
//! |---|---|
//! | failures in a row eject: 5, at once | each multiplies the price by 1.37 at once; after 3 the next tick takes the node out |
//! | so does a failure rate: 50 % of 50 results | 20 % as a moving average, of any number |
//! | so does a success rate far below the group's | the third power of the success rate is in the price: 10 % failures, 1.37 times as dear |
//! | the time out grows: 30 s, 60 s, .. 300 s | 1 s, 2 s, 4 s, .. 30 s, and a background probe, not a caller, tries it before |
//! | never more than half are out | below half that serve, health is [ignored](Policy::panic_percent) |
//! | no good probe ends it early | it does after the window; calls that fail then double the window |

mod balancer;
mod board;
mod change;
mod evidence;
mod flight;
mod node;
mod pick;
mod plan;
mod policy;
mod record;

pub use balancer::{Balancer, InsertError};
pub use board::Board;
pub use change::{Change, NodeView, Standing, Verdict};
pub use flight::{Flight, Outcome};
pub use node::{Access, Node, NodeId, NodeSet, Role};
pub use pick::Request;
pub use policy::{Policy, PolicyErrors, Violation};
pub use record::ProbeFailed;
