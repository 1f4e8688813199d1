//! Many tasks on two threads, as fast as they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

use crate::figures::Measure;
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Operations per second.
struct Crowd<'a> {
    threads: &'a Runtime,
    size: usize,
    tasks: usize,
    /// How often a task yields while it holds a connection.
    yields: usize,
    span: Duration,
}

impl Workload for Crowd<'_> {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::WHOLE || C::BLOCKS && self.yields > 0 {
            return None;
        }
        let Self {
            threads,
            size,
            tasks,
            yields,
            span,
        } = *self;
        Some(Box::new(move |_| {
            let server = Server::default();
            let pool = threads.block_on(async {
                let pool = C::new(size, Setting::Tuned, &server);
                // Opens every connection, so that no queue is there before the work begins.
                let mut held = Vec::new();
                for _ in 0..size {
                    held.push(pool.get().await.expect("nobody else asks"));
                }
                drop(held);
                pool
            });
            let total = Arc::new(AtomicU64::new(0));
            run_for(threads, tasks, span, |stop| {
                let (pool, total) = (pool.clone(), Arc::clone(&total));
                async move {
                    let count = work(&pool, yields, &stop).await;
                    total.fetch_add(count, Relaxed);
                }
            });
            total.load(Relaxed) as f64 / span.as_secs_f64()
        }))
    }
}

async fn work<C: Contender>(pool: &C, yields: usize, stop: &AtomicBool) -> u64 {
    let mut count = 0;
    while !stop.load(Relaxed) {
        let held = pool.get().await;
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        // Only what was served counts.
        count += u64::from(held.is_ok());
        drop(held);
        // A task that never waits must let others run.
        if count % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    count
}

pub(crate) fn hold_nothing(session: &mut Session) -> Result<()> {
    let gauge = session.gauge();
    // The bar is higher where two cores are really two.
    let shared = if gauge >= 1.7 { 6.0 } else { 2.5 };
    run(session, "pool.contended", 0, [1.0, shared, shared])
}

pub(crate) fn yield_once(session: &mut Session) -> Result<()> {
    session.gauge();
    run(session, "pool.yield", 1, [1.1; 3])
}

fn run(session: &mut Session, id: &'static str, yields: usize, bounds: [f64; 3]) -> Result<()> {
    let threads = two_threads();
    let span = session.span(20, 150);
    for (size, bound) in [1, 8, 32].into_iter().zip(bounds) {
        for tasks in [8, 64, 512] {
            let workload = format!("{tasks} tasks on {size}, {yields} yields held");
            let case = Case::new(id, workload, "throughput", "ops/s").setting("tuned");
            let crowd = Crowd {
                threads: &threads,
                size,
                tasks,
                yields,
                span,
            };
            let figures = session.compare(&case, entrants(&crowd));
            if let Some(floor) = figures.of("floor A") {
                let ratio = figures.ours().over(floor);
                session.judge(&case, "of floor A", Bound::AtLeast(bound), &ratio, None);
            }
        }
    }
    Ok(())
}

pub(crate) fn two_threads() -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

/// Runs tasks until the time is up, and waits for them.
pub(crate) fn run_for<F: Future<Output = ()> + Send + 'static>(
    runtime: &Runtime,
    tasks: usize,
    span: Duration,
    task: impl Fn(Arc<AtomicBool>) -> F,
) {
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..tasks)
            .map(|_| tokio::spawn(task(Arc::clone(&stop))))
            .collect();
        #[expect(clippy::disallowed_methods, reason = "the round lasts that long")]
        tokio::time::sleep(span).await;
        stop.store(true, Relaxed);
        for task in tasks {
            task.await.expect("no task panics");
        }
    });
}
