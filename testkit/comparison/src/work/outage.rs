//! The server is away for seconds, and 64 callers go on asking. In virtual time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::tail::at;
use crate::figures::{Figure, Figures, Measure};
use crate::plot::{Line, Plot};
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Connects attempted during the outage.
struct Outage {
    lasts: Duration,
    seen: Mutex<Vec<(&'static str, Seen)>>,
}

/// One outage of one contender.
#[derive(Default)]
struct Seen {
    attempts: u64,
    /// From the end of the outage to the first get that was served, in milliseconds.
    first_ms: f64,
    /// How long those who asked during the outage waited for whatever answer, in milliseconds.
    answered_ms: Vec<f64>,
    /// Every so often: seconds, attempts, gets served.
    timeline: Vec<(f64, f64, f64)>,
}

/// What the callers tell.
struct Diary {
    served: Cell<u64>,
    first: RefCell<Option<Instant>>,
    outage: Cell<Option<Instant>>,
    back: Cell<Option<Instant>>,
    answered_ms: RefCell<Vec<f64>>,
}

impl Workload for Outage {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || !C::WAITS {
            return None;
        }
        Some(Box::new(move |round| {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a runtime");
            // Some spawn a task when a connection is dropped, at the end too.
            let _inside = runtime.enter();
            // No two rounds end at the same point of anybody's schedule.
            let lasts = self.lasts + Duration::from_millis(37 * round as u64);
            let seen = LocalSet::new().block_on(&runtime, suffer::<C>(lasts));
            let attempts = seen.attempts as f64;
            self.seen.lock().expect("no panics").push((C::NAME, seen));
            attempts
        }))
    }
}

async fn suffer<C: Contender>(lasts: Duration) -> Seen {
    let server = Server::slow(Duration::from_millis(2));
    let pool = C::new(SIZE, Setting::Equal, &server);
    let diary = Rc::new(Diary {
        served: Cell::default(),
        first: RefCell::default(),
        outage: Cell::default(),
        back: Cell::default(),
        answered_ms: RefCell::default(),
    });
    for _ in 0..CALLERS {
        tokio::task::spawn_local(call(pool.clone(), Rc::clone(&diary)));
    }
    let mut seen = Seen::default();
    let begin = Instant::now() + Duration::from_millis(250);
    let watch = async |seen: &mut Seen, until: Instant| {
        while Instant::now() < until {
            let (attempts, served) = (server.connects(), diary.served.get());
            nap((until - Instant::now()).min(Duration::from_millis(50))).await;
            let at_s = Instant::now().duration_since(begin).as_secs_f64();
            let (attempts, served) = (server.connects() - attempts, diary.served.get() - served);
            seen.timeline.push((at_s, attempts as f64, served as f64));
        }
    };
    watch(&mut seen, begin).await;
    server.go_down();
    diary.outage.set(Some(Instant::now()));
    let before = server.connects();
    watch(&mut seen, begin + lasts).await;
    seen.attempts = server.connects() - before;
    server.come_up();
    let back = Instant::now();
    diary.back.set(Some(back));
    // Everybody gets the time that the slowest of the peers needs.
    watch(&mut seen, back + Duration::from_secs(5)).await;
    let first = async {
        while diary.first.borrow().is_none() {
            nap(Duration::from_millis(10)).await;
        }
    };
    let _ = timeout(Duration::from_secs(60), first).await;
    let first = *diary.first.borrow();
    seen.first_ms = first.map_or(f64::NAN, |it| (it - back).as_secs_f64() * 1e3);
    seen.answered_ms = diary.answered_ms.take();
    seen.answered_ms.sort_by(f64::total_cmp);
    seen
}

