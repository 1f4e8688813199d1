//! COPY, whose exchange is unlike any other.

use std::pin::pin;

use futures_util::SinkExt;
use pool_core::CloseReason;
use pool_postgres::PgConnection;
use pool_postgres::tokio_postgres::{Client, CopyInSink, Error};

use crate::support::{on_both, polled, until_quiet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_finished_or_left_is_over_when_the_connection_is_lent_again() {
    on_both(
        |cluster| cluster.setting("log_statement", "all"),
        async |server| {
            let pool = server.pool(1);
            let connection = pool.get().await.unwrap();
            connection
                .batch_execute("CREATE TABLE t (n int)")
                .await
                .unwrap();
            assert_eq!(copy(&connection, "t", "1\n2\n").await.unwrap(), 2);
            assert!(copy(&connection, "t", "not a number\n").await.is_err());
            assert!(copy(&connection, "nowhere", "1\n").await.is_err());
            drop(connection);
            until_quiet(&pool).await;
            for polls in 1..60_i32 {
                let connection = pool.get().await.unwrap();
                polled(
                    copy(&connection, "t", "3\n"),
                    usize::try_from(polls).unwrap(),
                )
                .await;
                drop(connection);
                // The next reply belongs to the next request, whatever became of the COPY.
                let connection = pool.get().await.unwrap();
                let row = connection
                    .query_one("SELECT $1::int4", &[&polls])
                    .await
                    .unwrap();
                assert_eq!(row.get::<_, i32>(0), polls);
            }
            for _ in 0..3 {
                let connection = pool.get().await.unwrap();
                assert_eq!(copy(&connection, "t", "4\n").await.unwrap(), 1);
            }
            // Nothing is thought to be pending any more: the next return is free.
            until_quiet(&pool).await;
            let before = server.logged("LOG:  statement:").await;
            for _ in 0..5 {
                pool.get()
                    .await
                    .unwrap()
                    .batch_execute("SELECT 1")
                    .await
                    .unwrap();
            }
            until_quiet(&pool).await;
            assert_eq!(server.logged("LOG:  statement:").await - before, 5);
            let fours = server.sql("SELECT count(*) FROM t WHERE n = 4").await;
            assert_eq!(fours, "3");
            assert_eq!(server.logins().await, pool.statistics().created);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_refused_before_its_data_gives_nobody_a_wrong_reply() {
    on_both(
        |cluster| cluster,
        async |server| {
            server.sql("CREATE TABLE theirs (n int)").await;
            let pool = server.pool(1);
            for id in 0..10 {
                let connection = pool.get().await.unwrap();
                let refused = copy(&connection, "theirs", "1\n").await.unwrap_err();
                assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
                drop(connection);
                let connection = pool.get().await.unwrap();
                let row = connection
                    .query_one("SELECT $1::int4", &[&id])
                    .await
                    .unwrap();
                assert_eq!(row.get::<_, i32>(0), id);
            }
            let statistics = pool.statistics();
            assert_eq!(statistics.closed_for(CloseReason::Broken), 10);
            assert_eq!(server.logins().await, statistics.created);
        },
    )
    .await;
}

/// The driver sends a Sync too many after such a COPY (0.7.18); requests behind it would get the
/// replies of those before them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_behind_a_refused_copy_get_their_own_reply_or_none() {
    on_both(
        |cluster| cluster,
        async |server| {
            server.sql("CREATE TABLE theirs (n int)").await;
            let pool = server.pool(1);
            for _ in 0..20 {
                let connection = pool.get().await.unwrap();
                let client: &Client = &connection;
                let into = client.prepare("COPY theirs FROM STDIN").await.unwrap();
                let echo = client.prepare("SELECT $1::int4").await.unwrap();
                let refused = async {
                    client
                        .copy_in(&into)
                        .await
                        .map(|sink: CopyInSink<&[u8]>| drop(sink))
                        .err()
                };
                let ask = async |id: i32| client.query_one(&echo, &[&id]).await;
                let (refused, one, two, three) = tokio::join!(refused, ask(1), ask(2), ask(3));
                assert!(refused.is_some());
                for (id, reply) in [(1, one), (2, two), (3, three)] {
                    assert!(reply.is_err() || reply.is_ok_and(|row| row.get::<_, i32>(0) == id));
                }
            }
        },
    )
    .await;
}

async fn copy(connection: &PgConnection, table: &str, rows: &'static str) -> Result<u64, Error> {
    let sink = connection
        .copy_in(&format!("COPY {table} FROM STDIN"))
        .await?;
    let mut sink = pin!(sink);
    sink.send(rows.as_bytes()).await?;
    sink.finish().await
}
