//! Callers that go on querying for a time.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::{now, since};
use crate::pool::Failed;
use crate::postgres::{Contender, POINTS};

/// What a crowd of callers saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Answers in a second.
    pub(super) throughput: f64,
    /// Seconds that each answer took, sorted.
    pub(super) waits: Vec<f64>,
    /// Callers without one answer.
    pub(super) unserved: usize,
    pub(super) errors: usize,
    /// Callers with at least one error.
    pub(super) hurt: usize,
    /// Answers to another's question.
    pub(super) wrong: usize,
}

/// So many callers query for so long.
pub(super) async fn crowd<C: Contender>(
    pool: &C,
    sql: &'static str,
    callers: usize,
    span: Duration,
) -> Seen {
    let start = now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut own = Seen::default();
            let mut id = i32::try_from(caller).unwrap_or_default() % POINTS;
            while since(start) < span.as_secs_f64() {
                id = (id * 31 + 7) % POINTS;
                let asked = now();
                match pool.query(sql, id).await {
                    Ok(answer) => {
                        own.waits.push(since(asked));
                        own.wrong += usize::from(answer != id);
                    }
                    Err(failed) => own.on_error(failed).await,
                }
            }
            own
        });
    }
    let mut all = Seen::default();
    while let Some(own) = tasks.join_next().await {
        all.add(own.expect("no task panics"));
    }
    all.throughput = all.waits.len() as f64 / since(start);
    all.waits.sort_by(f64::total_cmp);
    all
}

impl Seen {
    /// A caller that was refused comes back after a moment, as callers do.
    async fn on_error(&mut self, _: Failed) {
        self.errors += 1;
        #[expect(clippy::disallowed_methods, reason = "so long do callers wait")]
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    fn add(&mut self, own: Self) {
        self.unserved += usize::from(own.waits.is_empty());
        self.hurt += usize::from(own.errors > 0);
        self.errors += own.errors;
        self.wrong += own.wrong;
        self.waits.extend(own.waits);
    }
}
