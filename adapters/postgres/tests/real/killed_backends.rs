//! A backend killed in the middle of a statement.

use pool_core::ErrorClass;
use pool_postgres::classify;
use testkit::postgres::Cluster;

use crate::support::{on_both, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backend_fails_its_own_statement_and_is_never_lent_again() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(4);
            let running = (0..2).map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let connection = pool.get().await.unwrap();
                    connection
                        .query("SELECT pg_sleep(3600)", &[])
                        .await
                        .unwrap_err()
                })
            });
            let running: Vec<_> = running.collect();
            // Two more are idle.
            server.until_busy("2").await;
            let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
            drop((one, two));
            assert_eq!(server.backends().await, 4);

            assert_eq!(server.ask(Cluster::terminate_backends).await, 4);
            for killed in running {
                let error = killed.await.unwrap();
                assert_eq!(error.code().map(|code| code.code()), Some("57P01"));
                assert_eq!(classify(&error), ErrorClass::Broken);
            }
            server.until_backends(0).await;
            // Not one of the dead reaches a caller, and none is validated to find out.
            for _ in 0..8 {
                let connection = pool.get().await.unwrap();
                connection.query_one("SELECT 1", &[]).await.unwrap();
            }
            until(|| pool.statistics().closed() == 4).await;
            assert_eq!(server.logins().await, pool.statistics().created);
        },
    )
    .await;
}

/// The thread does not yield between the kill and the acquire, so the driver cannot know yet.
#[tokio::test]
async fn a_session_that_has_ended_is_not_lent_though_its_driver_has_not_noticed() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(1);
            let killed = pool.get().await.unwrap().info().id;
            assert_eq!(server.0.terminate_backends().unwrap(), 1);
            while server.0.backends().unwrap() > 0 {}
            let connection = pool.get().await.unwrap();
            assert_ne!(connection.info().id, killed);
            connection.query_one("SELECT 1", &[]).await.unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_says_why_it_ended() {
    on_both(
        |cluster| cluster,
        async |server| {
            let pool = server.pool(1);
            let connection = pool.get().await.unwrap();
            assert!(connection.ended().is_none());
            server.ask(Cluster::terminate_backends).await;
            until(|| connection.ended().is_some()).await;
            let code = connection.ended().and_then(|error| error.code());
            assert_eq!(code.map(|code| code.code()), Some("57P01"));
        },
    )
    .await;
}
