//! A future with a deadline that costs no timer unless it has to wait.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use crate::runtime::Timer;

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Runs `future` until the time that `deadline` gives; it is asked only if the future does not
/// finish at once. `None` is no deadline.
pub(crate) async fn within<T: Timer, F: Future>(
    timer: &T,
    deadline: impl FnOnce() -> Option<Instant>,
    future: F,
) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(None::<T::Sleep>);
    let mut deadline = Some(deadline);
    poll_fn(move |cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(deadline) = deadline.take().and_then(|deadline| deadline()) {
            sleep.set(Some(timer.sleep_until(deadline)));
        }
        match sleep.as_mut().as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| Err(Elapsed)),
            None => Poll::Pending,
        }
    })
    .await
}
