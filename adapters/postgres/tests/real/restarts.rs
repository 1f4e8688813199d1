//! A server that goes away and comes back.

use pool_core::ErrorClass;
use pool_postgres::classify;
use testkit::postgres::Shutdown;

use crate::support::{on_both, until_quiet};

const TASKS: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_costs_each_caller_at_most_one_failure() {
    on_both(
        |cluster| cluster,
        async |server| {
            for how in [Shutdown::Fast, Shutdown::Immediate] {
                let pool = server.pool(6);
                let (stop, stopped) = tokio::sync::watch::channel(false);
                let tasks = (0..TASKS).map(|_| {
                    let (pool, stopped) = (pool.clone(), stopped.clone());
                    tokio::spawn(async move {
                        let (mut failures, mut after) = (0_u64, 0);
                        // Three more answers after the server is back.
                        while after < 3 {
                            after += u64::from(*stopped.borrow());
                            let connection = pool.get().await.unwrap();
                            if let Err(error) = connection.batch_execute("SELECT 1").await {
                                assert_eq!(classify(&error), ErrorClass::Broken, "{error:?}");
                                failures += 1;
                            }
                        }
                        failures
                    })
                });
                let tasks: Vec<_> = tasks.collect();
                server.ask(move |cluster| cluster.restart(how)).await;
                stop.send(true).unwrap();
                let mut failures = 0;
                for task in tasks {
                    let own = task.await.unwrap();
                    assert!(own <= 1, "{own} failures of one caller");
                    failures += own;
                }
                // Only who held a connection can have seen it.
                assert!(failures <= 6, "{failures} failures");
                until_quiet(&pool).await;
                assert_eq!(pool.state().size, server.backends().await);
                drop(pool);
                server.until_backends(0).await;
            }
        },
    )
    .await;
}
