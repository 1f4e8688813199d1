//! What a call that was admitted carries until it ends.

/// The right to make one call. It must be settled or cancelled.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "a ticket that is neither settled nor cancelled stays in flight for ever"]
pub struct Ticket(Stamp);

impl Ticket {
    pub(crate) const fn new(stamp: Stamp) -> Self {
        Self(stamp)
    }

    pub(crate) fn stamp(self) -> Stamp {
        self.0
    }

    /// Whether the breaker was degraded when it admitted the call: skip what is optional.
    #[must_use]
    pub const fn degraded(&self) -> bool {
        self.0.degraded()
    }
}

/// What a call needs to remember: two words, so that it stays in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    /// `epoch: 62 | degraded: 1 | counted in flight: 1`.
    word: u64,
    pub(crate) started_ns: u64,
}

impl Stamp {
    pub(crate) const fn new(epoch: u64, degraded: bool, counted: bool, started_ns: u64) -> Self {
        Self {
            word: epoch << 2 | (degraded as u64) << 1 | counted as u64,
            started_ns,
        }
    }

    /// What [`Machine::admit`] would have given while closed and without a slow-call rule.
    #[inline]
    pub(crate) const fn quick(epoch: u64, counted: bool) -> Self {
        Self {
            word: epoch << 2 | counted as u64,
            started_ns: 0,
        }
    }

    #[inline]
    pub(crate) const fn epoch(self) -> u64 {
        self.word >> 2
    }

    pub(crate) const fn degraded(self) -> bool {
        self.word & 2 != 0
    }

    #[inline]
    pub(crate) const fn counted(self) -> bool {
        self.word & 1 != 0
    }
}
