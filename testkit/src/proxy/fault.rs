//! What can go wrong between a client and a server.

use std::num::NonZeroU32;
use std::time::Duration;

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "an unpublished crate")]
pub enum Admission {
    /// They reach the server.
    #[default]
    Pass,
    /// Nobody listens.
    Refuse,
    /// They are accepted and hear nothing; once this changes they go on to the server.
    Hang,
    /// They are accepted and reset at once.
    Reset,
}

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two directions")]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What becomes of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "an unpublished crate")]
pub enum Fault {
    /// They arrive.
    #[default]
    Pass,
    /// Nothing arrives, not even an end; as with lost packets, all of it does once this changes.
    BlackHole,
    /// They arrive in order, each `latency` and up to `jitter` later.
    Delay {
        /// The least.
        latency: Duration,
        /// The most that is added.
        jitter: Duration,
    },
    /// At most so many bytes arrive in a second.
    Throttle {
        /// How many.
        bytes_per_second: NonZeroU32,
    },
    /// One byte arrives each `interval`.
    Drip {
        /// The time before each byte.
        interval: Duration,
    },
    /// The connection is reset once so many bytes have arrived since it began.
    CutAfter {
        /// How many.
        bytes: u64,
    },
    /// One bit is turned in one byte of so many, on average.
    Corrupt {
        /// How many.
        one_in: NonZeroU32,
    },
    /// The receiver sees the end of the stream and bytes that come later are lost, while the other
    /// direction goes on. Does not heal.
    HalfClose,
}
