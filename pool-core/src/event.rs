//! What the pool tells an observer, in order and under no lock.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::sync::Mutex;
use crate::{CloseReason, ErrorClass, Stage};

/// Something that happened to the pool.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A connection was opened.
    #[non_exhaustive]
    Connected {
        /// Its identity.
        connection: u64,
        /// How long it took.
        took: Duration,
    },
    /// An attempt to connect failed.
    #[non_exhaustive]
    ConnectFailed {
        /// The manager's classification; a timeout or panic is transient.
        class: ErrorClass,
        /// How long it took.
        took: Duration,
    },
    /// A connection left the pool.
    #[non_exhaustive]
    Closed {
        /// Its identity.
        connection: u64,
        /// Why.
        reason: CloseReason,
    },
    /// Several connections in a row were dead, so all of this and earlier generations go.
    #[non_exhaustive]
    Swept {
        /// The generation.
        generation: u64,
    },
    /// Connections were handed to callers who did not come for them, and offered to others.
    #[non_exhaustive]
    HandoffRevoked {
        /// How many.
        count: usize,
    },
    /// A connection has been held for longer than the leak report allows. Told once for each lease.
    #[non_exhaustive]
    HeldTooLong {
        /// Its identity.
        connection: u64,
        /// Where it was acquired.
        site: &'static Location<'static>,
        /// For how long.
        held: Duration,
    },
    /// A task waits for a connection while it holds one and none is idle: it may wait for itself.
    #[non_exhaustive]
    NestedAcquire {
        /// Where it waits.
        site: &'static Location<'static>,
        /// Where it acquired what it holds.
        holds: &'static Location<'static>,
    },
    /// The manager, a hook or the gate panicked.
    #[non_exhaustive]
    Panicked {
        /// The method.
        callback: &'static str,
    },
    /// The target size was changed.
    #[non_exhaustive]
    Resized {
        /// The new target.
        target: usize,
    },
    /// Lending stopped until further notice.
    Suspended,
    /// Lending goes on.
    Resumed,
    /// All connections of this and earlier generations go.
    #[non_exhaustive]
    Cleared {
        /// The generation.
        generation: u64,
    },
    /// The pool is closed.
    PoolClosed,
}

/// Watches a pool.
///
/// Called without any lock held, on whichever thread made the event or is just delivering others;
/// one call at a time, in the order of the numbers. A panic is caught and costs that call alone.
/// Calling back into the pool is allowed.
pub trait Observer: Send + Sync + 'static {
    /// Something happened. `sequence` counts up from 0 without gaps, unless the observer is so
    /// slow that more than 4096 events wait for it: then the newest are dropped and leave a gap.
    fn on_event(&self, sequence: u64, event: &Event) {
        let _ = (sequence, event);
    }

    /// A stage took this long. Waits, connects, checks and resets are told each time; uses, one in
    /// 64. Not ordered with the events.
    fn on_sample(&self, sample: Sample, took: Duration) {
        let _ = (sample, took);
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sample {
    /// An acquire that had to wait, from its beginning to its success.
    Acquire,
    /// A stage of the pool's own work.
    Stage(Stage),
    /// A lease, from checkout to return.
    Use,
}

/// Numbers events and delivers them.
pub(crate) struct Events {
    observer: Option<Arc<dyn Observer>>,
    outbox: Mutex<(u64, VecDeque<(u64, Event)>)>,
    delivering: AtomicBool,
    panics: AtomicU64,
}

impl Events {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            observer,
            outbox: Mutex::new((0, VecDeque::new())),
            delivering: AtomicBool::new(false),
            panics: AtomicU64::new(0),
        }
    }

    /// Tells the observer; never to be called under a lock.
    pub(crate) fn emit(&self, event: Event) {
        let Some(observer) = &self.observer else {
            return;
        };
        {
            let (sequence, outbox) = &mut *self.outbox.lock();
            if outbox.len() < OUTBOX {
                outbox.push_back((*sequence, event));
            }
            *sequence += 1;
        }
        // Whoever finds the flag down delivers for everybody. Looking again after lowering it
        // catches the event of one who came while it was up.
        while !self.outbox.lock().1.is_empty() {
            if self.delivering.swap(true, Ordering::AcqRel) {
                return;
            }
            loop {
                let Some((sequence, event)) = self.outbox.lock().1.pop_front() else {
                    break;
                };
                self.guard("Observer::on_event", || observer.on_event(sequence, &event));
            }
            self.delivering.store(false, Ordering::Release);
        }
    }

    pub(crate) fn observed(&self) -> bool {
        self.observer.is_some()
    }

    #[inline]
    pub(crate) fn sample(&self, sample: Sample, took: Duration) {
        if let Some(observer) = &self.observer {
            self.guard("Observer::on_sample", || observer.on_sample(sample, took));
        }
    }

    /// Runs user code; a panic is counted, told, and gives `None`.
    pub(crate) fn guard<T>(&self, callback: &'static str, call: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(call));
        match result {
            Ok(value) => Some(value),
            Err(payload) => {
                // The payload is user code too: its drop may panic.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
                self.panicked(callback);
                None
            }
        }
    }

    pub(crate) fn panicked(&self, callback: &'static str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        if !callback.starts_with("Observer") {
            self.emit(Event::Panicked { callback });
        }
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("observed", &self.observer.is_some())
            .finish()
    }
}

const OUTBOX: usize = 4096;
