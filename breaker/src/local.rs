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
    end: Cell<Option<End>>,
}

/// A moment in nanoseconds, and the same as an `Instant`: two of those compare in a tenth of the
/// time that it takes to subtract them.
#[derive(Clone, Copy)]
struct End {
    base: Instant,
    since_base_ns: u64,
    instant: Instant,
}

impl Local {
    const fn new() -> Self {
        Self {
            number: Cell::new(usize::MAX),
            settled: Cell::new(0),
            end: Cell::new(None),
        }
    }
}

#[cfg(not(loom))]
thread_local! {
    static LOCAL: Local = const { Local::new() };
}

#[cfg(loom)]
loom::thread_local! {
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
        .with(|local| local.end.get())
        .is_some_and(|end| end.since_base_ns == end_ns && end.base == base && now < end.instant)
}

/// Remembers an end for [`knows_before`].
pub(crate) fn remember_end(base: Instant, end_ns: u64) {
    let instant = base.checked_add(Duration::from_nanos(end_ns));
    let end = instant.map(|instant| End {
        base,
        since_base_ns: end_ns,
        instant,
    });
    LOCAL.with(|local| local.end.set(end));
}
