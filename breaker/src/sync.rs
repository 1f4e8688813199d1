//! The primitives of the shell, exchanged for those of the model checkers when they explore it.
//!
//! shuttle's work only under its own scheduler, and all features together have to be the breaker
//! that users get: so shuttle's are taken with its feature and without `tracing`.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(all(feature = "shuttle", not(any(loom, feature = "tracing"))))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(any(loom, all(feature = "shuttle", not(feature = "tracing")))))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::thread_local;
#[cfg(all(feature = "shuttle", not(any(loom, feature = "tracing"))))]
pub(crate) use shuttle::thread_local;

/// Whether a model checker explores the shell.
pub(crate) const MODELED: bool =
    cfg!(loom) || cfg!(all(feature = "shuttle", not(feature = "tracing")));
