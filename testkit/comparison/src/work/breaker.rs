//! What a guarded call costs, and what a breaker lets through.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::breakers::{
    Clock, Contender, CountWindow, DegradedOff, DegradedOn, F, Ours, OwnClock, Visit, each,
};
use crate::clock::{now, since};
use crate::figures::{Entrant, Figure, Figures, Measure, Order};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Nanoseconds of one call, closed, with so many threads.
struct Closed(usize, Vec<Entrant<'static>>);

impl Visit for Closed {
    fn visit<C: Contender + 'static>(&mut self) {
        let threads = self.0;
        let breaker = C::closed();
        self.1.push(entrant::<C>(Box::new(move |_| {
            timed(threads, || breaker.calls(CALLS))
        })));
    }
}

/// Nanoseconds of one refusal.
#[derive(Default)]
struct Open(Vec<Entrant<'static>>);

impl Visit for Open {
    fn visit<C: Contender + 'static>(&mut self) {
        if let Some(breaker) = C::opened(Duration::from_secs(3600)) {
            self.0.push(entrant::<C>(Box::new(move |_| {
                timed(1, || breaker.refusals(CALLS))
            })));
        }
    }
}

fn entrant<C: Contender>(measure: Measure<'static>) -> Entrant<'static> {
    Entrant {
        name: C::NAME,
        kind: C::KIND,
        measure,
    }
}

/// Nanoseconds of one of the calls, of the slowest thread; not a number if after some tries two
/// threads never ran at the same time.
fn timed(threads: usize, calls: impl Fn() + Sync) -> f64 {
    (0..TRIES)
        .find_map(|_| try_timed(threads, &calls))
        .unwrap_or(f64::NAN)
}

fn try_timed(threads: usize, calls: &(impl Fn() + Sync)) -> Option<f64> {
    let ready = AtomicUsize::new(0);
    let work = || {
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < threads {
            spin_loop();
        }
        let start = now();
        calls();
        (start, since(start))
    };
    let spans: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().expect("no panics"))
            .collect()
    });
    let first = spans.iter().map(|span| span.0).min()?;
    let last = spans.iter().map(|span| span.0).max()?;
    let slowest = spans.iter().map(|span| span.1).fold(0.0, f64::max);
    let together = 10.0 * last.duration_since(first).as_secs_f64() < slowest;
    (threads == 1 || together).then(|| slowest * 1e9 / f64::from(CALLS))
}

pub(crate) fn closed(session: &mut Session) -> Result<()> {
    let case = Case::new("breaker.closed", "one call, closed", "time", "ns").setting("1 thread");
    let one = measure(session, &case, 1);
    for (ours, other, bound) in [
        (name::<DegradedOff>(), F::NAME, 1.3),
        (name::<DegradedOn>(), F::NAME, 2.3),
        (name::<DegradedOn>(), "recloser", 0.9),
    ] {
        judge(session, &case, &one, ours, other, bound);
    }
    let [own, given, clock] = [name::<OwnClock>(), name::<DegradedOff>(), Clock::NAME]
        .map(|name| one.of(name).map(|figure| figure.rounds.clone()));
    if let (Some(own), Some(given), Some(clock)) = (own, given, clock) {
        let more = own.iter().zip(&given).zip(&clock);
        let ratio: Vec<_> = more
            .map(|((own, given), clock)| (own - given) / clock)
            .collect();
        let what = "own clock: more than without, of a clock read";
        session.judge(&case, what, Bound::AtMost(1.1), &ratio, None);
    }
    session.gauge();
    let case = Case::new("breaker.threads", "one call, closed", "time", "ns").setting("2 threads");
    let two = measure(session, &case, 2);
    let degraded_off = name::<DegradedOff>();
    judge(session, &case, &two, degraded_off, F::NAME, 0.3);
    judge(session, &case, &two, name::<CountWindow>(), F::NAME, 1.5);
    if let (Some(one), Some(two)) = (one.of(degraded_off), two.of(degraded_off)) {
        let ratio = two.over(one);
        let what = format!("{degraded_off}: of its own with one thread");
        session.judge(&case, &what, Bound::AtMost(1.3), &ratio, None);
    }
    Ok(())
}

fn measure(session: &mut Session, case: &Case, threads: usize) -> Figures {
    let mut closed = Closed(threads, Vec::new());
    each(&mut closed);
    let rounds = if session.quick { 21 } else { 101 };
    session.compare_rounds(case, closed.1, rounds)
}

fn judge(session: &mut Session, case: &Case, all: &Figures, ours: &str, other: &str, bound: f64) {
    if let (Some(figure), Some(rival)) = (all.of(ours), all.of(other)) {
        let what = format!("{ours}: of {other}");
        let ratio = figure.over(rival);
        session.judge(case, &what, Bound::AtMost(bound), &ratio, None);
    }
}

fn name<V>() -> &'static str
where
    Ours<V>: Contender,
{
    Ours::<V>::NAME
}

pub(crate) fn open(session: &mut Session) -> Result<()> {
    let case = Case::new("breaker.open", "one refusal, open", "time", "ns");
    let mut open = Open::default();
    each(&mut open);
    let rounds = if session.quick { 11 } else { 51 };
    let figures = session.compare_rounds(&case, open.0, rounds);
    let best = figures.best_peer(Order::LessIsBetter);
    let note = best.map(|it| format!("{} is the best peer", it.name));
    if let (Some(ours), Some(rival)) = (figures.of(name::<DegradedOn>()), figures.of("recloser")) {
        let ratio = ours.over(rival);
        session.judge(&case, "of recloser", Bound::AtMost(1.0), &ratio, note);
    }
    Ok(())
}

