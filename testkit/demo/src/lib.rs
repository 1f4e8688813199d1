//! The pool at work: 200 tasks, 16 connections, a server that fails, and an audit at the end.
//!
//! `cargo xtask demo` runs it. A [`Backend`] brings the server, its manager and the server's own
//! count; [`show`] puts a fault proxy before it, drives the load through the [`Script`], and
//! collects the [`Evidence`] that [`judge`] holds against the contract.
#![forbid(unsafe_code)]

mod backend;
mod embedded;
mod evidence;
mod load;
mod postgres;
mod roster;
mod screen;
mod script;
mod show;
mod text;

pub use backend::{Backend, Broken, Sessions};
pub use embedded::{Embedded, KvManager};
pub use evidence::{Evidence, Finding, Sizes, judge};
pub use load::Counts;
pub use postgres::Postgres;
pub use screen::Screen;
pub use script::{Act, Script};
pub use show::{Report, show};

/// The examples of the README, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
