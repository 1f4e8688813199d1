//! What a thread counts without meeting other threads: successes and calls in flight.
//!
//! One word holds both, with a tag of the epoch and a bit that shuts it. Whoever holds the
//! machine's lock shuts every stripe, takes the successes, lets the machine decide, and opens the
//! stripes again, tagged with the epoch that then is, if a success may still go uncounted for a
//! while. So a success either is in the word before a decision, and takes part in it, or finds the
//! word shut and waits for the lock; and a late one finds another tag. That is decided by the one
//! modification order of the word, which is why every access to it is relaxed: nothing else is
//! published through it.

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Two cache lines, because some processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Stripe {
    /// `tag: 8 | shut: 1 | in flight: 23 | successes: 32`.
    hot: AtomicU64,
    pub(crate) ignored: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) rejected_open: AtomicU64,
    pub(crate) rejected_forced: AtomicU64,
}

const SUCCESSES: u64 = 0xffff_ffff;
const ONE_CALL: u64 = 1 << 32;
const CALLS: u64 = 0x7f_ffff << 32;
const SHUT: u64 = 1 << 55;
const TAG_SHIFT: u32 = 56;
/// Half of what the field holds, so that racing threads cannot overflow it.
const MOST_CALLS: u64 = 0x40_0000 << 32;

impl Stripe {
    pub(crate) fn new() -> Self {
        Self {
            hot: AtomicU64::new(SHUT),
            ignored: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            rejected_open: AtomicU64::new(0),
            rejected_forced: AtomicU64::new(0),
        }
    }

    /// A call starts. Returns whether it was counted: a stripe counts up to four million.
    #[inline]
    pub(crate) fn start(&self) -> bool {
        let counted = self.hot.fetch_add(ONE_CALL, Relaxed) & CALLS < MOST_CALLS;
        if !counted {
            self.finish();
        }
        counted
    }

    /// A call that was counted ends.
    #[inline]
    pub(crate) fn finish(&self) {
        self.hot.fetch_sub(ONE_CALL, Relaxed);
    }

    /// Counts a success of `epoch`, and the end of the call if its start was `counted`; refuses if
    /// the machine has to be asked.
    #[inline]
    pub(crate) fn succeed(&self, epoch: u64, counted: bool) -> bool {
        let step = 1_u64.wrapping_sub(if counted { ONE_CALL } else { 0 });
        let mut hot = self.hot.load(Relaxed);
        while hot & SHUT == 0 && hot >> TAG_SHIFT == epoch & 0xff && hot & SUCCESSES != SUCCESSES {
            let new = hot.wrapping_add(step);
            match self.hot.compare_exchange_weak(hot, new, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => hot = now,
            }
        }
        false
    }

    /// Shuts the stripe; returns the successes, which are now the caller's, and calls in flight.
    pub(crate) fn shut(&self) -> (u64, u64) {
        let mut hot = self.hot.load(Relaxed);
        while hot & SHUT == 0 {
            let new = (hot | SHUT) & !SUCCESSES;
            match self.hot.compare_exchange_weak(hot, new, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(now) => hot = now,
            }
        }
        (hot & SUCCESSES, (hot & CALLS) >> 32)
    }

    /// Opens a shut stripe for successes of `epoch`.
    pub(crate) fn reopen(&self, epoch: u64) {
        let mut hot = self.hot.load(Relaxed);
        loop {
            let new = (hot & CALLS) | (epoch << TAG_SHIFT);
            match self.hot.compare_exchange_weak(hot, new, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => hot = now,
            }
        }
    }
}

/// A number of this thread; threads that start one after another get different ones.
#[cfg(not(loom))]
#[inline]
pub(crate) fn thread_number() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::AtomicUsize;

    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Relaxed) & (usize::MAX >> 1));
        }
        number.get()
    })
}

/// Under loom all threads share a stripe: the case with the most interleavings.
#[cfg(loom)]
pub(crate) fn thread_number() -> usize {
    0
}

/// Cores rounded up to a power of two, at most eight.
pub(crate) fn stripes() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cfg!(loom) {
        1
    } else {
        cores.next_power_of_two().min(8)
    }
}
