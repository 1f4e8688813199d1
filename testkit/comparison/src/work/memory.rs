//! Bytes per idle connection and per waiting task, beyond the connection itself.

use anyhow::Result;
use tokio::task::yield_now;

use super::get::current_thread;
use crate::figures::{Entrant, Kind, Measure};
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Bytes per idle connection.
struct Slots;

/// Bytes per task that waits, the task included.
struct Waiters(Setting);

impl Workload for Slots {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE || !C::WAITS {
            return None;
        }
        Some(Box::new(|_| {
            let [few, many] = SLOTS.map(|count| idle::<C>(count));
            (many - few) as f64 / (SLOTS[1] - SLOTS[0]) as f64 - CONNECTION
        }))
    }
}

/// Bytes of a pool whose `count` connections are idle.
fn idle<C: Contender>(count: usize) -> i64 {
    let runtime = current_thread();
    let mut pool = None;
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            let made = pool.insert(C::new(count, Setting::Tuned, &Server::default()));
            let mut held = Vec::new();
            for _ in 0..count {
                held.push(made.get().await);
            }
            drop(held);
            // Some give back in a task.
            for _ in 0..100 {
                yield_now().await;
            }
        });
    });
    info.bytes_current
}

impl Workload for Waiters {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE || !C::WAITS {
            return None;
        }
        Some(Box::new(|_| per_task(|count| waiting::<C>(count, self.0))))
    }
}

/// Bytes of `count` tasks that wait for a connection.
fn waiting<C: Contender>(count: usize, setting: Setting) -> i64 {
    let runtime = current_thread();
    let (pool, held) = runtime.block_on(async {
        let pool = C::new(1, setting, &Server::default());
        let held = pool.get().await;
        (pool, held)
    });
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..count {
                let pool = pool.clone();
                tokio::spawn(async move { drop(pool.get().await) });
            }
            all_polled(count).await;
        });
    });
    // Some spawn a task when a connection is dropped.
    runtime.block_on(async { drop(held) });
    info.bytes_current
}

/// Until every one of `count` tasks has been polled: the runtime runs only a few at a time before it
/// comes back to this one.
async fn all_polled(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Bytes of `count` tasks that wait for nothing.
fn bare(count: usize) -> i64 {
    let runtime = current_thread();
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..count {
                tokio::spawn(std::future::pending::<()>());
            }
            all_polled(count).await;
        });
    });
    info.bytes_current
}

fn per_task(bytes: impl Fn(usize) -> i64) -> f64 {
    let [few, many] = TASKS.map(bytes);
    (many - few) as f64 / (TASKS[1] - TASKS[0]) as f64
}

pub(crate) fn slots(session: &mut Session) -> Result<()> {
    let case = Case::new(
        "pool.slot-bytes",
        "an idle connection",
        "bytes beyond it",
        "B",
    );
    let figures = session.compare_rounds(&case, entrants(&Slots), 1);
    let ours = &figures.ours().rounds;
    session.judge(&case, "bytes", Bound::AtMost(96.0), ours, None);
    Ok(())
}

pub(crate) fn waiters(session: &mut Session) -> Result<()> {
    for (setting, bound) in [(Setting::Tuned, 330.0), (Setting::Equal, 400.0)] {
        let case = Case::new("pool.waiter-bytes", "a waiting task", "bytes", "B");
        let case = case.setting(setting.name());
        let workload = Waiters(setting);
        let mut all = entrants(&workload);
        all.push(Entrant {
            name: "a bare task",
            kind: Kind::Floor,
            measure: Box::new(|_| per_task(bare)),
        });
        let figures = session.compare_rounds(&case, all, 1);
        let ours = &figures.ours().rounds;
        session.judge(&case, "bytes", Bound::AtMost(bound), ours, None);
    }
    Ok(())
}

/// Powers of two, so that no vector has room to spare.
const SLOTS: [usize; 2] = [128, 1024];
const TASKS: [usize; 2] = [1024, 8192];
const CONNECTION: f64 = 8.0;
