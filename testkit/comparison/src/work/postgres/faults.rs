//! What callers see while the server restarts, kills, refuses, forgets; or they leave midway.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use testkit::postgres::Shutdown;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::load::crowd;
use super::rig;
use crate::clock::{now, since};
use crate::figures::{Entrant, Figure, Figures};
use crate::postgres::{Contender, POINT, POINTS, Rig, Setting, Workload, entrants, runtime};
use crate::row::Bound;
use crate::session::{Case, Session};

/// What a fault did to one contender, figure by figure.
type Outcome = Vec<(&'static str, &'static str, f64)>;

/// A fault, tried on each contender once a round.
struct Trial<'a> {
    rig: &'a Rig,
    fault: Fault,
    quick: bool,
    outcomes: Mutex<Vec<(&'static str, Outcome)>>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Restart,
    Kill,
    Full,
    Cancel,
    Forget,
}

impl Workload for Trial<'_> {
    fn enter<C: Contender>(&self) -> Option<crate::figures::Measure<'_>> {
        // Each takes seconds: a quick run tries ours and the best two.
        if self.quick && !["pool-postgres", "deadpool", "bb8"].contains(&C::NAME) {
            return None;
        }
        Some(Box::new(move |_| {
            let threads = runtime();
            let outcome = threads.block_on(async {
                match self.fault {
                    Fault::Restart => restart::<C>(self.rig).await,
                    Fault::Kill => kill::<C>(self.rig).await,
                    Fault::Full => full::<C>(self.rig).await,
                    Fault::Cancel => cancel::<C>(self.rig).await,
                    Fault::Forget => forget::<C>(self.rig).await,
                }
            });
            // Its connections go with the runtime; the next contender finds an empty server.
            drop(threads);
            let empty = || self.rig.cluster.backends().is_ok_and(|count| count == 0);
            let _left = (0..200).all(|_| !empty());
            let first = outcome[0].2;
            let all = &mut self.outcomes.lock().expect("no panics");
            all.push((C::NAME, outcome));
            first
        }))
    }
}

/// Asks the server something without holding up the runtime.
async fn ask<T: Send + 'static>(question: impl FnOnce() -> T + Send) -> T {
    tokio::task::block_in_place(question)
}

async fn restart<C: Contender>(rig: &Rig) -> Outcome {
    let pool = C::open(rig, 16, Setting::Plain).await;
    crowd(&pool, POINT, 64, Duration::from_millis(100)).await;
    let logins = ask(|| rig.cluster.logins().unwrap_or_default()).await;
    let others = pool.clone();
    let callers =
        tokio::spawn(async move { crowd(&others, POINT, 100, Duration::from_millis(2500)).await });
    nap(300).await;
    let back = ask(|| {
        let _ = rig.cluster.restart(Shutdown::Fast);
        now()
    })
    .await;
    let first_ms = loop {
        if pool.query(POINT, 7).await.is_ok() {
            break since(back) * 1e3;
        }
        nap(1).await;
        if since(back) > 10.0 {
            break f64::NAN;
        }
    };
    let seen = callers.await.expect("no task panics");
    let connects = ask(|| rig.cluster.logins().unwrap_or_default()).await - logins;
    vec![
        ("callers with an error", "of 100", seen.hurt as f64),
        ("connects", "", connects as f64),
        ("first success", "ms", first_ms),
    ]
}

async fn kill<C: Contender>(rig: &Rig) -> Outcome {
    let pool = C::open(rig, 16, Setting::Plain).await;
    // All sixteen are opened, then five are in use.
    crowd(&pool, POINT, 64, Duration::from_millis(100)).await;
    let others = pool.clone();
    let span = Duration::from_millis(1500);
    let callers = tokio::spawn(async move { crowd(&others, POINT, 5, span).await });
    for _ in 0..KILLS {
        nap(300).await;
        ask(|| rig.cluster.terminate_backends().unwrap_or_default()).await;
    }
    let seen = callers.await.expect("no task panics");
    vec![("errors per kill", "", seen.errors as f64 / f64::from(KILLS))]
}