/// How many of 64 calls at once each breaker admits when it is half-open with room for five.
#[derive(Default)]
struct HalfOpen(Vec<Figure>);

impl Visit for HalfOpen {
    fn visit<C: Contender + 'static>(&mut self) {
        let admitted = || {
            let breaker = C::opened(Duration::from_millis(20))?;
            // failsafe counts whole seconds, and at least one.
            let wait = if C::NAME == "failsafe" { 1100 } else { 40 };
            #[expect(clippy::disallowed_methods, reason = "the breaker reads its own clock")]
            thread::sleep(Duration::from_millis(wait));
            Some(rush(&breaker) as f64)
        };
        let rounds: Vec<_> = (0..3).filter_map(|_| admitted()).collect();
        if !rounds.is_empty() {
            self.0.push(Figure {
                name: C::NAME,
                kind: C::KIND,
                rounds,
            });
        }
    }
}

/// Every call stays inside until each of the 64 has been admitted or refused.
fn rush<C: Contender>(breaker: &C) -> usize {
    let asked = Arc::new(AtomicUsize::new(0));
    let call = || {
        let inside = Arc::clone(&asked);
        let admitted = breaker.hold(Arc::new(move || {
            inside.fetch_add(1, SeqCst);
            let start = now();
            // A breaker that holds a lock during the call lets nobody else ask.
            while inside.load(SeqCst) < RUSH && since(start) < 0.5 {
                thread::yield_now();
            }
        }));
        if !admitted {
            asked.fetch_add(1, SeqCst);
        }
        usize::from(admitted)
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (0..RUSH).map(|_| scope.spawn(call)).collect();
        let ended = handles.into_iter().map(|it| it.join().expect("no panics"));
        ended.sum()
    })
}

pub(crate) fn half_open(session: &mut Session) -> Result<()> {
    let case = Case::new("breaker.half-open", "64 calls at once", "admitted", "");
    let mut half_open = HalfOpen::default();
    each(&mut half_open);
    let figures = Figures(half_open.0);
    session.show(&case, &figures);
    let ours = figures.ours().rounds.clone();
    session.judge(&case, "admitted, at most", Bound::AtMost(5.0), &ours, None);
    session.judge(
        &case,
        "admitted, at least",
        Bound::AtLeast(5.0),
        &ours,
        None,
    );
    Ok(())
}

/// Bytes of a breaker, allocations of a call, bytes that stay when it is gone.
#[derive(Default)]
struct Memory {
    bytes: Vec<Figure>,
    allocations: Vec<Figure>,
    leaked: Vec<Figure>,
}

impl Visit for Memory {
    fn visit<C: Contender + 'static>(&mut self) {
        let figure = |value: f64| Figure {
            name: C::NAME,
            kind: C::KIND,
            rounds: vec![value],
        };
        let mut breaker = None;
        let made = allocation_counter::measure(|| breaker = Some(C::closed()));
        let bytes = made.bytes_current as f64 + size_of::<C>() as f64;
        self.bytes.push(figure(bytes));
        let breaker = breaker.expect("it was made");
        // What a runtime takes to start falls out of the difference.
        let [few, many] = [100, 1100]
            .map(|calls| allocation_counter::measure(|| breaker.calls(calls)).count_total);
        let each = many.saturating_sub(few) as f64 / 1000.0;
        self.allocations.push(figure(each));
        if C::opened(Duration::from_secs(1)).is_none() {
            return;
        }
        let leaked = allocation_counter::measure(|| {
            for _ in 0..LIVES {
                drop(C::opened(Duration::from_secs(1)));
            }
        });
        self.leaked
            .push(figure(leaked.bytes_current as f64 / LIVES as f64));
    }
}

pub(crate) fn memory(session: &mut Session) -> Result<()> {
    let mut memory = Memory::default();
    each(&mut memory);
    let case = Case::new("breaker.memory", "a breaker", "bytes", "B");
    let figures = Figures(memory.bytes);
    session.show(&case, &figures);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let stripes = cores.next_power_of_two().min(8);
    let bound = (192 + 192 * stripes) as f64;
    if let Some(ours) = figures.of(name::<DegradedOn>()) {
        let note = format!("{stripes} stripes");
        session.judge(&case, "bytes", Bound::AtMost(bound), &ours.rounds, note);
    }
    let case = Case::new("breaker.memory", "one call", "allocations", "");
    let figures = Figures(memory.allocations);
    session.show(&case, &figures);
    let ours = figures.ours().rounds.clone();
    session.judge(&case, "allocations", Bound::AtMost(0.0), &ours, None);
    let case = Case::new("breaker.leaks", "opened and dropped", "bytes leaked", "B");
    let figures = Figures(memory.leaked);
    session.show(&case, &figures);
    let ours = figures.ours().rounds.clone();
    session.judge(&case, "bytes leaked", Bound::AtMost(0.0), &ours, None);
    Ok(())
}

const CALLS: u32 = 10_000;
const TRIES: usize = 20;
const RUSH: usize = 64;
const LIVES: usize = 200;
