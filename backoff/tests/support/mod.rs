//! A world without time: a clock that moves when it is told to or slept on.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "every test uses its own part of it, and fails by a panic"
)]

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use backoff::{BlockingSleep, Jitter, Policy};

/// Milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A second after failure one, two after failure two, and so on: easy to reckon with.
pub(crate) fn seconds(attempts: u32) -> Policy {
    Policy::linear(ms(1000), ms(1000), ms(100_000))
        .jitter(Jitter::None)
        .max_attempts(attempts)
        .build()
        .unwrap()
}

/// A clock that sleeping moves. Sleeps are never slept.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) start: Instant,
    elapsed: Cell<Duration>,
    pub(crate) slept: RefCell<Vec<Duration>>,
    /// How much longer than asked a sleep takes.
    pub(crate) late: Cell<Duration>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            start: tokio::time::Instant::now().into_std(),
            elapsed: Cell::default(),
            slept: RefCell::default(),
            late: Cell::default(),
        }
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.elapsed.set(self.elapsed.get() + span);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }
}

impl BlockingSleep for World {
    fn sleep(&self, span: Duration) {
        self.slept.borrow_mut().push(span);
        self.pass(span + self.late.get());
    }

    fn now(&self) -> Instant {
        self.start + self.elapsed.get()
    }
}

/// Is pending `count` times, then ready.
pub(crate) fn pending(count: u32) -> impl Future<Output = ()> + Send {
    let mut left = count;
    poll_fn(move |_| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
}

/// Polls `future` at most `polls` times and then drops it: the result and the polls it took.
pub(crate) fn poll_at_most<F: Future>(future: F, polls: u32) -> (Option<F::Output>, u32) {
    let mut future = pin!(future);
    for poll in 1..=polls {
        if let Poll::Ready(output) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return (Some(output), poll);
        }
    }
    (None, polls)
}
