//! What one user leaves behind does not reach the next, and a clean return costs nothing.

use pool_postgres::tokio_postgres::Client;
use pool_postgres::{Config, Reset};

use crate::support::{builder, on_both, until_quiet};

/// Ways to begin a transaction without the driver's help.
const BEGINNINGS: [&str; 3] = ["BEGIN", "START TRANSACTION", "SELECT 1; BEGIN; SELECT 2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_rolled_back_and_a_clean_return_sends_nothing() {
    on_both(
        |cluster| cluster.setting("log_statement", "all"),
        async |server| {
            let pool = server.pool(1);
            let connection = pool.get().await.unwrap();
            connection
                .batch_execute("CREATE TABLE t (n int)")
                .await
                .unwrap();
            drop(connection);
            until_quiet(&pool).await;
            let before = server.logged("LOG:  statement:").await;
            for _ in 0..50 {
                let connection = pool.get().await.unwrap();
                connection.batch_execute("SELECT 'mine'").await.unwrap();
            }
            until_quiet(&pool).await;
            // One of the others is the count's own.
            let mine = server.logged("statement: SELECT 'mine'").await;
            let all = server.logged("LOG:  statement:").await;
            assert_eq!((mine, all - before), (50, 50));
            assert_eq!(server.logged("statement: ROLLBACK").await, 0);

            for (turn, begin) in BEGINNINGS.into_iter().enumerate() {
                let connection = pool.get().await.unwrap();
                // Past every call of ours: the driver's own client.
                let client: &Client = &connection;
                client.batch_execute(begin).await.unwrap();
                connection
                    .execute("INSERT INTO t VALUES (1)", &[])
                    .await
                    .unwrap();
                drop(connection);
                until_quiet(&pool).await;
                assert_eq!(server.busy().await, "0", "{begin}");
                assert_eq!(server.logged("statement: ROLLBACK").await, turn + 1);
            }
            let connection = pool.get().await.unwrap();
            let row = connection
                .query_one("SELECT count(*) FROM t", &[])
                .await
                .unwrap();
            assert_eq!(row.get::<_, i64>(0), 0);
            assert_eq!(pool.statistics().closed(), 0);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_transaction_is_rolled_back() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(1);
            let connection = pool.get().await.unwrap();
            assert!(
                connection
                    .batch_execute("BEGIN; SELECT 1 / 0")
                    .await
                    .is_err()
            );
            drop(connection);
            let connection = pool.get().await.unwrap();
            connection.batch_execute("SELECT 1").await.unwrap();
            assert_eq!(server.logins().await, 1);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discarding_leaves_the_session_as_new_but_for_statements() {
    on_both(
        |cluster| cluster,
        async |server| {
            let config = server
                .config()
                .reset(Reset::Discard)
                .application_name("new");
            let pool = builder(config).max_size(1).build().unwrap();
            let connection = pool.get().await.unwrap();
            let sql = "SELECT $1::int8";
            connection.prepare_cached(sql).await.unwrap();
            connection
                .batch_execute(
                    "SET application_name = 'used'; LISTEN news; CREATE TEMP TABLE mine (n int); \
                     SELECT pg_advisory_lock(7); PREPARE theirs AS SELECT 1",
                )
                .await
                .unwrap();
            drop(connection);
            let connection = pool.get().await.unwrap();
            let row = connection
                .query_one(
                    "SELECT current_setting('application_name') = 'new' \
                         AND NOT EXISTS (SELECT FROM pg_listening_channels()) \
                         AND to_regclass('mine') IS NULL",
                    &[],
                )
                .await
                .unwrap();
            assert!(row.get::<_, bool>(0));
            let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
            assert_eq!(server.sql(locks).await, "0");
            assert_eq!(connection.cached_statements(), 1);
            let statement = connection.prepare_cached(sql).await.unwrap();
            let row = connection.query_one(&statement, &[&5_i64]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 5);
            assert_eq!((pool.statistics().closed(), server.logins().await), (0, 1));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_reset_a_transaction_stays_and_a_dropped_statement_is_cancelled() {
    on_both(
        |cluster| cluster,
        async |server| {
            let config: Config = server.config().reset(Reset::None);
            let pool = builder(config).max_size(1).build().unwrap();
            let connection = pool.get().await.unwrap();
            let begin = "BEGIN; CREATE TABLE t (n int)";
            connection.batch_execute(begin).await.unwrap();
            drop(connection);
            let connection = pool.get().await.unwrap();
            connection.batch_execute("TABLE t; COMMIT").await.unwrap();
            crate::support::polled(connection.query("SELECT pg_sleep(3600)", &[]), 3).await;
            drop(connection);
            let connection = pool.get().await.unwrap();
            connection.batch_execute("TABLE t").await.unwrap();
            assert_eq!((pool.statistics().closed(), server.logins().await), (0, 1));
        },
    )
    .await;
}
