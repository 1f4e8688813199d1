//! Every bar that we hold ourselves to; a run that says nothing about one fails.

/// A bar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bound: &'static str,
}

const fn bar(id: &'static str, what: &'static str, bound: &'static str) -> Bar {
    Bar { id, what, bound }
}

/// In the order of the report.
pub(crate) const BARS: [Bar; 45] = [
    bar(
        "pool.get",
        "get + drop, one task",
        "<= 0.20 of the best peer in both settings, <= 1.6 of floor B tuned, statistics on",
    ),
    bar(
        "pool.instructions",
        "instructions per get + drop",
        "<= 200 tuned, <= 300 equal",
    ),
    bar(
        "pool.allocations",
        "allocations per get + drop, and per wait in a queue that has been that long",
        "0",
    ),
    bar(
        "pool.contended",
        "throughput of many tasks on two threads, hold 0, nine cells",
        "of floor A: sizes 8 and 32 >= 6 on parallel cores, >= 2.5 always; size 1 >= 1.0",
    ),
    bar(
        "pool.yield",
        "the same with one yield while holding",
        ">= 1.1 of floor A",
    ),
    bar(
        "pool.tail",
        "512 tasks on 16 connections: p99 of a get",
        "tuned <= 1.0 of floor A, equal <= 0.75 of deadpool, nobody unserved",
    ),
    bar(
        "pool.storm",
        "cancel storm: 31 000 attempts, one check in 64 fails",
        "no task stuck, exact size afterwards, connects <= bb8's",
    ),
    bar(
        "pool.burst",
        "cold burst: 1000 tasks, at most 32 connections, a connect takes 5 ms",
        "<= deadpool, never more than max_connecting at once",
    ),
    bar(
        "pool.outage",
        "outage of 2 s and 10 s, 64 callers retrying",
        "<= 24 connects in 2 s, <= 60 in 10 s; first success <= 300 ms after it (median), \
         <= 500 ms worst; callers told within 10 ms",
    ),
    bar(
        "pool.slot-bytes",
        "bytes per idle slot beyond the connection",
        "<= 96",
    ),
    bar(
        "pool.waiter-bytes",
        "bytes per waiting task",
        "<= 400 with a 30 s deadline, <= 330 without",
    ),
    bar(
        "pool.scale",
        "10 000 connections, 100 000 waiters: cost per operation",
        "flat; a hand-off <= 1.0 of floor A and <= 0.75 of the best peer",
    ),
    bar(
        "breaker.closed",
        "one guarded call, closed, one thread",
        "degraded off <= 1.3 F; on <= 2.3 F and <= 0.9 recloser; own clock: + 1.1 clock reads",
    ),
    bar(
        "breaker.threads",
        "the same with two threads",
        "<= 0.3 F and <= 1.3 of one thread; count window <= 1.5 F",
    ),
    bar("breaker.open", "a rejection while open", "<= recloser"),
    bar(
        "breaker.half-open",
        "admitted half-open: limit 5, 64 at once",
        "5 exactly",
    ),
    bar(
        "breaker.memory",
        "bytes of a breaker, allocations per call",
        "<= 192 + 192 per stripe, 0",
    ),
    bar(
        "breaker.leaks",
        "dropped breakers and replaced states",
        "0 bytes leaked",
    ),
    bar(
        "backoff.delay",
        "one jittered delay",
        "<= 4 x floor and <= 0.35 of the best peer",
    ),
    bar(
        "backoff.cap",
        "delays at the cap: base 100 ms, cap 10 s",
        "0 to 10 s, variance > 0, never above",
    ),
    bar(
        "behaviour.bursts",
        "p99 wait in random tenfold bursts, connect 50 ms",
        "<= 100 ms and <= 1/15 of a static pool of equal mean size",
    ),
    bar(
        "behaviour.recurring",
        "recurring burst, third time on",
        "p99 <= 20 ms",
    ),
    bar(
        "behaviour.seconds",
        "connection-seconds against the static maximum",
        "<= 60 %",
    ),
    bar(
        "behaviour.overload",
        "goodput at twice the load",
        ">= 98 % of capacity; harmless bursts of 300 lose <= 0.1 %",
    ),
    bar(
        "behaviour.halved",
        "capacity halved",
        ">= 95 % of the possible in every cell (>= 93 % in the first); calm >= 98 %",
    ),
    bar(
        "behaviour.recovery",
        "recovery after a hang of 10 s, pools five times oversized",
        "<= 3 s",
    ),
    bar(
        "behaviour.attempts",
        "attempts per request in any incident",
        "<= 1.1",
    ),
    bar(
        "behaviour.slow-node",
        "one of five nodes ten times slower",
        "p99 <= 1.2 of all healthy, <= 1 % of the traffic to it, back in <= 5 s",
    ),
    bar(
        "behaviour.failing-node",
        "one of five nodes failing at once",
        ">= 99.9 % success",
    ),
    bar(
        "behaviour.classes",
        "p99 of the short class under a burst of long queries",
        "<= 20 ms",
    ),
    bar(
        "behaviour.fleet",
        "fleet of 50 processes",
        "0 s over the limit, unmet demand <= 2 %",
    ),
    bar(
        "behaviour.untuned",
        "real PostgreSQL, no tuning",
        "within 10 % of the best static size at 1x, 2x and 5x the best concurrency",
    ),
    bar(
        "postgres.throughput",
        "point queries at the best size",
        ">= 0.97 of a semaphore and a stack, by default",
    ),
    bar(
        "postgres.added",
        "p50 that one caller pays more than on a dedicated connection",
        "<= 1 us by default",
    ),
    bar(
        "postgres.tail",
        "p99.9 at size 8 with 128 tasks",
        "<= 3 ms, nobody unserved",
    ),
    bar(
        "postgres.vector",
        "pgvector searches, 50 callers, sizes 2 to 50",
        "the self-chosen size within 10 % of the best, p99 <= half of size 50's",
    ),
    bar(
        "postgres.restart",
        "server restarted under 100 tasks",
        "callers with an error <= 5, connects <= 50, first success <= 100 ms",
    ),
    bar(
        "postgres.black-hole",
        "connections silent for ever",
        "failed calls <= 4, back after <= 0.5 s, by default",
    ),
    bar(
        "postgres.hanging-connect",
        "connect hangs for 5 s",
        "0 failed calls, 16 of 16 lendable, 0 sessions left after close",
    ),
    bar(
        "postgres.refused",
        "connections refused for 5 s",
        "connects <= 64, first success <= 300 ms",
    ),
    bar(
        "postgres.killed",
        "all backends killed, 5 active: errors per kill",
        "<= the active ones, without validating each time",
    ),
    bar(
        "postgres.full",
        "a pool of 40 on a server of 30",
        "0 errors, <= 5 connects/s",
    ),
    bar(
        "postgres.slowed",
        "latency x10 at twice the load, deadlines: goodput of 320/s",
        ">= 300",
    ),
    bar(
        "postgres.cancelled",
        "30 % of the operations cancelled midway: wrong replies, reconnects",
        "0 and 0",
    ),
    bar(
        "postgres.idle-timeout",
        "idle_session_timeout: errors per 360 expiries",
        "0",
    ),
];

/// The bar called `id`.
pub(crate) fn find(id: &str) -> Option<&'static Bar> {
    BARS.iter().find(|bar| bar.id == id)
}
