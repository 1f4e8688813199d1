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
pub(crate) const JOBS: &[Job] = &[Job {
    name: "pool.get",
    bars: &["pool.get"],
    timed: true,
    run: work::get::run,
}];

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
