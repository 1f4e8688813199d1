//! The jobs of a run, and the bars that each of them judges.

use anyhow::Result;

use crate::bars;
use crate::screen::Screen;
use crate::session::Session;
use crate::work;

/// Measures something and says what became of its bars.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// The bars that it judges; see [`bars::BARS`].
    pub(crate) bars: &'static [&'static str],
    /// Whether it reads the clock, so that a busy machine may spoil it.
    pub(crate) timed: bool,
    pub(crate) run: fn(&mut Session) -> Result<()>,
}

/// In the order in which they run.
pub(crate) const JOBS: &[Job] = &[
    timed("pool.get", &["pool.get"], work::get::run),
    exact(
        "pool.instructions",
        &["pool.instructions"],
        work::instructions::run,
    ),
    exact(
        "pool.allocations",
        &["pool.allocations"],
        work::allocations::run,
    ),
    timed(
        "pool.contended",
        &["pool.contended"],
        work::crowd::hold_nothing,
    ),
    timed("pool.yield", &["pool.yield"], work::crowd::yield_once),
    timed("pool.tail", &["pool.tail"], work::tail::run),
    timed("pool.storm", &["pool.storm"], work::storm::run),
    timed("pool.burst", &["pool.burst"], work::burst::run),
    exact("pool.outage", &["pool.outage"], work::outage::run),
    exact("pool.slot-bytes", &["pool.slot-bytes"], work::memory::slots),
    exact(
        "pool.waiter-bytes",
        &["pool.waiter-bytes"],
        work::memory::waiters,
    ),
    timed("pool.scale", &["pool.scale"], work::scale::run),
    timed(
        "breaker.closed",
        &["breaker.closed", "breaker.threads"],
        work::breaker::closed,
    ),
    timed("breaker.open", &["breaker.open"], work::breaker::open),
    exact(
        "breaker.half-open",
        &["breaker.half-open"],
        work::breaker::half_open,
    ),
    exact(
        "breaker.memory",
        &["breaker.memory", "breaker.leaks"],
        work::breaker::memory,
    ),
    timed("backoff.delay", &["backoff.delay"], work::backoff::delay),
    exact("backoff.cap", &["backoff.cap"], work::backoff::cap),
    exact(
        "behaviour.halved",
        &["behaviour.halved"],
        work::behaviour::halved,
    ),
    exact(
        "behaviour.recovery",
        &["behaviour.recovery"],
        work::behaviour::recovery,
    ),
    exact(
        "behaviour.slow-node",
        &["behaviour.slow-node"],
        work::behaviour::slow_node,
    ),
    exact(
        "behaviour.failing-node",
        &["behaviour.failing-node"],
        work::behaviour::failing_node,
    ),
    exact(
        "behaviour.attempts",
        &["behaviour.attempts"],
        work::behaviour::attempts,
    ),
    exact(
        "behaviour.later",
        &[
            "behaviour.bursts",
            "behaviour.recurring",
            "behaviour.seconds",
            "behaviour.overload",
            "behaviour.classes",
            "behaviour.fleet",
            "behaviour.untuned",
        ],
        work::behaviour::later,
    ),
    timed(
        "postgres.speed",
        &["postgres.throughput", "postgres.added", "postgres.tail"],
        work::postgres::speed::run,
    ),
    timed(
        "postgres.vector",
        &["postgres.vector"],
        work::postgres::vector::run,
    ),
    timed(
        "postgres.faults",
        &[
            "postgres.restart",
            "postgres.killed",
            "postgres.cancelled",
            "postgres.full",
            "postgres.idle-timeout",
        ],
        work::postgres::faults::run,
    ),
    exact(
        "postgres.elsewhere",
        &[
            "postgres.black-hole",
            "postgres.hanging-connect",
            "postgres.refused",
            "postgres.slowed",
        ],
        work::postgres::faults::elsewhere,
    ),
];

const fn timed(
    name: &'static str,
    bars: &'static [&'static str],
    run: fn(&mut Session) -> Result<()>,
) -> Job {
    Job {
        name,
        bars,
        timed: true,
        run,
    }
}

const fn exact(
    name: &'static str,
    bars: &'static [&'static str],
    run: fn(&mut Session) -> Result<()>,
) -> Job {
    Job {
        name,
        bars,
        timed: false,
        run,
    }
}

/// Prints `jobs` with their bars.
pub(crate) fn list(jobs: &[&Job], screen: &Screen) {
    for job in jobs {
        screen.say(job.name);
        for bar in job.bars.iter().filter_map(|id| bars::find(id)) {
            screen.say(&format!("  {}: {}: {}", bar.id, bar.what, bar.bound));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_is_judged_by_exactly_one_job() {
        let mut judged: Vec<_> = JOBS.iter().flat_map(|job| job.bars).copied().collect();
        let mut bars: Vec<_> = bars::BARS.iter().map(|bar| bar.id).collect();
        judged.sort_unstable();
        bars.sort_unstable();
        assert_eq!(judged, bars);
    }
}
