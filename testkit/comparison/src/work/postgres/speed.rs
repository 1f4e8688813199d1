//! Point queries: throughput, what one caller pays more, the tail.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::load::{Seen, crowd};
use super::rig;
use crate::figures::{Figure, Figures, Measure, Order};
use crate::postgres::{Contender, POINT, Rig, Setting, Workload, entrants, runtime};
use crate::row::Bound;
use crate::session::{Case, Session};
use crate::work::tail::at;

/// A crowd of callers on a pool.
struct Load<'a> {
    rig: &'a Rig,
    runtime: &'a Runtime,
    size: usize,
    callers: usize,
    setting: Setting,
    span: Duration,
    value: fn(&Seen) -> f64,
    unserved: Mutex<Vec<(&'static str, f64)>>,
}

impl Workload for Load<'_> {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        let open = C::open(self.rig, self.size, self.setting);
        let pool = self.runtime.block_on(async {
            let pool = open.await;
            // Everybody opens and prepares before anybody is measured.
            crowd(&pool, POINT, 4 * self.size, Duration::from_millis(50)).await;
            pool
        });
        let pool = Inside(self.runtime, Some(pool));
        Some(Box::new(move |_| {
            let pool = pool.1.clone().expect("it is dropped at the end");
            let seen = async move { crowd(&pool, POINT, self.callers, self.span).await };
            let seen = self.runtime.block_on(seen);
            let unserved = (C::NAME, seen.unserved as f64);
            self.unserved.lock().expect("no panics").push(unserved);
            (self.value)(&seen)
        }))
    }
}

/// Dropped on its runtime: some spawn a task for it.
struct Inside<'a, C>(&'a Runtime, Option<C>);

impl<C> Drop for Inside<'_, C> {
    fn drop(&mut self) {
        let _inside = self.0.enter();
        self.1 = None;
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let bars = [
        ("postgres.throughput", ">= 0.97 of the floor"),
        ("postgres.added", "<= 1 us"),
        ("postgres.tail", "<= 3 ms, nobody unserved"),
    ];
    let Some(rig) = rig(session, 150, &bars) else {
        return Ok(());
    };
    session.gauge();
    let runtime = runtime();
    let best = best_size(session, &rig, &runtime);
    throughput(session, &rig, &runtime, best);
    added(session, &rig, &runtime);
    tail(session, &rig, &runtime);
    Ok(())
}

fn load<'a>(rig: &'a Rig, runtime: &'a Runtime, size: usize, callers: usize) -> Load<'a> {
    Load {
        rig,
        runtime,
        size,
        callers,
        setting: Setting::Plain,
        span: Duration::from_millis(100),
        value: |seen| seen.throughput,
        unserved: Mutex::default(),
    }
}

/// The size at which the floor serves most, with as many callers.
fn best_size(session: &Session, rig: &Rig, runtime: &Runtime) -> usize {
    let mut best = (0.0, 2);
    for size in [2, 4, 8] {
        let workload = load(rig, runtime, size, size);
        let all = entrants(&workload);
        let floor = all.into_iter().filter(|it| it.name.starts_with("floor"));
        let figures = Figures::measure(floor.collect(), 3, |_, _| ());
        let median = figures.0[0].spread().map_or(0.0, |it| it.median);
        if median > best.0 {
            best = (median, size);
        }
    }
    let text = format!("the floor serves most with {} connections", best.1);
    session.screen.say(&text);
    best.1
}

fn throughput(session: &mut Session, rig: &Rig, runtime: &Runtime, size: usize) {
    for (times, setting) in [
        (1, Setting::Plain),
        (2, Setting::Plain),
        (5, Setting::Plain),
        (5, Setting::Checked),
    ] {
        let callers = times * size;
        let workload = format!("point queries, {size} connections, {times}x as many callers");
        let case = Case::new("postgres.throughput", workload, "throughput", "ops/s");
        let case = case.setting(setting.name());
        let load = Load {
            setting,
            span: session.span(80, 300),
            ..load(rig, runtime, size, callers)
        };
        let figures = session.compare(&case, entrants(&load));
        let floor = figures.of("floor: semaphore and stack");
        if let (Setting::Plain, Some(floor)) = (setting, floor) {
            let ratio = figures.ours().over(floor);
            let peer = figures.best_peer(Order::MoreIsBetter);
            let note = peer.map(|it| format!("{} is the best peer", it.name));
            session.judge(&case, "of the floor", Bound::AtLeast(0.97), &ratio, note);
        }
    }
}

fn added(session: &mut Session, rig: &Rig, runtime: &Runtime) {
    let case = Case::new("postgres.added", "one caller", "p50 of a point query", "us");
    let load = Load {
        span: session.span(80, 300),
        value: |seen| at(&seen.waits, 0.5) * 1e6,
        ..load(rig, runtime, 1, 1)
    };
    let rounds = 3 * session.rounds();
    let figures = session.compare_rounds(&case, entrants(&load), rounds);
    if let Some(floor) = figures.of("floor: semaphore and stack") {
        let pairs = figures.ours().rounds.iter().zip(&floor.rounds);
        let more: Vec<_> = pairs.map(|(ours, floor)| ours - floor).collect();
        let what = "more than the floor (us)";
        session.judge(&case, what, Bound::AtMost(1.0), &more, None);
    }
}

fn tail(session: &mut Session, rig: &Rig, runtime: &Runtime) {
    let workload = "point queries, 8 connections, 128 callers";
    let case = Case::new("postgres.tail", workload, "p99.9", "ms");
    let load = Load {
        span: session.span(200, 1000),
        value: |seen| at(&seen.waits, 0.999) * 1e3,
        ..load(rig, runtime, 8, 128)
    };
    let figures = session.compare(&case, entrants(&load));
    let ours = &figures.ours().rounds;
    session.judge(&case, "p99.9 (ms)", Bound::AtMost(3.0), ours, None);
    let unserved = load.unserved.into_inner().expect("no panics");
    let of = |figure: &Figure| Figure {
        rounds: unserved
            .iter()
            .filter(|(name, _)| *name == figure.name)
            .map(|(_, unserved)| *unserved)
            .collect(),
        ..figure.clone()
    };
    let figures = Figures(figures.0.iter().map(of).collect());
    let case = Case {
        metric: "callers never served",
        unit: "of 128",
        ..case
    };
    session.show(&case, &figures);
    let ours = &figures.ours().rounds;
    session.judge(&case, "never served", Bound::AtMost(0.0), ours, None);
}
