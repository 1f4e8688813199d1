//! What a thread remembers from one call to the next.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Local {
    number: Cell<usize>,
    /// What the thread's stripe of the breaker that it settled with last held then.
    pub(crate) settled: Cell<u64>,
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

#[cfg(not(loom))]
thread_local! {
    pub(crate) static LOCAL: Local = const { Local::new() };
}

#[cfg(loom)]
loom::thread_local! {
    pub(crate) static LOCAL: Local = Local::new();
}

impl Local {
    const fn new() -> Self {
        Self {
            number: Cell::new(usize::MAX),
            settled: Cell::new(0),
            end: Cell::new(None),
        }
    }

    /// A number of this thread; threads that start one after another get different ones.
    #[inline]
    pub(crate) fn number(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);

        if self.number.get() == usize::MAX {
            self.number
                .set(NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1));
        }
        self.number.get()
    }

    /// Whether `now` is less than `end_ns` after `base`, by the end that was asked for last.
    /// `false` may mean that it was another.
    #[inline]
    pub(crate) fn knows_before(&self, now: Instant, base: Instant, end_ns: u64) -> bool {
        self.end
            .get()
            .is_some_and(|end| end.since_base_ns == end_ns && end.base == base && now < end.instant)
    }

    /// Remembers an end for [`knows_before`](Self::knows_before).
    pub(crate) fn remember(&self, base: Instant, end_ns: u64) {
        let instant = base.checked_add(Duration::from_nanos(end_ns));
        self.end.set(instant.map(|instant| End {
            base,
            since_base_ns: end_ns,
            instant,
        }));
    }
}