/// Asks, uses what it gets for a millisecond, or comes back after ten.
async fn call<C: Contender>(pool: C, diary: Rc<Diary>) {
    loop {
        let start = Instant::now();
        let held = pool.get().await;
        let end = Instant::now();
        let back = diary.back.get();
        if diary.outage.get().is_some_and(|outage| start >= outage)
            && back.is_none_or(|back| start < back)
        {
            let waited_ms = (end - start).as_secs_f64() * 1e3;
            diary.answered_ms.borrow_mut().push(waited_ms);
        }
        match held {
            Ok(held) => {
                diary.served.set(diary.served.get() + 1);
                if back.is_some() {
                    diary.first.borrow_mut().get_or_insert(end);
                }
                nap(Duration::from_millis(1)).await;
                drop(held);
            }
            Err(_) => nap(Duration::from_millis(10)).await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "time is virtual here")]
async fn nap(span: Duration) {
    sleep(span).await;
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    for (seconds, bound) in [(2, 24.0), (10, 60.0)] {
        let workload = format!("outage of {seconds} s, 64 callers");
        let case = Case::new("pool.outage", workload, "connects attempted", "").setting("equal");
        let outage = Outage {
            lasts: Duration::from_secs(seconds),
            seen: Mutex::default(),
        };
        let figures = session.compare(&case, entrants(&outage));
        for name in OURS {
            let ours = figures.of(name).map_or(&[][..], |figure| &figure.rounds);
            let what = format!("{name}: connects");
            session.judge(&case, &what, Bound::AtMost(bound), ours, None);
        }
        let seen = outage.seen.into_inner().expect("no panics");
        recovery(session, &case, &figures, &seen);
        if seconds == 2 {
            session.plots.extend(timelines(&figures, &seen));
        }
    }
    Ok(())
}

fn recovery(session: &mut Session, case: &Case, figures: &Figures, seen: &[(&'static str, Seen)]) {
    let part = |metric, value: fn(&Seen) -> f64| {
        let of = |figure: &Figure| {
            let own = seen.iter().filter(|(name, _)| *name == figure.name);
            Figure {
                rounds: own.map(|(_, seen)| value(seen)).collect(),
                ..figure.clone()
            }
        };
        let case = Case {
            metric,
            unit: "ms",
            ..case.clone()
        };
        (case, Figures(figures.0.iter().map(of).collect()))
    };
    let (case, figures) = part("first success after it", |seen| seen.first_ms);
    session.show(&case, &figures);
    for name in OURS {
        let ours = figures.of(name).map_or(&[][..], |figure| &figure.rounds);
        let what = format!("{name}: first success, median (ms)");
        session.judge(&case, &what, Bound::AtMost(300.0), ours, None);
        let worst = [ours.iter().copied().fold(0.0, f64::max)];
        let what = format!("{name}: first success, worst (ms)");
        session.judge(&case, &what, Bound::AtMost(500.0), &worst, None);
    }
    let (case, figures) = part("p99 until an answer", |seen| at(&seen.answered_ms, 0.99));
    session.show(&case, &figures);
    // A pool alone lets its callers wait for the server; it is the whole that tells them.
    if let Some(whole) = figures.of("pool-facade") {
        let what = "pool-facade: told, p99 (ms)";
        session.judge(&case, what, Bound::AtMost(10.0), &whole.rounds, None);
    }
}

/// The first round of each contender.
fn timelines(figures: &Figures, seen: &[(&'static str, Seen)]) -> Vec<Plot> {
    let of = |figure: &Figure| {
        let (name, seen) = seen.iter().find(|(name, _)| *name == figure.name)?;
        let start = seen.timeline.first()?.0;
        let line = |line: &str, value: fn(&(f64, f64, f64)) -> f64| Line {
            name: line.to_owned(),
            points: seen
                .timeline
                .iter()
                .map(|point| (point.0 - start, value(point)))
                .collect(),
        };
        Some(Plot {
            title: format!("{name}: outage from 0.2 s to 2.2 s, 64 callers"),
            x: "seconds",
            y: "in each 50 ms",
            log: true,
            lines: vec![
                line("connects attempted", |point| point.1.max(0.5)),
                line("gets served", |point| point.2.max(0.5)),
            ],
        })
    };
    figures.0.iter().filter_map(of).collect()
}

const OURS: [&str; 2] = ["pool-core", "pool-facade"];
const CALLERS: usize = 64;
const SIZE: usize = 10;
