//! What happens when.

use std::time::Duration;

use testkit::proxy::Fault;

/// A part of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the demo has these five parts")]
pub enum Act {
    /// Nothing is wrong.
    Steady,
    /// Replies are late, and some callers do not wait for them.
    Slow,
    /// Every connection is cut, again and again.
    Killed,
    /// The server is gone.
    Refused,
    /// The server is back.
    Back,
}

impl Act {
    /// All, in the order of the demo.
    pub const ALL: [Self; 5] = [
        Self::Steady,
        Self::Slow,
        Self::Killed,
        Self::Refused,
        Self::Back,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Slow => "slow",
            Self::Killed => "killed",
            Self::Refused => "refused",
            Self::Back => "back",
        }
    }

    pub(crate) const fn story(self) -> &'static str {
        match self {
            Self::Steady => "nothing is wrong",
            Self::Slow => "replies are 15 to 25 ms late; one caller in ten will not wait for them",
            Self::Killed => "every connection is cut, and again as soon as the pool is whole",
            Self::Refused => "the server is gone: connections are cut and new ones refused",
            Self::Back => "the server listens again",
        }
    }

    /// What happens to replies on their way.
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::Slow => Fault::Delay {
                latency: Duration::from_millis(15),
                jitter: Duration::from_millis(10),
            },
            Self::Steady | Self::Killed | Self::Refused | Self::Back => Fault::Pass,
        }
    }
}

/// How long each act takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    lengths: [Duration; Act::ALL.len()],
    pub(crate) line_every: Duration,
    pub(crate) acquire_timeout: Duration,
}

impl Script {
    /// Time enough to watch.
    #[must_use]
    pub fn full() -> Self {
        Self::of_seconds([5, 6, 6, 5, 5])
    }

    /// As many seconds as tell the story.
    #[must_use]
    pub fn quick() -> Self {
        Self::of_seconds([2, 3, 3, 2, 2])
    }

    /// Too short to watch, for tests: the pool's callers have as little patience.
    #[must_use]
    pub fn brief() -> Self {
        Self {
            lengths: [Duration::from_millis(300); Act::ALL.len()],
            line_every: Duration::from_millis(100),
            acquire_timeout: Duration::from_millis(200),
        }
    }

    /// How long it takes in all, but for the waits until the pool is whole.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.lengths.iter().sum()
    }

    pub(crate) fn length_of(&self, act: Act) -> Duration {
        self.lengths[act as usize]
    }

    fn of_seconds(lengths: [u64; Act::ALL.len()]) -> Self {
        Self {
            lengths: lengths.map(Duration::from_secs),
            line_every: Duration::from_secs(1),
            acquire_timeout: Duration::from_millis(800),
        }
    }
}
