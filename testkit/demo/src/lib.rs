//! The pool at work: 200 tasks, several nodes that fail, and an audit at the end.
//!
//! `cargo xtask demo` runs it. A [`Backend`] brings the servers, their manager and the servers' own
//! count; [`show`] puts a fault proxy before each, drives the load through the [`Script`], and
//! collects the [`Evidence`] that [`judge`] holds against the contract. What was seen of each
//! [`Act`] is held against the gates of behaviour by [`gates`].
#![forbid(unsafe_code)]

mod backend;
mod embedded;
mod evidence;
mod gates;
mod interval;
mod load;
mod postgres;
mod screen;
mod script;
mod show;
mod stage;
mod text;

pub use backend::{Backend, Sessions, WORK};
pub use embedded::{Embedded, KvManager};
pub use evidence::{Evidence, Finding, NodeEvidence, Sizes, judge};
pub use gates::{Closing, Gate, gates};
pub use interval::{Interval, NodeInterval};
pub use load::Counts;
pub use postgres::Postgres;
pub use screen::Screen;
pub use script::{Act, Script};
pub use show::{Report, show};

/// The examples of the README, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
