//! Waiting far above the size: the tail, and who is never served.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::crowd::{run_for, two_threads};
use crate::clock::{now, since};
use crate::figures::{Figure, Figures, Measure, Order};
use crate::plot::{Line, Plot};
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// The 99th percentile of a get, in microseconds.
struct Tail<'a> {
    threads: &'a Runtime,
    setting: Setting,
    span: Duration,
    /// What else was seen, contender by contender.
    seen: Mutex<Vec<Seen>>,
}

/// One round of one contender.
struct Seen {
    name: &'static str,
    /// Tasks that were never served while the round lasted.
    unserved: u64,
    /// Microseconds, sorted.
    waits: Vec<f64>,
}

impl Workload for Tail<'_> {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE {
            return None;
        }
        Some(Box::new(move |_| {
            let server = Server::default();
            let pool = self
                .threads
                .block_on(async { C::new(SIZE, self.setting, &server) });
            let waits = Arc::new(Mutex::new(Vec::new()));
            let served = Arc::new(AtomicU64::new(0));
            run_for(self.threads, TASKS, self.span, |stop| {
                let (pool, waits, served) = (pool.clone(), Arc::clone(&waits), Arc::clone(&served));
                async move {
                    let mut own = Vec::new();
                    while !stop.load(Relaxed) {
                        let start = now();
                        let held = pool.get().await;
                        own.push(since(start) * 1e6);
                        if own.len() == 1 && !stop.load(Relaxed) {
                            served.fetch_add(1, Relaxed);
                        }
                        tokio::task::yield_now().await;
                        drop(held);
                    }
                    waits.lock().expect("no panics").append(&mut own);
                }
            });
            let mut waits = std::mem::take(&mut *waits.lock().expect("no panics"));
            waits.sort_by(f64::total_cmp);
            let p99 = at(&waits, 0.99);
            self.seen.lock().expect("no panics").push(Seen {
                name: C::NAME,
                unserved: TASKS as u64 - served.load(Relaxed),
                waits,
            });
            p99
        }))
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    session.gauge();
    let threads = two_threads();
    for setting in Setting::ALL {
        let case = Case::new("pool.tail", "512 tasks on 16", "p99 of a get", "us");
        let case = case.setting(setting.name());
        let tail = Tail {
            threads: &threads,
            setting,
            span: session.span(100, 400),
            seen: Mutex::default(),
        };
        let figures = session.compare(&case, entrants(&tail));
        let (rival, bound) = match setting {
            Setting::Tuned => ("floor A", 1.0),
            Setting::Equal => ("deadpool", 0.75),
        };
        if let Some(figure) = figures.of(rival) {
            let ratio = figures.ours().over(figure);
            let what = format!("of {rival}");
            session.judge(&case, &what, Bound::AtMost(bound), &ratio, None);
        }
        let seen = tail.seen.into_inner().expect("no panics");
        let case = Case {
            metric: "tasks never served",
            unit: "of 512",
            ..case
        };
        let unserved = unserved(&figures, &seen);
        session.show(&case, &unserved);
        let ours = &unserved.ours().rounds;
        let best = unserved.best_peer(Order::LessIsBetter);
        let note = best.map(|it| format!("{} leaves the fewest of the peers", it.name));
        session.judge(&case, "never served", Bound::AtMost(0.0), ours, note);
        session.plots.push(curves(setting, &seen));
    }
    Ok(())
}

fn unserved(figures: &Figures, seen: &[Seen]) -> Figures {
    let of = |figure: &Figure| Figure {
        rounds: seen
            .iter()
            .filter(|it| it.name == figure.name)
            .map(|it| it.unserved as f64)
            .collect(),
        ..figure.clone()
    };
    Figures(figures.0.iter().map(of).collect())
}

/// The wait at each share of the gets, of each contender's last round.
fn curves(setting: Setting, seen: &[Seen]) -> Plot {
    let mut lines: Vec<Line> = Vec::new();
    for seen in seen.iter().rev() {
        if lines.iter().any(|line| line.name == seen.name) {
            continue;
        }
        // As many steps to each further nine.
        let steps = (0..=40).map(|step| f64::from(step) / 10.0);
        let points = steps.map(|nines| {
            let share = 1.0 - 0.1_f64.powf(nines);
            (nines, at(&seen.waits, share))
        });
        lines.push(Line {
            name: seen.name.to_owned(),
            points: points.collect(),
        });
    }
    Plot {
        title: format!("512 tasks on 16, {}: how long a get takes", setting.name()),
        x: "share of the gets, in nines: 1 is 90 %, 2 is 99 %, 3 is 99.9 %",
        y: "us",
        log: true,
        lines,
    }
}

/// The value below which `share` of the sorted values lie.
pub(super) fn at(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(index.min(last)).copied().unwrap_or(f64::NAN)
}

const TASKS: usize = 512;
const SIZE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<_> = (0..100).map(f64::from).collect();
        assert_eq!((at(&values, 0.5), at(&values, 0.99)), (50.0, 99.0));
        assert_eq!(at(&values, 1.0), 99.0);
        assert!(at(&[], 0.5).is_nan());
    }
}
