//! What a thread counts without meeting other threads: successes and calls that start and end.
//!
//! One word holds the successes and the calls that have ended, with a tag of the epoch and a bit
//! that shuts it. Whoever holds the machine's lock shuts every stripe, takes the successes, lets
//! the machine decide, and opens the stripes again, tagged with the epoch that then is, if a
//! success may still go uncounted for a while. So a success either is in the word before a
//! decision, and takes part in it, or finds the word shut and waits for the lock; and a late one
//! finds another tag. That is decided by the one modification order of the word.
//!
//! Calls that start are counted in a word of their own: a thread then nearly always knows what the
//! first word holds without reading it. A call may end in another stripe than it started in; only
//! the sums over all stripes mean something. Ends are stored with release and shutting acquires
//! them, so whoever shuts every stripe and then adds up the starts finds the start of every end.

use crate::sync::{
    AtomicU64, MODELED,
    Ordering::{Acquire, Relaxed, Release},
};

/// Two cache lines, because some processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Stripe {
    /// `ended: 32 | tag: 8 | shut: 1 | successes: 23`; the ends wrap.
    settled: AtomicU64,
    started: AtomicU64,
    pub(crate) ignored: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) rejected_open: AtomicU64,
    pub(crate) rejected_forced: AtomicU64,
}

const SUCCESSES: u64 = 0x7f_ffff;
const SHUT: u64 = 1 << 23;
const TAG_SHIFT: u32 = 24;
const TAG: u64 = 0xff << TAG_SHIFT;
const ENDED_SHIFT: u32 = 32;
const ONE_END: u64 = 1 << ENDED_SHIFT;

impl Stripe {
    pub(crate) fn new() -> Self {
        Self {
            settled: AtomicU64::new(SHUT),
            started: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            rejected_open: AtomicU64::new(0),
            rejected_forced: AtomicU64::new(0),
        }
    }

    /// A call starts.
    #[inline]
    pub(crate) fn start(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    /// Calls that have started, ever.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// A call that was counted ends, as the machine has been told.
    pub(crate) fn finish(&self) {
        self.settled.fetch_add(ONE_END, Release);
    }

    /// A counted call of `epoch` ends without a result. `false` if the machine has to be told:
    /// it would otherwise hold a call of an earlier epoch to be in flight for ever.
    pub(crate) fn finish_in(&self, epoch: u64) -> bool {
        self.exchange(epoch, ONE_END, self.settled.load(Relaxed))
            .is_some()
    }

    /// Counts a success of `epoch`, and the end of the call if its start was `counted`.
    /// Returns what the word then holds; `None` if the machine has to be asked.
    ///
    /// `guess` is what the word may hold. A right one, which the thread that came last can make,
    /// spares reading the word; a wrong one costs an exchange that fails.
    #[inline]
    pub(crate) fn succeed(&self, epoch: u64, counted: bool, guess: u64) -> Option<u64> {
        let step = if counted { ONE_END + 1 } else { 1 };
        self.exchange(epoch, step, guess)
    }

    /// Adds `step` to an open word of `epoch` that has room for a success.
    #[inline]
    fn exchange(&self, epoch: u64, step: u64, guess: u64) -> Option<u64> {
        let tag = (epoch << TAG_SHIFT) & TAG;
        let takes =
            |settled: u64| settled & (TAG | SHUT) == tag && settled & SUCCESSES != SUCCESSES;
        let mut settled = guess;
        if !takes(settled) {
            settled = self.settled.load(Relaxed);
        }
        while takes(settled) {
            let new = settled.wrapping_add(step);
            match self
                .settled
                .compare_exchange(settled, new, Release, Relaxed)
            {
                Ok(_) => return Some(new),
                Err(found) => settled = found,
            }
        }
        None
    }

    /// Shuts the stripe; returns the successes, which are now the caller's, and the calls that have
    /// ended, modulo 2^32.
    pub(crate) fn shut(&self) -> (u64, u64) {
        let mut settled = self.settled.load(Acquire);
        while settled & SHUT == 0 {
            let new = (settled | SHUT) & !SUCCESSES;
            match self
                .settled
                .compare_exchange_weak(settled, new, Acquire, Acquire)
            {
                Ok(_) => break,
                Err(found) => settled = found,
            }
        }
        (settled & SUCCESSES, settled >> ENDED_SHIFT)
    }

    /// Opens a shut stripe for successes of `epoch`.
    pub(crate) fn reopen(&self, epoch: u64) {
        let mut settled = self.settled.load(Relaxed);
        loop {
            let new = (settled >> ENDED_SHIFT << ENDED_SHIFT) | ((epoch << TAG_SHIFT) & TAG);
            match self
                .settled
                .compare_exchange_weak(settled, new, Relaxed, Relaxed)
            {
                Ok(_) => return,
                Err(found) => settled = found,
            }
        }
    }
}

/// Cores rounded up to a power of two, at most eight.
pub(crate) fn stripes() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if MODELED {
        // Threads share a stripe: the case with the most interleavings.
        1
    } else {
        cores.next_power_of_two().min(8)
    }
}
