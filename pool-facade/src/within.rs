//! A future that has until a point in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use pool_core::runtime::Timer;

/// The time ran out first.
pub(crate) struct Late;

pin_project! {
    /// See [`within`]. Written by hand: as an `async fn` it would hold its future twice.
    pub(crate) struct Within<'a, T: Timer, F> {
        timer: &'a T,
        deadline: Option<Instant>,
        #[pin]
        future: F,
        #[pin]
        sleep: Option<T::Sleep>,
    }
}

/// Runs `future` until `deadline`, if there is one; the timer is only made when the future has to
/// wait.
pub(crate) fn within<T: Timer, F: Future>(
    timer: &T,
    deadline: Option<Instant>,
    future: F,
) -> Within<'_, T, F> {
    Within {
        timer,
        deadline,
        future,
        sleep: None,
    }
}

impl<T: Timer, F: Future> Future for Within<'_, T, F> {
    type Output = Result<F::Output, Late>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(deadline) = this.deadline.take() {
            this.sleep.set(Some(this.timer.sleep_until(deadline)));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| Err(Late)),
            None => Poll::Pending,
        }
    }
}
