//! A server that ends idle sessions.

use pool_core::CloseReason;

use crate::support::on_both;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_has_ended_cost_no_caller_an_error() {
    on_both(
        |cluster| cluster.setting("idle_session_timeout", "1s"),
        async |server| {
            let pool = server.pool(5);
            for round in 1..=2 {
                let held = [(); 5].map(|()| pool.get());
                let mut lent = Vec::new();
                for get in held {
                    let connection = get.await.unwrap();
                    connection.batch_execute("SELECT 1").await.unwrap();
                    lent.push(connection);
                }
                drop(lent);
                server.until_backends(0).await;
                assert!(server.logged("due to idle-session timeout").await >= 5 * round);
            }
            let connection = pool.get().await.unwrap();
            connection.batch_execute("SELECT 1").await.unwrap();
            let statistics = pool.statistics();
            assert!(statistics.closed_for(CloseReason::Broken) > 0);
            assert_eq!(statistics.created, server.logins().await);
        },
    )
    .await;
}
