//! What happens when.

use std::time::Duration;

/// A part of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the demo has these eight parts")]
pub enum Act {
    /// Nothing is wrong.
    Steady,
    /// Replies of one node are late.
    Slow,
    /// One node fails at once.
    Failing,
    /// The servers can do far less than is asked of them.
    Overload,
    /// No node answers in time.
    Late,
    /// All nodes are gone.
    Gone,
    /// They are back.
    Back,
    /// The pool is closed while it is used.
    Shutdown,
}

impl Act {
    /// All, in the order of the demo.
    pub const ALL: [Self; 8] = [
        Self::Steady,
        Self::Slow,
        Self::Failing,
        Self::Overload,
        Self::Late,
        Self::Gone,
        Self::Back,
        Self::Shutdown,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Slow => "one slow",
            Self::Failing => "one failing",
            Self::Overload => "overload",
            Self::Late => "all late",
            Self::Gone => "all gone",
            Self::Back => "back",
            Self::Shutdown => "shutdown",
        }
    }

    pub(crate) const fn story(self) -> &'static str {
        match self {
            Self::Steady => "nothing is wrong",
            Self::Slow => "one node is ten times slower than the others",
            Self::Failing => "one node resets every connection",
            Self::Overload => {
                "each server works on one request at once, not eight: far less than is asked"
            }
            Self::Late => "no node answers within the time that callers wait",
            Self::Gone => "every node resets its connections and refuses new ones",
            Self::Back => "every node answers again",
            Self::Shutdown => "the pool is closed while all tasks go on asking",
        }
    }

    /// How many requests each server works on at once.
    pub(crate) const fn lanes(self) -> usize {
        match self {
            Self::Overload => 1,
            _ => 8,
        }
    }
}

/// How long each act takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    lengths: [Duration; Act::ALL.len()],
    pub(crate) line_every: Duration,
}

impl Script {
    /// Time enough to watch.
    #[must_use]
    pub fn full() -> Self {
        Self::of_millis([5000, 6000, 5000, 8000, 4000, 4000, 6000, 1000])
    }

    /// As many seconds as tell the story.
    #[must_use]
    pub fn quick() -> Self {
        Self::of_millis([1000, 1700, 800, 1800, 1800, 2000, 1000, 300])
    }

    /// Too short to watch, for tests.
    #[must_use]
    pub fn brief() -> Self {
        Self {
            lengths: [Duration::from_millis(700); Act::ALL.len()],
            line_every: Duration::from_millis(250),
        }
    }

    /// How long it takes in all, but for the waits until the pool is whole.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.lengths.iter().sum()
    }

    /// How much of an act is over before the gates count: a slow node has to be noticed first, and
    /// so has what overloaded ones can still do.
    pub(crate) fn notice(&self, act: Act) -> Duration {
        match act {
            Act::Slow | Act::Overload => NOTICE.min(self.length_of(act) / 2),
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn length_of(&self, act: Act) -> Duration {
        self.lengths[act as usize]
    }

    fn of_millis(lengths: [u64; Act::ALL.len()]) -> Self {
        Self {
            lengths: lengths.map(Duration::from_millis),
            line_every: Duration::from_secs(1),
        }
    }
}

const NOTICE: Duration = Duration::from_secs(1);
