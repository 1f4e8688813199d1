//! Runtimes, pools and guards that end in any order.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures_util::future::join_all;
use pool_core::ErrorKind;
use pool_postgres::{Config, PgManager, Pool, Pooled};
use tokio::runtime::{Builder, Runtime};

use crate::finding::Finding;
use crate::rig::Rig;
use crate::server::Server;

/// Each order in which a pool, its guard and its runtime can end, on both kinds of runtime.
pub(crate) async fn any_order(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "runtimes").await?;
    let (mut calm, mut sessions) = (0, 0);
    for threads in [0, 2] {
        for order in ORDERS {
            let config = rig.config()?;
            calm += u64::from(ends_well(move || end_in_order(config, threads, order)).await);
            let _ = server.until_sessions(&rig.name, 0).await;
            sessions += rig.sessions().await?;
        }
    }
    let config = rig.config()?;
    let twice = ends_well(move || two_lives(config)).await;
    let waiters = told_closed(&rig).await?;
    Ok(vec![
        Finding::new(
            "runtime",
            "pool, guard and runtime end in each of 6 orders, on 2 kinds of runtime, in peace",
            format!("{calm} of 12, {sessions} sessions left"),
            calm == 12 && sessions == 0,
        ),
        Finding::new(
            "runtime",
            "a pool outlives its runtime and serves on the next",
            if twice { "served" } else { "failed" },
            twice,
        ),
        Finding::new(
            "runtime",
            "20 waiters get `Closed`",
            waiters.to_string(),
            waiters == 20,
        ),
    ])
}

/// Runs on a thread outside of any runtime; a panic there is no end in peace.
async fn ends_well(act: impl FnOnce() -> Result<()> + Send + 'static) -> bool {
    let (done, ended) = tokio::sync::oneshot::channel();
    let thread = thread::spawn(move || {
        let result = act();
        // Nobody listens only when the experiment was given up.
        let _ = done.send(());
        result
    });
    // An error is the panic, which joining tells too.
    let _ = ended.await;
    matches!(thread.join(), Ok(Ok(())))
}

fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder
        .worker_threads(threads.max(1))
        .enable_all()
        .build()?)
}

fn end_in_order(config: Config, threads: usize, order: [What; 3]) -> Result<()> {
    let home = runtime(threads)?;
    let pool = Pool::builder(PgManager::new(config)?).max_size(3).build()?;
    let guard = home.block_on(async {
        let others = (pool.get().await, pool.get().await);
        let guard = pool.get().await.map_err(|error| anyhow!("{error}"))?;
        drop(others);
        guard.batch_execute("BEGIN").await?;
        anyhow::Ok(guard)
    })?;
    let (mut home, mut pool, mut guard) = (Some(home), Some(pool), Some(guard));
    for what in order {
        match what {
            What::Runtime => drop(home.take()),
            What::Pool => drop::<Option<Pool>>(pool.take()),
            What::Guard => drop::<Option<Pooled>>(guard.take()),
        }
    }
    Ok(())
}

/// The same pool on a second runtime, after the first has ended with a guard out.
fn two_lives(config: Config) -> Result<()> {
    let pool = Pool::builder(PgManager::new(config)?).max_size(2).build()?;
    let first = runtime(2)?;
    let guard = first
        .block_on(pool.get())
        .map_err(|error| anyhow!("{error}"))?;
    drop(first);
    drop(guard);
    runtime(2)?.block_on(async {
        for _ in 0..4 {
            let lent = (pool.get().await, pool.get().await);
            let (Ok(one), Ok(two)) = lent else {
                return Err(anyhow!("a connection of the dead runtime was not replaced"));
            };
            one.batch_execute("SELECT 1").await?;
            two.batch_execute("SELECT 1").await?;
        }
        pool.close(Duration::from_secs(1)).await;
        Ok(())
    })
}

async fn told_closed(rig: &Rig) -> Result<usize> {
    let pool = rig.pool(1).await?;
    let held = pool.get().await?;
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.err().map(|error| error.kind()) })
        })
        .collect();
    while pool.state().waiting < 20 {
        tokio::task::yield_now().await;
    }
    let close = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close(Duration::from_secs(5)).await }
    });
    let told = join_all(waiters).await;
    drop(held);
    close.await?;
    let closed = |told: &&Result<Option<ErrorKind>, _>| matches!(told, Ok(Some(ErrorKind::Closed)));
    Ok(told.iter().filter(closed).count())
}

#[derive(Debug, Clone, Copy)]
enum What {
    Pool,
    Guard,
    Runtime,
}

const ORDERS: [[What; 3]; 6] = {
    use What::{Guard, Pool, Runtime};
    [
        [Pool, Guard, Runtime],
        [Pool, Runtime, Guard],
        [Guard, Pool, Runtime],
        [Guard, Runtime, Pool],
        [Runtime, Pool, Guard],
        [Runtime, Guard, Pool],
    ]
};
