//! What a call has to know before it may start, in one word.

use crate::machine::Machine;
use crate::state::{Mode, State};

/// `epoch: 56 | flags: 4 | state: 2 | unused: 2`.
#[derive(Clone, Copy)]
pub(crate) struct Word(pub(crate) u64);

const STATE_SHIFT: u32 = 2;
const ADMITS: u64 = 1 << 4;
const COUNTS: u64 = 1 << 5;
const REFUSES: u64 = 1 << 6;
const FORCED: u64 = 1 << 7;
const EPOCH_SHIFT: u32 = 8;

impl Word {
    pub(crate) fn of(machine: &Machine) -> Self {
        let state = match machine.state() {
            State::Closed => 0,
            State::Degraded => 1,
            State::Open => 2,
            State::HalfOpen => 3,
        };
        let automatic = machine.mode() == Mode::Automatic;
        let mut word = (machine.epoch() << EPOCH_SHIFT) | (state << STATE_SHIFT);
        for (flag, holds) in [
            (ADMITS, machine.admits_all()),
            (COUNTS, machine.counts_calls()),
            (REFUSES, automatic && machine.state() == State::Open),
            (FORCED, machine.mode() == Mode::ForcedOpen),
        ] {
            word |= if holds { flag } else { 0 };
        }
        Self(word)
    }

    pub(crate) const fn state(self) -> State {
        match (self.0 >> STATE_SHIFT) & 0b11 {
            0 => State::Closed,
            1 => State::Degraded,
            2 => State::Open,
            _ => State::HalfOpen,
        }
    }

    #[inline]
    pub(crate) const fn epoch(self) -> u64 {
        self.0 >> EPOCH_SHIFT
    }

    /// Every call is admitted, without asking the machine.
    #[inline]
    pub(crate) const fn admits(self) -> bool {
        self.0 & ADMITS != 0
    }

    /// Calls in flight are counted.
    #[inline]
    pub(crate) const fn counts(self) -> bool {
        self.0 & COUNTS != 0
    }

    /// Every call is refused until the open time is over.
    #[inline]
    pub(crate) const fn refuses(self) -> bool {
        self.0 & REFUSES != 0
    }

    /// Every call is refused.
    #[inline]
    pub(crate) const fn is_forced(self) -> bool {
        self.0 & FORCED != 0
    }
}
