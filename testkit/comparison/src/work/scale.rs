//! Does it stay flat: ten thousand connections, a hundred thousand waiters?

use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use super::get::current_thread;
use crate::clock::{now, since};
use crate::figures::{Figures, Measure, Order};
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Nanoseconds of a get + drop with half of `connections` lent.
struct Wide {
    connections: usize,
    span: Duration,
}

/// Nanoseconds of one hand-off down a queue of `waiters`.
struct Deep {
    waiters: usize,
}

impl Workload for Wide {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE {
            return None;
        }
        let count = self.connections;
        let runtime = current_thread();
        let (pool, held) = runtime.block_on(async {
            let pool = C::new(count, Setting::Tuned, &Server::default());
            let mut held = Vec::new();
            for _ in 0..count {
                held.push(pool.get().await);
            }
            held.truncate(count / 2);
            yield_now().await;
            (pool, held)
        });
        let lent = Lent {
            runtime,
            connections: held,
        };
        Some(Box::new(move |_| {
            lent.runtime.block_on(async {
                let start = now();
                let mut count = 0_u32;
                while since(start) < self.span.as_secs_f64() {
                    for _ in 0..500 {
                        drop(black_box(pool.get().await));
                    }
                    count += 500;
                }
                since(start) * 1e9 / f64::from(count)
            })
        }))
    }
}

/// Connections that are lent throughout, and go back on their runtime: some spawn a task for it.
struct Lent<G> {
    runtime: Runtime,
    connections: Vec<G>,
}

impl<G> Drop for Lent<G> {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.connections.clear();
    }
}

impl Workload for Deep {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE || !C::WAITS {
            return None;
        }
        Some(Box::new(move |_| {
            current_thread().block_on(async {
                let pool = C::new(1, Setting::Tuned, &Server::default());
                let held = pool.get().await;
                let tasks: Vec<_> = (0..self.waiters)
                    .map(|_| {
                        let pool = pool.clone();
                        tokio::spawn(async move { drop(pool.get().await) })
                    })
                    .collect();
                yield_now().await;
                let start = now();
                drop(held);
                for task in tasks {
                    task.await.expect("no task panics");
                }
                since(start) * 1e9 / self.waiters as f64
            })
        }))
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let span = session.span(10, 40);
    let [few, many] = [100, 10_000].map(|connections| {
        let workload = format!("{connections} connections, half lent");
        let case = Case::new("pool.scale", workload, "get + drop", "ns").setting("tuned");
        let figures = session.compare(&case, entrants(&Wide { connections, span }));
        (case, figures)
    });
    flat(session, &many.0, &few.1, &many.1);
    let rounds = 5;
    let [few, many] = [1_000, 100_000].map(|waiters| {
        let workload = format!("{waiters} waiters");
        let case = Case::new("pool.scale", workload, "a hand-off", "ns").setting("tuned");
        let figures = session.compare_rounds(&case, entrants(&Deep { waiters }), rounds);
        if let Some(floor) = figures.of("floor A") {
            let ratio = figures.ours().over(floor);
            session.judge(&case, "of floor A", Bound::AtMost(1.0), &ratio, None);
        }
        if let Some(peer) = figures.best_peer(Order::LessIsBetter) {
            let (ratio, note) = (figures.ours().over(peer), peer.name.to_owned());
            session.judge(&case, "of the best peer", Bound::AtMost(0.75), &ratio, note);
        }
        (case, figures)
    });
    flat(session, &many.0, &few.1, &many.1);
    Ok(())
}

/// A hundred times as many may cost a third more, for the memory that they take; or what they cost
/// the floor, which does next to nothing, if that is more.
fn flat(session: &mut Session, case: &Case, few: &Figures, many: &Figures) {
    let growth = |name: &str| {
        let pair = few.of(name).zip(many.of(name));
        pair.and_then(|(few, many)| Some(many.spread()?.median / few.spread()?.median))
    };
    let floor = growth("floor A").unwrap_or(1.0);
    let bound = (floor.max(1.33) * 100.0).round() / 100.0;
    let ours: Vec<_> = many.ours().over(few.ours());
    let note = format!("floor A {floor:.2}");
    let what = "of a hundredth as many";
    session.judge(case, what, Bound::AtMost(bound), &ours, note);
}
