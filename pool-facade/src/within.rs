//! A future that has until a point in time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use pool_core::runtime::Timer;

/// The time ran out first.
pub(crate) struct Late;

/// Runs `future` until `deadline`; the timer is only made when the future has to wait.
pub(crate) async fn within<T: Timer, F: Future>(
    timer: &T,
    deadline: Option<Instant>,
    future: F,
) -> Result<F::Output, Late> {
    let Some(deadline) = deadline else {
        return Ok(future.await);
    };
    let mut future = pin!(future);
    let mut sleep = pin!(None::<T::Sleep>);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if sleep.is_none() {
            sleep.set(Some(timer.sleep_until(deadline)));
        }
        let sleep = sleep.as_mut().as_pin_mut().expect("it was just made");
        sleep.poll(cx).map(|()| Err(Late))
    })
    .await
}
