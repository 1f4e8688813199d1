//! Real time: here it is what is measured.

use std::time::Duration;

pub(crate) use tokio::time::Instant;
use tokio::time::sleep_until;

pub(crate) async fn pause(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

/// Looks until `done`, at most for `limit`; says how long it took, or nothing.
pub(crate) async fn until(limit: Duration, mut done: impl FnMut() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        let elapsed = begun.elapsed();
        if done() {
            return Some(elapsed);
        }
        if elapsed > limit {
            return None;
        }
        pause(LOOK).await;
    }
}

/// A time as a table shows it.
pub(crate) fn shown(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A time, unless it did not come to that.
pub(crate) fn or_never(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".into(), shown)
}

const LOOK: Duration = Duration::from_millis(2);
