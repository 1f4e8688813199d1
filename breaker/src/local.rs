//! What a thread remembers from one call to the next.
//!
//! Each access is a function of its own: the closure that `with` takes is then small enough for
//! both to vanish, where a large one costs two calls and keeps everything in memory.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

struct Local {
    number: Cell<usize>,
    settled: Cell<u64>,
    // A moment in nanoseconds after a base, and the same as an `Instant`: two of those compare in a
    // tenth of the time that it takes to subtract them. One cell for all three would be copied.
    end_ns: Cell<u64>,
    end_base: Cell<Option<Instant>>,
    end: Cell<Option<Instant>>,
}

impl Local {
    const fn new() -> Self {
        Self {
            number: Cell::new(usize::MAX),
            settled: Cell::new(0),
            end_ns: Cell::new(0),
            end_base: Cell::new(None),
            end: Cell::new(None),
        }
    }

    /// The end that was asked for last, if it is this one.
    #[inline]
    fn end(&self, base: Instant, end_ns: u64) -> Option<Instant> {
        if self.end_ns.get() != end_ns || self.end_base.get() != Some(base) {
            return None;
        }
        self.end.get()
    }
}

#[cfg(not(any(loom, all(feature = "shuttle", not(feature = "tracing")))))]
thread_local! {
    static LOCAL: Local = const { Local::new() };
}

#[cfg(any(loom, all(feature = "shuttle", not(feature = "tracing"))))]
crate::sync::thread_local! {
    static LOCAL: Local = Local::new();
}

/// A number of this thread; threads that start one after another get different ones.
#[inline]
pub(crate) fn number() -> usize {
    let number = LOCAL.with(|local| local.number.get());
    if number == usize::MAX {
        return assign_number();
    }
    number
}

#[cold]
fn assign_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    let number = NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1);
    LOCAL.with(|local| local.number.set(number));
    number
}

/// What the thread's stripe of the breaker that it settled with last held then.
#[inline]
pub(crate) fn settled() -> u64 {
    LOCAL.with(|local| local.settled.get())
}

#[inline]
pub(crate) fn set_settled(settled: u64) {
    LOCAL.with(|local| local.settled.set(settled));
}

/// Whether `now` is less than `end_ns` after `base`, by the end that was asked for last. `false`
/// may mean that it was another.
#[inline]
pub(crate) fn knows_before(now: Instant, base: Instant, end_ns: u64) -> bool {
    LOCAL
        .with(|local| local.end(base, end_ns))
        .is_some_and(|end| now < end)
}

/// The moment `end_ns` after `base`, if it was asked for last and comes after `now`. `None` may mean
/// that it was another, or that `now` is before `base`.
#[inline]
pub(crate) fn end_after(now: Instant, base: Instant, end_ns: u64) -> Option<Instant> {
    LOCAL
        .with(|local| local.end(base, end_ns))
        .filter(|end| base <= now && now < *end)
}

/// Remembers an end for [`knows_before`] and [`end_after`].
pub(crate) fn remember_end(base: Instant, end_ns: u64) {
    let end = base.checked_add(Duration::from_nanos(end_ns));
    LOCAL.with(|local| {
        local.end_ns.set(end_ns);
        local.end_base.set(Some(base));
        local.end.set(end);
    });
}