/// The server has room for fewer than the pool wants: first while the pool finds out, then when it
/// knows.
async fn full<C: Contender>(rig: &Rig) -> Outcome {
    let start = ask(|| turned_away(rig)).await;
    let pool = C::open(rig, 40, Setting::Plain).await;
    let first = crowd(&pool, POINT, 80, Duration::from_secs(1)).await;
    let before = ask(|| turned_away(rig)).await;
    let span = 2.0;
    let then = crowd(&pool, POINT, 80, Duration::from_secs_f64(span)).await;
    let refused = ask(|| turned_away(rig)).await - before;
    let errors = first.errors + then.errors;
    let asked = first.waits.len() + then.waits.len() + errors;
    vec![
        (
            "errors",
            "% of the calls",
            100.0 * errors as f64 / asked as f64,
        ),
        (
            "refused connects, in the first second",
            "",
            (before - start) as f64,
        ),
        (
            "refused connects, from then on",
            "per second",
            refused as f64 / span,
        ),
    ]
}

fn turned_away(rig: &Rig) -> usize {
    let log = rig.cluster.log().unwrap_or_default();
    let marks = ["too many clients", "remaining connection slots"];
    log.lines()
        .filter(|line| marks.iter().any(|mark| line.contains(mark)))
        .count()
}

/// Three in ten callers leave while their question is on its way.
async fn cancel<C: Contender>(rig: &Rig) -> Outcome {
    let pool = C::open(rig, 8, Setting::Plain).await;
    crowd(&pool, POINT, 32, Duration::from_millis(100)).await;
    let logins = ask(|| rig.cluster.logins().unwrap_or_default()).await;
    let mut tasks = JoinSet::new();
    for caller in 0..32 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut wrong = 0;
            for turn in 0..QUESTIONS {
                let id = (caller * 37 + turn * 11) % POINTS;
                let leaves = (caller + turn * 3) % 10 < 3;
                let patience = Duration::from_micros(if leaves { 150 } else { 5_000_000 });
                let answer = tokio::time::timeout(patience, pool.query(POINT, id)).await;
                wrong += usize::from(matches!(answer, Ok(Ok(answer)) if answer != id));
            }
            wrong
        });
    }
    let mut wrong = 0;
    while let Some(own) = tasks.join_next().await {
        wrong += own.expect("no task panics");
    }
    nap(50).await;
    let again = ask(|| rig.cluster.logins().unwrap_or_default()).await - logins;
    vec![
        ("wrong replies", "", wrong as f64),
        ("reconnects", "", again as f64),
    ]
}

/// The server closes every session that has been idle for 200 ms.
async fn forget<C: Contender>(rig: &Rig) -> Outcome {
    let pool = C::open(rig, 8, Setting::Plain).await;
    let mut errors = 0;
    for round in 0..EXPIRIES {
        let asked = (0..8).map(|id| {
            let pool = pool.clone();
            async move { pool.query(POINT, id).await.is_err() }
        });
        let mut asked: JoinSet<_> = asked.collect();
        while let Some(failed) = asked.join_next().await {
            // What happens before the first session was closed is not counted.
            errors += usize::from(failed.expect("no task panics") && round > 0);
        }
        nap(350).await;
    }
    let expiries = f64::from(8 * (EXPIRIES - 1));
    vec![(
        "errors",
        "per 360 expiries",
        errors as f64 * 360.0 / expiries,
    )]
}

