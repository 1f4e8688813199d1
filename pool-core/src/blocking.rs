//! Acquiring on a thread that is on no runtime.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::Instant;

use crate::runtime::{Runtime, Timer};

thread_local! {
    /// The earliest time for which a future on this thread wants to be polled again.
    static WAKE_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The runtime's clock with the thread's own timer.
pub(crate) struct Parking<R>(pub(crate) R);

impl<R: Runtime> Timer for Parking<R> {
    type Sleep = Parked<R>;

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, deadline: Instant) -> Parked<R> {
        Parked {
            runtime: self.0.clone(),
            deadline,
        }
    }
}

/// Ready once its time has come, if [`block_on`] polls it.
pub(crate) struct Parked<R> {
    runtime: R,
    deadline: Instant,
}

impl<R: Runtime> Future for Parked<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.runtime.now() >= self.deadline {
            return Poll::Ready(());
        }
        let earlier = WAKE_AT.get().is_none_or(|at| self.deadline < at);
        if earlier {
            WAKE_AT.set(Some(self.deadline));
        }
        Poll::Pending
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread, whose sleeps are [`Parked`].
pub(crate) fn block_on<R: Runtime, F: Future>(runtime: &R, future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    loop {
        WAKE_AT.set(None);
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        match WAKE_AT.get() {
            Some(at) => {
                std::thread::park_timeout(at.saturating_duration_since(runtime.now()));
            }
            None => std::thread::park(),
        }
    }
}
