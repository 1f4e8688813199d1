//! Searches by pgvector that hold their connections for a long time, at several sizes.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::load::{Seen, crowd};
use super::rig;
use crate::figures::{Figure, Figures, Kind, Measure};
use crate::postgres::{Contender, Rig, SEARCH, Setting, Workload, entrants, runtime};
use crate::session::{Case, Session};
use crate::work::tail::at;

/// Fifty callers on a pool of some size, opened for the round.
struct Search<'a> {
    rig: &'a Rig,
    runtime: &'a Runtime,
    size: usize,
    callers: usize,
    span: Duration,
    seen: std::sync::Mutex<Vec<(&'static str, Kind, Seen)>>,
}

impl Workload for Search<'_> {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if !["pool-postgres", "deadpool", "floor: semaphore and stack"].contains(&C::NAME) {
            return None;
        }
        Some(Box::new(move |_| {
            let seen = self.runtime.block_on(async {
                let pool = C::open(self.rig, self.size, Setting::Plain).await;
                crowd(&pool, SEARCH, self.size, Duration::from_millis(1)).await;
                crowd(&pool, SEARCH, self.callers, self.span).await
            });
            let throughput = seen.throughput;
            let all = &mut self.seen.lock().expect("no panics");
            all.push((C::NAME, C::KIND, seen));
            throughput
        }))
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let (id, bar) = (
        "postgres.vector",
        "within 10 % of the best size; p99 <= half of 50's",
    );
    let Some(rig) = rig(session, 150, &[(id, bar)]) else {
        return Ok(());
    };
    if let Err(error) = rig.vectors() {
        session.not_yet(id, bar, &format!("no pgvector: {error}"));
        return Ok(());
    }
    session.gauge();
    let runtime = runtime();
    let span = session.span(400, 2000);
    for (size, callers) in [
        (2, 2),
        (2, 4),
        (2, 10),
        (2, 50),
        (8, 50),
        (20, 50),
        (50, 50),
    ] {
        let workload = format!("vector searches, {size} connections, {callers} callers");
        let case = Case::new(id, workload, "throughput", "ops/s");
        let search = Search {
            rig: &rig,
            runtime: &runtime,
            size,
            callers,
            span,
            seen: std::sync::Mutex::default(),
        };
        let rounds = if session.quick { 1 } else { 5 };
        let figures = session.compare_rounds(&case, entrants(&search), rounds);
        let seen = search.seen.into_inner().expect("no panics");
        for (metric, share) in [("p50", 0.5), ("p99", 0.99)] {
            let of = |figure: &Figure| Figure {
                rounds: seen
                    .iter()
                    .filter(|(name, ..)| *name == figure.name)
                    .map(|(.., seen)| at(&seen.waits, share) * 1e3)
                    .collect(),
                ..figure.clone()
            };
            let figures = Figures(figures.0.iter().map(of).collect());
            let case = Case {
                metric,
                unit: "ms",
                ..case.clone()
            };
            session.show(&case, &figures);
        }
    }
    session.not_yet(id, bar, "no pool chooses its size yet: F4, sizing");
    Ok(())
}