#[expect(clippy::disallowed_methods, reason = "so long do the faults last")]
async fn nap(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// A bar of a fault: its figure, what it must be.
type Judged = (&'static str, Bound);

fn trial(
    session: &mut Session,
    rig: &Rig,
    fault: Fault,
    (id, workload): (&'static str, &str),
    judged: &[Judged],
) {
    let trial = Trial {
        rig,
        fault,
        quick: session.quick,
        outcomes: Mutex::default(),
    };
    let rounds = if session.quick { 1 } else { 5 };
    let turns = entrants(&trial);
    let kinds: Vec<_> = turns
        .iter()
        .map(|it: &Entrant<'_>| (it.name, it.kind))
        .collect();
    let count = turns.len() * rounds;
    Figures::measure(turns, rounds, |name, turn| {
        session.screen.turn(workload, name, turn, count);
    });
    let outcomes = trial.outcomes.into_inner().expect("no panics");
    let Some((_, shape)) = outcomes.first() else {
        return;
    };
    for (index, &(metric, unit, _)) in shape.iter().enumerate() {
        let figures = kinds.iter().map(|&(name, kind)| Figure {
            name,
            kind,
            rounds: outcomes
                .iter()
                .filter(|(contender, _)| *contender == name)
                .map(|(_, outcome)| outcome[index].2)
                .collect(),
        });
        let figures = Figures(figures.collect());
        let case = Case::new(id, workload, metric, unit);
        session.show(&case, &figures);
        if let Some((_, bound)) = judged.iter().find(|(name, _)| *name == metric) {
            let ours = &figures.ours().rounds;
            session.judge(&case, metric, *bound, ours, None);
        }
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let bars = [
        ("postgres.restart", "<= 5, <= 50, <= 100 ms"),
        ("postgres.killed", "<= the active ones"),
        ("postgres.cancelled", "0 and 0"),
    ];
    if let Some(rig) = rig(session, 100, &bars) {
        trial(
            session,
            &rig,
            Fault::Restart,
            ("postgres.restart", "restart under 100 callers"),
            &[
                ("callers with an error", Bound::AtMost(5.0)),
                ("connects", Bound::AtMost(50.0)),
                ("first success", Bound::AtMost(100.0)),
            ],
        );
        trial(
            session,
            &rig,
            Fault::Kill,
            ("postgres.killed", "all backends killed, 5 callers"),
            &[("errors per kill", Bound::AtMost(5.0))],
        );
        trial(
            session,
            &rig,
            Fault::Cancel,
            ("postgres.cancelled", "3 in 10 leave midway"),
            &[
                ("wrong replies", Bound::AtMost(0.0)),
                ("reconnects", Bound::AtMost(0.0)),
            ],
        );
    }
    if let Some(rig) = rig(
        session,
        30,
        &[("postgres.full", "0 errors, <= 5 connects/s")],
    ) {
        let judged = [
            ("errors", Bound::AtMost(0.0)),
            ("refused connects, from then on", Bound::AtMost(5.0)),
        ];
        let what = ("postgres.full", "a pool of 40, a server of 30");
        trial(session, &rig, Fault::Full, what, &judged);
    }
    if let Some(rig) = rig(session, 50, &[("postgres.idle-timeout", "0")]) {
        rig.cluster.set("idle_session_timeout", "200ms")?;
        let judged = [("errors", Bound::AtMost(0.0))];
        let what = ("postgres.idle-timeout", "sessions closed after 200 ms");
        trial(session, &rig, Fault::Forget, what, &judged);
    }
    Ok(())
}

/// What another tool measures, or nothing yet.
pub(crate) fn elsewhere(session: &mut Session) -> Result<()> {
    let chaos = "one contender at a time behind a proxy: cargo xtask chaos";
    for (id, bar, reason) in [
        ("postgres.black-hole", "<= 4, <= 0.5 s", chaos),
        ("postgres.hanging-connect", "0, 16 of 16, 0", chaos),
        ("postgres.refused", "<= 64, <= 300 ms", chaos),
        (
            "postgres.slowed",
            ">= 300",
            "not built yet: C8, the overload queue",
        ),
    ] {
        session.not_yet(id, bar, reason);
    }
    Ok(())
}

const KILLS: u32 = 4;
const QUESTIONS: i32 = 100;
const EXPIRIES: i32 = 4;
