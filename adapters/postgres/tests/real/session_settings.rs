//! What a session is told at login.

use std::time::Duration;

use pool_core::ErrorClass;
use pool_postgres::{Config, PgConnection, Pooler, Reset, classify};

use crate::support::{builder, on_both};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_reach_the_session_and_outlive_a_reset() {
    on_both(
        |cluster| cluster,
        async |server| {
            let base = server
                .config()
                .application_name("it's me")
                .reset(Reset::Discard);
            let limited = base.statement_timeout(Duration::from_millis(1500));
            let direct = limited.clone().options("-c lock_timeout=7s");
            let session = limited.pooler(Pooler::Session);
            for (config, lock_timeout) in [(direct, "7s"), (session, "0")] {
                let pool = builder(config).max_size(1).build().unwrap();
                for _ in 0..2 {
                    let connection = pool.get().await.unwrap();
                    assert_eq!(show(&connection, "application_name").await, "it's me");
                    assert_eq!(show(&connection, "statement_timeout").await, "1500ms");
                    assert_eq!(show(&connection, "lock_timeout").await, lock_timeout);
                    let used = "SET statement_timeout = 1; SET application_name = 'other'";
                    connection.batch_execute(used).await.unwrap();
                }
                assert_eq!(pool.statistics().created, 1);
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_above_its_limit_is_the_callers_error_and_keeps_the_connection() {
    on_both(
        |cluster| cluster,
        async |server| {
            let config = server.config().statement_timeout(Duration::from_millis(50));
            let pool = builder(config).max_size(1).build().unwrap();
            for _ in 0..2 {
                let connection = pool.get().await.unwrap();
                let error = connection
                    .query("SELECT pg_sleep(60)", &[])
                    .await
                    .unwrap_err();
                assert_eq!(error.code().map(|code| code.code()), Some("57014"));
                assert_eq!(classify(&error), ErrorClass::Caller);
            }
            assert_eq!(server.logins().await, 1);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_serves_and_cancels_too() {
    on_both(
        |cluster| cluster,
        async |server| {
            let folder = server.0.dir().to_str().unwrap();
            let config = Config::new(folder, server.0.user())
                .port(server.0.port())
                .database(server.0.database());
            let pool = builder(config).max_size(1).build().unwrap();
            let connection = pool.get().await.unwrap();
            assert_eq!(show(&connection, "application_name").await, "");
            crate::support::polled(connection.query("SELECT pg_sleep(3600)", &[]), 5).await;
            drop(connection);
            pool.get()
                .await
                .unwrap()
                .batch_execute("SELECT 1")
                .await
                .unwrap();
            assert_eq!(pool.statistics().created, 1);
            let remote = "SELECT count(*) FROM pg_stat_activity \
                WHERE usename = 'app' AND client_addr IS NOT NULL";
            assert_eq!(server.sql(remote).await, "0");
        },
    )
    .await;
}

async fn show(connection: &PgConnection, setting: &str) -> String {
    let sql = "SELECT current_setting($1)";
    connection.query_one(sql, &[&setting]).await.unwrap().get(0)
}
