//! What is looked at each second: the pool's books, and the memory of this process.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Result;
use pool_postgres::Pool;
use tokio::task::JoinHandle;

use crate::faults::waiters::resident;
use crate::time::{self, Instant};

/// Audits a pool each second while it works.
#[derive(Debug)]
pub(super) struct Audit {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Audited>,
}

/// What the audits have found.
#[derive(Debug, Default)]
pub(super) struct Audited {
    pub(super) looks: u64,
    /// The first discrepancy that stayed.
    pub(super) wrong: Option<String>,
}

impl Audit {
    pub(super) fn start(pool: &Pool) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let task = tokio::spawn(audit(pool.clone(), stop.clone()));
        Self { stop, task }
    }

    pub(super) async fn stop(self) -> Audited {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap_or_else(|error| Audited {
            looks: 0,
            wrong: Some(error.to_string()),
        })
    }
}

async fn audit(pool: Pool, stop: Arc<AtomicBool>) -> Audited {
    let mut audited = Audited::default();
    while !stop.load(SeqCst) {
        audited.looks += 1;
        let state = pool.state();
        let parts = state.idle + state.leased + state.connecting + state.checking;
        let parts = parts + state.resetting + state.closing;
        if audited.wrong.is_none() && (parts != state.size || state.size > state.target) {
            audited.wrong = Some(format!("{state:?}"));
        }
        if let Some(wrong) = lasting(&pool).await {
            audited.wrong.get_or_insert(wrong);
        }
        time::pause(Duration::from_secs(1)).await;
    }
    audited
}

/// What is wrong with the books, look after look. The books are compared with slots that other
/// threads go on using, so a difference of one moment is none; one that stays is a leak.
async fn lasting(pool: &Pool) -> Option<String> {
    let mut wrong = None;
    for _ in 0..LOOKS {
        wrong = Some(pool.audit().err()?);
        time::pause(Duration::from_millis(3)).await;
    }
    wrong
}

/// Looks at the memory of this process each second.
#[derive(Debug)]
pub(super) struct Vitals {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<(f64, f64)>>,
}

impl Vitals {
    pub(super) fn start() -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (begun, mut looks) = (Instant::now(), Vec::new());
            while !stopped.load(SeqCst) {
                if let Ok(bytes) = resident() {
                    let minutes = begun.elapsed().as_secs_f64() / 60.0;
                    looks.push((minutes, bytes as f64 / f64::from(1 << 20)));
                }
                time::pause(Duration::from_secs(1)).await;
            }
            looks
        });
        Self { stop, task }
    }

    /// By how many MiB it grew in a minute.
    pub(super) async fn stop(self) -> Option<f64> {
        self.stop.store(true, SeqCst);
        slope(&self.task.await.ok()?)
    }
}

/// From the median of the first third to that of the last: a peak during a fault is no trend.
fn slope(looks: &[(f64, f64)]) -> Option<f64> {
    let third = looks.len() / 3;
    let middle = |looks: &[(f64, f64)]| {
        let mut values: Vec<_> = looks.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        Some((
            looks.get(looks.len() / 2)?.0,
            *values.get(values.len() / 2)?,
        ))
    };
    let (first, last) = (
        middle(&looks[..third])?,
        middle(&looks[looks.len() - third..])?,
    );
    Some((last.1 - first.1) / (last.0 - first.0))
}

/// The files and sockets that this process has open.
pub(super) fn descriptors() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

const LOOKS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_has_a_slope_and_a_peak_has_none() {
        let looks = |value: fn(f64) -> f64| {
            let minutes = (0..120).map(|second| f64::from(second) / 60.0);
            slope(&minutes.map(|at| (at, value(at))).collect::<Vec<_>>()).unwrap()
        };
        assert!((looks(|at| 10.0 + 3.0 * at) - 3.0).abs() < 0.01);
        let peak = |at: f64| if (at - 1.0).abs() < 0.2 { 90.0 } else { 10.0 };
        assert_eq!(looks(peak), 0.0);
        assert_eq!(slope(&[]), None);
    }
}
