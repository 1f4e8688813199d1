//! A cold burst: a thousand callers, no connection yet.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use super::crowd::two_threads;
use crate::clock::{now, since};
use crate::figures::{Figure, Figures, Measure};
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Milliseconds until everybody was served.
#[derive(Default)]
struct Burst {
    most: Mutex<Vec<(&'static str, u64)>>,
}

impl Workload for Burst {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE {
            return None;
        }
        Some(Box::new(move |_| {
            let server = Server::slow(Duration::from_millis(5));
            let took = two_threads().block_on(async {
                let pool = C::new(SIZE, Setting::Tuned, &server);
                let start = now();
                let mut tasks = JoinSet::new();
                for _ in 0..TASKS {
                    let pool = pool.clone();
                    tasks.spawn(async move { drop(pool.get().await) });
                }
                while let Some(task) = tasks.join_next().await {
                    task.expect("no task panics");
                }
                since(start) * 1e3
            });
            let most = (C::NAME, server.most_connecting());
            self.most.lock().expect("no panics").push(most);
            took
        }))
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    session.gauge();
    let case = Case::new("pool.burst", "1000 tasks, cold", "time to serve all", "ms");
    let burst = Burst::default();
    let figures = session.compare(&case, entrants(&burst));
    if let Some(deadpool) = figures.of("deadpool") {
        let ratio = figures.ours().over(deadpool);
        session.judge(&case, "of deadpool", Bound::AtMost(1.0), &ratio, None);
    }
    let most = burst.most.into_inner().expect("no panics");
    let of = |figure: &Figure| {
        let own = most.iter().filter(|(name, _)| *name == figure.name);
        Figure {
            rounds: own.map(|&(_, most)| most as f64).collect(),
            ..figure.clone()
        }
    };
    let figures = Figures(figures.0.iter().map(of).collect());
    let case = Case {
        metric: "most connects at once",
        unit: "",
        ..case
    };
    session.show(&case, &figures);
    let (ours, note) = (
        &figures.ours().rounds,
        "max_connecting is 8 by default".to_owned(),
    );
    session.judge(&case, "connects at once", Bound::AtMost(8.0), ours, note);
    Ok(())
}

const TASKS: usize = 1_000;
const SIZE: usize = 32;
