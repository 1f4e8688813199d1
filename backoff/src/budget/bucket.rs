//! A number that is taken from and put to by many threads, never below zero or above full.
//!
//! Ordering: relaxed throughout. One word is all there is, its modification order alone decides
//! who gets the last token, and no other memory is published by it.

use std::sync::atomic::Ordering::Relaxed;

use super::AtomicU64;

#[derive(Debug)]
pub(super) struct Bucket {
    level: AtomicU64,
    full: u64,
}

impl Bucket {
    pub(super) const fn new(level: u64, full: u64) -> Self {
        Self {
            level: AtomicU64::new(level),
            full,
        }
    }

    /// Adds as many of the units as fit. Writes nothing if none does, or if there are none.
    pub(super) fn put(&self, units: u64) {
        let mut level = self.level.load(Relaxed);
        loop {
            let next = level.saturating_add(units).min(self.full);
            if next == level {
                return;
            }
            match self
                .level
                .compare_exchange_weak(level, next, Relaxed, Relaxed)
            {
                Ok(_) => return,
                Err(actual) => level = actual,
            }
        }
    }

    /// Takes all of the units, or none.
    pub(super) fn try_take(&self, units: u64) -> bool {
        let mut level = self.level.load(Relaxed);
        loop {
            let Some(next) = level.checked_sub(units) else {
                return false;
            };
            match self
                .level
                .compare_exchange_weak(level, next, Relaxed, Relaxed)
            {
                Ok(_) => return true,
                Err(actual) => level = actual,
            }
        }
    }

    pub(super) fn level(&self) -> u64 {
        self.level.load(Relaxed)
    }
}
