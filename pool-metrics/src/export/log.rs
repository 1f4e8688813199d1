//! A line of numbers for each pool, now and then, in the program's log.

use std::io;
use std::time::Duration;

use crate::export::periodic::Periodic;
use crate::{BreakerState, Registry, Report, clock};

/// Logs a line for each pool, and for each breaker that is not closed, each `period`; 300 s is
/// usual. Target `pool::metrics`, level INFO.
///
/// # Errors
///
/// When no thread can be started.
pub fn log_lines(registry: Registry, period: Duration) -> io::Result<Periodic> {
    Periodic::spawn("pool-metrics-log", period, move || {
        log_report(&registry.collect(clock::now()));
    })
}

/// Logs a report once.
pub fn log_report(report: &Report) {
    for pool in &report.pools {
        let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
        tracing::info!(
            target: "pool::metrics",
            pool = %pool.name,
            used = pool.used,
            idle = pool.idle,
            max = pool.max,
            pending = pool.pending,
            peak = pool.peak_used,
            acquired = pool.acquired.total(),
            failed = pool.acquire_errors(),
            created = pool.created,
            closed = pool.closed.total(),
            requests = pool.total_requests(),
            failed_requests = pool.failed_requests(),
            acquire_mean_ms = millis(pool.acquire_time.mean()),
            acquire_p50_ms = millis(pool.acquire_time.recent.p50),
            acquire_p95_ms = millis(pool.acquire_time.recent.p95),
            acquire_p99_ms = millis(pool.acquire_time.recent.p99),
            wait_p99_ms = millis(pool.wait_time.recent.p99),
            age_s = pool.age.as_secs(),
            "pool numbers"
        );
    }
    for breaker in report
        .breakers
        .iter()
        .filter(|one| one.state != BreakerState::Closed)
    {
        tracing::info!(
            target: "pool::metrics",
            breaker = %breaker.name,
            state = ?breaker.state,
            mode = ?breaker.mode,
            rejected = breaker.rejected.total(),
            trips = breaker.trips.total(),
            "breaker numbers"
        );
    }
}
