//! The metrics of pools.

use Kind::{Counter, Gauge, Histogram};
use Read::{Pool, Report};

use super::{Kind, Metric, Read};

pub(super) const METRICS: &[Metric] = &[
    Metric::new(
        Gauge,
        "pool_info",
        "1",
        "What the pool connects to and the version of its software; always 1.",
        Pool(|pool, emit| emit.with("kind", &pool.kind).with("version", &pool.version).count(1)),
    )
    .labels(&["kind", "version"]),
    Metric::new(
        Gauge,
        "pool_connections",
        "{connection}",
        "Open connections.",
        Pool(|pool, emit| { emit.with("state", "idle").count(pool.idle); emit.with("state", "used").count(pool.used); }),
    )
    .labels(&["state"])
    .known_as("total, active and idle connections")
    .convention("db.client.connection.count"),
    Metric::new(
        Gauge,
        "pool_connections_creating",
        "{connection}",
        "Connects in flight.",
        Pool(|pool, emit| emit.count(pool.creating)),
    ),
    Metric::new(
        Gauge,
        "pool_connections_max",
        "{connection}",
        "The configured maximum of connections.",
        Pool(|pool, emit| emit.count(pool.max)),
    )
    .known_as("pool size")
    .convention("db.client.connection.max"),
    Metric::new(
        Gauge,
        "pool_connections_idle_min",
        "{connection}",
        "The configured least number of idle connections.",
        Pool(|pool, emit| emit.count(pool.idle_min)),
    )
    .convention("db.client.connection.idle.min"),
    Metric::new(
        Gauge,
        "pool_connections_idle_max",
        "{connection}",
        "The configured most idle connections; absent where that is not limited.",
        Pool(|pool, emit| { if let Some(most) = pool.idle_max { emit.count(most); } }),
    )
    .convention("db.client.connection.idle.max"),
    Metric::new(
        Gauge,
        "pool_connections_peak",
        "{connection}",
        "The most connections lent at once since the start or the last reset; no scrape resets it.",
        Pool(|pool, emit| emit.count(pool.peak_used)),
    )
    .known_as("peak usage"),
    Metric::new(
        Gauge,
        "pool_utilization_ratio",
        "1",
        "Lent connections over the maximum, 0 to 1.",
        Pool(|pool, emit| emit.real(pool.utilization())),
    )
    .known_as("utilisation"),
    Metric::new(
        Gauge,
        "pool_pending_requests",
        "{request}",
        "Callers waiting for a connection.",
        Pool(|pool, emit| emit.count(pool.pending)),
    )
    .known_as("pending requests")
    .convention("db.client.connection.pending_requests"),
    Metric::new(
        Gauge,
        "pool_pending_requests_peak",
        "{request}",
        "The most callers waiting at once since the start or the last reset.",
        Pool(|pool, emit| emit.count(pool.peak_pending)),
    ),
    Metric::new(
        Counter,
        "pool_connections_created_total",
        "{connection}",
        "Connections opened.",
        Pool(|pool, emit| emit.count(pool.created)),
    )
    .known_as("created connections"),
    Metric::new(
        Counter,
        "pool_connections_closed_total",
        "{connection}",
        "Connections closed, by reason.",
        Pool(|pool, emit| emit.counts("reason", &pool.closed)),
    )
    .labels(&["reason"])
    .known_as("closed connections"),
    Metric::new(
        Counter,
        "pool_connections_acquired_total",
        "{connection}",
        "Acquires that gave a connection, by the way they came by it.",
        Pool(|pool, emit| emit.counts("path", &pool.acquired)),
    )
    .labels(&["path"])
    .known_as("acquired connections"),
    Metric::new(
        Counter,
        "pool_connections_released_total",
        "{connection}",
        "Connections given back by their users.",
        Pool(|pool, emit| emit.counts("disposition", &pool.released)),
    )
    .labels(&["disposition"])
    .known_as("released connections"),
    Metric::new(
        Counter,
        "pool_connection_errors_total",
        "{error}",
        "Connects that failed, by kind.",
        Pool(|pool, emit| emit.counts("kind", &pool.connection_errors)),
    )
    .labels(&["kind"])
    .known_as("connection errors"),
    Metric::new(
        Counter,
        "pool_acquire_failures_total",
        "{request}",
        "Acquires that gave no connection, by reason; `cancelled` is no error.",
        Pool(|pool, emit| emit.counts("reason", &pool.acquire_failures)),
    )
    .labels(&["reason"])
    .known_as("error rate"),
    Metric::new(
        Counter,
        "pool_timeouts_total",
        "{timeout}",
        "Stages of an acquire, or of a connection's life, that ran out of time.",
        Pool(|pool, emit| emit.counts("stage", &pool.timeouts)),
    )
    .labels(&["stage"])
    .known_as("connection timeouts")
    .convention("db.client.connection.timeouts"),
    Metric::new(
        Counter,
        "pool_validation_failures_total",
        "{failure}",
        "Validations that failed, by the moment of the validation.",
        Pool(|pool, emit| emit.counts("stage", &pool.validation_failures)),
    )
    .labels(&["stage"])
    .known_as("validation failures"),
    Metric::new(
        Counter,
        "pool_leaks_suspected_total",
        "{connection}",
        "Connections held for longer than the leak threshold.",
        Pool(|pool, emit| emit.count(pool.leaks_suspected)),
    ),
    Metric::new(
        Counter,
        "pool_warnings_suppressed_total",
        "{warning}",
        "Warnings that were counted and not logged, because one of their kind was logged within ten seconds.",
        Pool(|pool, emit| emit.count(pool.warnings_suppressed)),
    ),
    Metric::new(
        Histogram,
        "pool_acquire_duration_seconds",
        "s",
        "From the call to the connection or the error. Immediate acquires are sampled and weighted; slow ones are complete.",
        Pool(|pool, emit| emit.times(&pool.acquire_time)),
    )
    .known_as("acquisition time")
    .convention("db.client.connection.wait_time"),
    Metric::new(
        Histogram,
        "pool_wait_duration_seconds",
        "s",
        "Time in the queue of the callers that waited.",
        Pool(|pool, emit| emit.times(&pool.wait_time)),
    )
    .known_as("wait time"),
    Metric::new(
        Histogram,
        "pool_create_duration_seconds",
        "s",
        "Opening a connection, its preparation included.",
        Pool(|pool, emit| emit.times(&pool.connect_time)),
    )
    .convention("db.client.connection.create_time"),
    Metric::new(
        Histogram,
        "pool_use_duration_seconds",
        "s",
        "From a connection to its return; sampled and weighted.",
        Pool(|pool, emit| emit.times(&pool.use_time)),
    )
    .convention("db.client.connection.use_time"),
    Metric::new(
        Histogram,
        "pool_validate_duration_seconds",
        "s",
        "Checking a connection.",
        Pool(|pool, emit| emit.times(&pool.validate_time)),
    ),
    Metric::new(
        Gauge,
        "pool_acquire_recent_seconds",
        "s",
        "Percentiles of the acquire time over the last minute; absent where there was none.",
        Pool(|pool, emit| emit.quantiles(&pool.acquire_time.recent)),
    )
    .labels(&["percentile"])
    .known_as("percentile acquisition time"),
    Metric::new(
        Gauge,
        "pool_wait_recent_seconds",
        "s",
        "Percentiles of the time in the queue over the last minute; absent where there was none.",
        Pool(|pool, emit| emit.quantiles(&pool.wait_time.recent)),
    )
    .labels(&["percentile"])
    .known_as("percentile wait time"),
    Metric::new(
        Counter,
        "pool_requests_total",
        "{request}",
        "Requests that ran on a connection, by class and outcome.",
        Pool(|pool, emit| { for class in &pool.classes { emit.with("class", &class.name).counts("outcome", &class.requests); } }),
    )
    .labels(&["class", "outcome"])
    .known_as("total and failed requests"),
    Metric::new(
        Counter,
        "pool_request_seconds_total",
        "s",
        "Time spent in requests, by class.",
        Pool(|pool, emit| { for class in &pool.classes { emit.with("class", &class.name).real(class.time.sum.as_secs_f64()); } }),
    )
    .labels(&["class"]),
    Metric::new(
        Gauge,
        "pool_request_recent_seconds",
        "s",
        "Percentiles of the request time of a class over the last minute.",
        Pool(|pool, emit| { for class in &pool.classes { emit.with("class", &class.name).quantiles(&class.time.recent); } }),
    )
    .labels(&["class", "percentile"]),
    Metric::new(
        Gauge,
        "pool_connection_efficiency_ratio",
        "1",
        "Efficiency of the open connections, 0 to 1: the lowest and the mean.",
        Pool(|pool, emit| { if let Some((lowest, mean)) = pool.efficiency() { emit.with("statistic", "lowest").real(lowest); emit.with("statistic", "mean").real(mean); } }),
    )
    .labels(&["statistic"]),
    Metric::new(
        Gauge,
        "pool_metrics_age_seconds",
        "s",
        "Time since the pool's numbers were last reset.",
        Pool(|pool, emit| emit.real(pool.age.as_secs_f64())),
    )
    .known_as("age of the metrics"),
    Metric::new(
        Gauge,
        "pool_metrics_dropped",
        "{snapshot}",
        "Snapshots and classes left out of this report because there were too many, and sources that failed to answer.",
        Report(|report, emit| emit.count(report.dropped)),
    ),
];
