//! A postmaster that accepts and says nothing.

use std::time::Duration;

use pool_core::{ErrorKind, Stage};
use testkit::postgres::Cluster;

use crate::support::{on_both, until, until_quiet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_postmaster_hangs_connects_alone_and_leaves_no_session() {
    on_both(
        |cluster| cluster,
        async |server| {
            let limit = Duration::from_millis(300);
            let pool = server
                .builder()
                .max_size(3)
                .connect_timeout(limit)
                .build()
                .unwrap();
            let first = pool.get().await.unwrap();
            drop(first);
            server.ask(Cluster::sigstop).await;
            // The session that exists is lent and works.
            let held = pool.get().await.unwrap();
            held.batch_execute("SELECT 1").await.unwrap();
            let error = pool.get_timeout(4 * limit).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect), "{error}");
            assert!(pool.statistics().connect_timeouts >= 1);
            // One who waits meanwhile is served by who returns.
            let waiter = tokio::spawn({
                let pool = pool.clone();
                async move { pool.get().await.unwrap().batch_execute("SELECT 2").await }
            });
            until(|| pool.state().waiting == 1).await;
            drop(held);
            waiter.await.unwrap().unwrap();

            server.ask(Cluster::sigcont).await;
            let lent = (pool.get().await.unwrap(), pool.get().await.unwrap());
            lent.1.batch_execute("SELECT 3").await.unwrap();
            drop(lent);
            until_quiet(&pool).await;
            // Those that hung are gone, by the server's count as well.
            server.until_backends(pool.state().size).await;
        },
    )
    .await;
}
