//! A pool that may be larger than the server.

use pool_core::ErrorClass;

use crate::support::{on_both, until_quiet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_larger_than_the_server_costs_no_caller_an_error() {
    on_both(
        |cluster| cluster.max_connections(8),
        async |server| {
            let slots = server.ask(|cluster| cluster.client_slots()).await;
            let pool = server.pool(2 * slots);
            let tasks = (0..40).map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let connection = pool.get().await.unwrap();
                        connection
                            .batch_execute("SELECT pg_sleep(0.005)")
                            .await
                            .unwrap();
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            until_quiet(&pool).await;
            let statistics = pool.statistics();
            assert_eq!((statistics.acquired(), statistics.closed()), (400, 0));
            assert!(statistics.connect_errors > 0, "the server was never full");
            assert_eq!(pool.state().size, server.backends().await);
            assert!(pool.state().size <= slots);

            // What a caller would see who cannot wait.
            let held: Vec<_> = {
                let mut held = Vec::new();
                while let Some(connection) = pool.try_get() {
                    held.push(connection);
                }
                held
            };
            let alone = server.pool(1);
            let limit = std::time::Duration::from_millis(300);
            if held.len() == slots {
                let error = alone.get_timeout(limit).await.unwrap_err();
                assert_eq!(error.connect_error_class(), Some(ErrorClass::Overload));
            }
        },
    )
    .await;
}
