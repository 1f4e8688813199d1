//! Operations dropped midway: no wrong reply, no reconnect, nothing left running.

use pool_postgres::tokio_postgres::Error;
use pool_postgres::{PgConnection, Pool, Pooled};

use crate::support::{on_both, polled, until_quiet};

const SIZE: usize = 8;
const TASKS: u64 = 24;
const TURNS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_in_ten_operations_dropped_midway_give_no_wrong_reply_and_no_reconnect() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(SIZE);
            let tasks = (0..TASKS).map(|task| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    for turn in 0..TURNS {
                        let id = i64::try_from(task * TURNS + turn).unwrap();
                        if turn % 10 < 3 {
                            leave(&pool, id, task + turn).await;
                        } else {
                            let connection = pool.get().await.unwrap();
                            assert_eq!(answer(&connection, id, 0.0).await.unwrap(), id);
                        }
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            until_quiet(&pool).await;
            let statistics = pool.statistics();
            assert_eq!(statistics.closed(), 0, "{statistics:?}");
            assert!(statistics.created <= SIZE as u64);
            assert_eq!(statistics.created, server.logins().await);
            assert_eq!(server.busy().await, "0");
        },
    )
    .await;
}

/// Begins what would take an hour, in one of the ways that there are, and leaves after some polls.
async fn leave(pool: &Pool, id: i64, way: u64) {
    let polls = 1 + usize::try_from(way % 7).unwrap();
    let mut connection = pool.get().await.unwrap();
    let left = match way % 4 {
        0 => polled(answer(&connection, id, 3600.0), polls)
            .await
            .is_none(),
        1 => polled(in_operation(&mut connection, id), polls)
            .await
            .is_none(),
        2 => polled(in_transaction(&mut connection, id), polls)
            .await
            .is_none(),
        _ => {
            drop(connection);
            let run = pool.run(async |connection| answer(connection, id, 3600.0).await);
            polled(run, 50 * polls).await.is_none()
        }
    };
    assert!(left, "it would take an hour");
}

async fn answer(connection: &PgConnection, id: i64, seconds: f64) -> Result<i64, Error> {
    let sql = "SELECT $1::int8 FROM pg_sleep($2)";
    let statement = connection.prepare_cached(sql).await?;
    let row = connection.query_one(&statement, &[&id, &seconds]).await?;
    Ok(row.get(0))
}

async fn in_operation(connection: &mut Pooled, id: i64) -> Result<i64, Error> {
    let scope = connection.operation();
    let answer = answer(&scope, id, 3600.0).await;
    scope.complete();
    answer
}

async fn in_transaction(connection: &mut Pooled, id: i64) -> Result<i64, Error> {
    let transaction = connection.transaction().await?;
    let sql = "SELECT $1::int8 FROM pg_sleep(3600)";
    Ok(transaction.query_one(sql, &[&id]).await?.get(0))
}
