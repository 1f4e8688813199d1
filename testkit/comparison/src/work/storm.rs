//! A storm of cancelled gets, with checks that fail: what is lost?

use std::cell::Cell;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::crowd::two_threads;
use crate::figures::{Figure, Figures, Measure};
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Connects made by a storm.
#[derive(Default)]
struct Storm {
    seen: Mutex<Vec<(&'static str, Seen)>>,
}

/// What is left after a storm.
#[derive(Debug, Clone, Copy)]
struct Seen {
    served: u64,
    /// Tasks that did not come to an end.
    stuck: u64,
    /// How many connections can be had at once, of sixteen.
    lendable: u64,
    /// How many more than sixteen.
    beyond: u64,
}

impl Workload for Storm {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE || !C::WAITS {
            return None;
        }
        Some(Box::new(move |_| {
            let server = Server::flaky(64);
            let (seen, connects) = two_threads().block_on(async {
                let pool = C::new(SIZE, Setting::Equal, &server);
                let (served, stuck) = rage(&pool).await;
                // What it takes to find out how many can be lent is not the storm's.
                let connects = server.connects();
                let (lendable, beyond) = lendable(&pool).await;
                let seen = Seen {
                    served,
                    stuck,
                    lendable,
                    beyond,
                };
                (seen, connects)
            });
            self.seen.lock().expect("no panics").push((C::NAME, seen));
            connects as f64
        }))
    }
}

/// Every task gets again and again, and leaves sooner or later: at once, or after some turns of the
/// others. Gives how many were served, and how many tasks did not end.
async fn rage<C: Contender>(pool: &C) -> (u64, u64) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut served = 0;
            for attempt in 0..ATTEMPTS {
                let patience = (task * 7 + attempt * 13) % 6;
                let leave = async {
                    for _ in 0..patience {
                        yield_now().await;
                    }
                };
                tokio::select! {
                    biased;
                    held = pool.get() => {
                        served += u64::from(held.is_ok());
                        yield_now().await;
                        drop(held);
                    }
                    () = leave => {}
                }
            }
            served
        });
    }
    let (served, ended) = (Cell::new(0), Cell::new(0));
    let wait = async {
        while let Some(task) = tasks.join_next().await {
            served.set(served.get() + task.expect("no task panics"));
            ended.set(ended.get() + 1);
        }
    };
    let _ = timeout(Duration::from_secs(5), wait).await;
    (served.get(), TASKS - ended.get())
}

/// Takes all that can be had, up to two more than the size.
async fn lendable<C: Contender>(pool: &C) -> (u64, u64) {
    let mut held = Vec::new();
    for count in 0..SIZE + 2 {
        let patience = Duration::from_millis(if count < SIZE { 500 } else { 20 });
        let Ok(Ok(lent)) = timeout(patience, pool.get()).await else {
            break;
        };
        held.push(lent);
    }
    let count = held.len() as u64;
    (count.min(SIZE as u64), count.saturating_sub(SIZE as u64))
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let case = Case::new("pool.storm", "31 000 cancelled gets", "connects", "");
    let storm = Storm::default();
    let figures = session.compare(&case, entrants(&storm));
    let seen = storm.seen.into_inner().expect("no panics");
    let part = |metric, value: fn(&Seen) -> u64| {
        let of = |figure: &Figure| {
            let own = seen.iter().filter(|(name, _)| *name == figure.name);
            Figure {
                rounds: own.map(|(_, seen)| value(seen) as f64).collect(),
                ..figure.clone()
            }
        };
        let figures = Figures(figures.0.iter().map(of).collect());
        let case = Case {
            metric,
            ..case.clone()
        };
        (case, figures)
    };
    let (served_case, served) = part("gets served", |seen| seen.served);
    session.show(&served_case, &served);
    // A failed check costs a connect whoever makes it, so who serves more connects more.
    if let (Some(bb8), Some(bb8_served)) = (figures.of("bb8"), served.of("bb8")) {
        let ours = figures.ours().over(served.ours());
        let theirs = bb8.over(bb8_served);
        let ratio: Vec<_> = ours
            .iter()
            .zip(theirs)
            .map(|(us, them)| us / them)
            .collect();
        let what = "connects per get served, of bb8's";
        session.judge(&case, what, Bound::AtMost(1.05), &ratio, None);
    }
    for (metric, value, bound) in [
        (
            "tasks stuck",
            (|seen| seen.stuck) as fn(&Seen) -> u64,
            Bound::AtMost(0.0),
        ),
        (
            "lendable afterwards",
            |seen| seen.lendable,
            Bound::AtLeast(SIZE as f64),
        ),
        (
            "lent beyond the size",
            |seen| seen.beyond,
            Bound::AtMost(0.0),
        ),
    ] {
        let (case, figures) = part(metric, value);
        session.show(&case, &figures);
        session.judge(&case, metric, bound, &figures.ours().rounds, None);
    }
    Ok(())
}

const SIZE: usize = 16;
const TASKS: u64 = 62;
const ATTEMPTS: u64 = 500;
