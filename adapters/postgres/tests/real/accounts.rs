//! The pool's own count and the server's are the same.

use std::time::Duration;

use crate::support::{on_both, until_quiet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_counts_what_the_server_counts() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(6);
            let tasks = (0..24_i64).map(|task| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    for turn in 0..20 {
                        let sent = task * 100 + turn;
                        let connection = pool.get().await.unwrap();
                        let sql = "SELECT $1::int8";
                        let row = connection.query_one(sql, &[&sent]).await.unwrap();
                        assert_eq!(row.get::<_, i64>(0), sent);
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            until_quiet(&pool).await;
            let (state, statistics) = (pool.state(), pool.statistics());
            assert_eq!(statistics.acquired(), 480);
            assert_eq!((statistics.closed(), statistics.connect_errors), (0, 0));
            assert_eq!(statistics.created, server.logins().await);
            assert_eq!(state.size, server.backends().await);
            let report = pool.close(Duration::from_secs(5)).await;
            assert!(report.is_clean());
            server.until_backends(0).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_ends_what_still_runs_at_the_server() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(2);
            let mut connection = pool.get().await.unwrap();
            let scope = connection.operation();
            let sleep = scope.query("SELECT pg_sleep(3600)", &[]);
            let asleep = server.until_busy("1");
            tokio::select! {
                _ = sleep => unreachable!("it sleeps for an hour"),
                () = asleep => {}
            }
            drop(scope);
            connection.invalidate();
            drop(connection);
            assert!(pool.close(Duration::from_secs(5)).await.is_clean());
            server.until_backends(0).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_cut_by_the_close_ends_at_the_server_too() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(1);
            let connection = pool.get().await.unwrap();
            let user = tokio::spawn(async move {
                let cut = connection.query("SELECT pg_sleep(3600)", &[]).await;
                cut.unwrap_err()
            });
            server.until_busy("1").await;
            let report = pool.close(Duration::from_millis(100)).await;
            assert_eq!(report.aborted, 1);
            assert!(user.await.unwrap().is_closed());
            // Whether its user noticed in time is up to the machine; the report says so.
            if report.is_clean() {
                server.until_backends(0).await;
            }
        },
    )
    .await;
}
