//! A report in which every metric has a sample.

use std::time::{Duration, Instant};

use pool_metrics::{
    BreakerSnapshot, ConnectionFacts, ConnectionSnapshot, Efficiency, HealthSnapshot, PoolRecorder,
    PoolSnapshot, Report, RequestOutcome, RetrySnapshot,
};

#[expect(
    clippy::disallowed_methods,
    reason = "only differences between dates count"
)]
pub(crate) fn full_report(name: &str) -> Report {
    let now = Instant::now();
    let recorder = PoolRecorder::new(now);
    recorder.acquire_time.record(Duration::from_millis(1));
    recorder.wait_time.record(Duration::from_millis(1));
    recorder
        .class("default", now)
        .record(RequestOutcome::Success, Duration::from_millis(2));

    let mut pool = PoolSnapshot::new(name, "postgres");
    (pool.used, pool.idle, pool.max) = (3, 5, 20);
    pool.idle_max = Some(10);
    let efficiency = Efficiency::of(&ConnectionFacts::default());
    pool.connections
        .push(ConnectionSnapshot { id: 1, efficiency });
    recorder.add_to(&mut pool, now);

    let mut breaker = BreakerSnapshot::new(name);
    (breaker.limit, breaker.in_flight) = (Some(8), Some(3));
    let mut retry = RetrySnapshot::new(name);
    retry.budget = Some(10.0);

    let mut report = Report::default();
    report.push_pool(pool);
    report.push_breaker(breaker);
    report.push_health(HealthSnapshot::new(name));
    report.push_retry(retry);
    report
}
