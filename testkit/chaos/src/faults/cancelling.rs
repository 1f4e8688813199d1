//! Callers who leave.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures_util::future::{join_all, try_join_all};
use pool_postgres::{PgConnection, Pool};
use testkit::proxy::{Direction, Fault};

use crate::crowd::answer;
use crate::finding::Finding;
use crate::rig::{Rig, fill, quiet};
use crate::server::Server;

/// Three operations in ten are dropped midway.
pub(crate) async fn midway(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "midway").await?;
    let pool = rig.builder()?.max_size(SIZE).build()?;
    let tasks = (0..TASKS).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut wrong = 0_u64;
            for turn in 0..TURNS {
                let id = task * TURNS + turn;
                if turn % 10 < 3 {
                    leave(&pool, id, task + turn).await?;
                } else {
                    let connection = pool.get().await?;
                    wrong += u64::from(answer(&connection, id, Duration::ZERO).await? != id);
                }
            }
            anyhow::Ok(wrong)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut wrong = 0;
    for task in tasks {
        wrong += task.await??;
    }
    quiet(&pool).await?;
    let statistics = pool.statistics();
    let (logins, busy) = (rig.logins().await?, server.busy(&rig.name).await?);
    let reconnects = logins.saturating_sub(SIZE as u64) + statistics.closed();
    rig.close(&pool).await?;
    Ok(vec![
        Finding::at_most("cancelled", "statements left running", busy, 0),
        Finding::at_most("bar-cancelled", "wrong replies", wrong, 0),
        Finding::at_most("bar-cancelled", "reconnects", reconnects, 0),
    ])
}

/// Begins what would take an hour, and leaves after some polls.
async fn leave(pool: &Pool, id: u64, way: u64) -> Result<()> {
    let polls = 1 + usize::try_from(way % 7)?;
    let hour = Duration::from_secs(3600);
    if way.is_multiple_of(2) {
        let connection = pool.get().await?;
        polled(answer(&connection, id, hour), polls).await;
    } else {
        let work = async |connection: &mut PgConnection| answer(connection, id, hour).await;
        polled(pool.run(work), 50 * polls).await;
    }
    Ok(())
}

/// Leaves an acquire, and a whole call, after every number of polls; then everything is there.
pub(crate) async fn at_each_poll(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "each-poll").await?;
    let late = Fault::Delay {
        latency: Duration::from_millis(3),
        jitter: Duration::from_millis(1),
    };
    let mut lost = 0;
    let mut left = 0;
    for polls in 0..POLLS {
        for ways in [0, 1] {
            let pool = rig.builder()?.max_size(2).build()?;
            rig.proxy.set(Direction::Down, late);
            let pool = &pool;
            let leavers = (0..3).map(|id| async move {
                let call = async {
                    let connection = pool.get().await.map_err(|error| anyhow!("{error}"))?;
                    answer(&connection, id, Duration::ZERO).await?;
                    anyhow::Ok(())
                };
                if ways == 0 {
                    polled(pool.get(), polls).await.is_none()
                } else {
                    polled(call, polls).await.is_none()
                }
            });
            left += join_all(leavers).await.iter().filter(|left| **left).count();
            rig.proxy.set(Direction::Down, Fault::Pass);
            fill(pool).await?;
            lost += u64::from(pool.audit_quiescent().is_err());
            lost += u64::from(rig.close(pool).await? != 0);
        }
    }
    Ok(vec![Finding::new(
        "cancelled",
        format!("after leaving at any of the first {POLLS} polls, all capacity is there"),
        format!("{left} left, {lost} losses"),
        lost == 0 && left > 0,
    )])
}

/// Callers leave while connections are being opened for them.
pub(crate) async fn while_connecting(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "leaving").await?;
    rig.proxy.set(
        Direction::Down,
        Fault::Delay {
            latency: Duration::from_millis(50),
            jitter: Duration::ZERO,
        },
    );
    let pool = rig.builder()?.max_size(4).build()?;
    for _ in 0..25 {
        // Each is gone long before a login has been answered.
        let impatient = (0..4).map(|_| pool.get_timeout(Duration::from_millis(5)));
        drop(join_all(impatient).await);
    }
    quiet(&pool).await?;
    drop(try_join_all((0..4).map(|_| pool.get())).await?);
    let (logins, closed) = (rig.logins().await?, pool.statistics().closed());
    rig.close(&pool).await?;
    Ok(vec![Finding::new(
        "cancelled",
        "connects in progress finish and go idle: no more logins than connections",
        format!("{logins} logins for 4 connections, {closed} discarded"),
        logins <= 4 && closed == 0,
    )])
}

/// Polls `future` so often, and gives it up if it is not done by then.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        // The future alone must not decide when it is given up.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

const SIZE: usize = 8;
const TASKS: u64 = 24;
const TURNS: u64 = 40;
const POLLS: usize = 12;
