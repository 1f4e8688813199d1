//! Allocations per get and drop, and per wait.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use anyhow::Result;

use super::get::current_thread;
use crate::figures::Measure;
use crate::pool::{Contender, Server, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Allocations of one get + drop of an idle connection.
struct Direct;

/// Allocations of one wait, in a queue that has been as long before.
struct Wait;

impl Workload for Direct {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        Some(Box::new(|_| {
            let runtime = current_thread();
            let pool = runtime.block_on(async {
                let pool = C::new(8, Setting::Tuned, &Server::default());
                drop(pool.get().await);
                pool
            });
            let count = allocation_counter::measure(|| {
                runtime.block_on(async {
                    for _ in 0..TIMES {
                        drop(pool.get().await);
                    }
                });
            });
            count.count_total as f64 / TIMES as f64
        }))
    }
}

impl Workload for Wait {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        if C::BLOCKS || C::WHOLE || !C::WAITS {
            return None;
        }
        Some(Box::new(|_| {
            current_thread().block_on(async {
                let pool = C::new(1, Setting::Tuned, &Server::default());
                let held = pool.get().await;
                wait(&pool);
                let count = wait(&pool);
                drop(held);
                count as f64 / WAITERS as f64
            })
        }))
    }
}

/// So many callers wait and leave; gives what their waiting allocated, the callers excepted.
fn wait<C: Contender>(pool: &C) -> u64 {
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiters: Vec<_> = (0..WAITERS).map(|_| Box::pin(pool.get())).collect();
    let count = allocation_counter::measure(|| {
        for waiter in &mut waiters {
            assert!(
                matches!(pin!(waiter).poll(&mut cx), Poll::Pending),
                "it is lent"
            );
        }
    });
    count.count_total
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let case = Case::new("pool.allocations", "get + drop", "allocations", "");
    let figures = session.compare_rounds(&case, entrants(&Direct), 1);
    let ours = &figures.ours().rounds;
    session.judge(&case, "allocations", Bound::AtMost(0.0), ours, None);
    let case = Case::new("pool.allocations", "a wait", "allocations", "");
    let figures = session.compare_rounds(&case, entrants(&Wait), 1);
    let ours = &figures.ours().rounds;
    session.judge(&case, "allocations", Bound::AtMost(0.0), ours, None);
    Ok(())
}

const TIMES: u64 = 1_000;
const WAITERS: usize = 100;
