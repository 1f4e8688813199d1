//! The one switch between the real primitives and those of the model checkers.

#[cfg(not(any(loom, feature = "shuttle")))]
pub(crate) use std::sync::{Mutex as RawMutex, atomic};

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex as RawMutex, atomic};

#[cfg(all(feature = "shuttle", not(loom)))]
pub(crate) use shuttle::sync::{Mutex as RawMutex, atomic};

use std::sync::PoisonError;

/// A mutex without poison: no user code runs under any lock of this crate, so nothing unwinds
/// through one but a failed assertion of ours.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(RawMutex<T>);

#[cfg(not(any(loom, feature = "shuttle")))]
pub(crate) type Guard<'a, T> = std::sync::MutexGuard<'a, T>;
#[cfg(loom)]
pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;
#[cfg(all(feature = "shuttle", not(loom)))]
pub(crate) type Guard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RawMutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
