//! A future with a deadline that costs no timer unless it has to wait.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;

use crate::runtime::Timer;

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

pin_project! {
    /// See [`within`]. Written by hand: as an `async fn` it would hold its future twice, and a
    /// hundred thousand callers may wait in one.
    pub(crate) struct Within<'a, T: Timer, D, F> {
        timer: &'a T,
        deadline: Option<D>,
        #[pin]
        future: F,
        #[pin]
        sleep: Option<T::Sleep>,
    }
}

/// Runs `future` until the time that `deadline` gives; it is asked only if the future does not
/// finish at once. `None` is no deadline.
pub(crate) fn within<T, D, F>(timer: &T, deadline: D, future: F) -> Within<'_, T, D, F>
where
    T: Timer,
    D: FnOnce() -> Option<Instant>,
    F: Future,
{
    Within {
        timer,
        deadline: Some(deadline),
        future,
        sleep: None,
    }
}

pin_project! {
    /// A future that is seldom needed, kept out of the code around it.
    pub(crate) struct Seldom<F> {
        #[pin]
        future: F,
    }
}

pub(crate) fn seldom<F: Future>(future: F) -> Seldom<F> {
    Seldom { future }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    #[cold]
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<T, D, F> Future for Within<'_, T, D, F>
where
    T: Timer,
    D: FnOnce() -> Option<Instant>,
    F: Future,
{
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(deadline) = this.deadline.take().and_then(|deadline| deadline()) {
            this.sleep.set(Some(this.timer.sleep_until(deadline)));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| Err(Elapsed)),
            None => Poll::Pending,
        }
    }
}
