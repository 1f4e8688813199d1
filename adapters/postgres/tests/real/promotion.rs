//! A primary that dies and a replica that takes its place.

use std::sync::Arc;

use pool_core::{CloseReason, ErrorClass};
use pool_postgres::{TargetSessionAttrs, classify};
use testkit::postgres::{Cluster, Shutdown};

use crate::support::{Server, builder, on_both, until_quiet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_wants_the_primary_follows_a_promotion() {
    on_both(
        |cluster| cluster,
        async |primary| {
            let replica = Server(Arc::new(primary.ask(Cluster::replica).await));
            // The replica comes first, and is passed over while it takes no writes.
            let config = replica
                .config()
                .host(primary.0.host(), primary.0.port())
                .target_session_attrs(TargetSessionAttrs::ReadWrite);
            let pool = builder(config).max_size(3).build().unwrap();
            let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
            one.batch_execute("CREATE TABLE t (n int)").await.unwrap();
            drop((one, two));
            assert_eq!((primary.backends().await, replica.backends().await), (2, 0));

            primary
                .ask(|cluster| cluster.stop(Shutdown::Immediate))
                .await;
            replica.ask(Cluster::promote).await;
            for _ in 0..6 {
                let connection = pool.get().await.unwrap();
                connection
                    .execute("INSERT INTO t VALUES (1)", &[])
                    .await
                    .unwrap();
            }
            assert_eq!(replica.sql("SELECT count(*) FROM t").await, "6");
            until_quiet(&pool).await;
            assert_eq!(replica.backends().await, pool.state().size);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_refused_by_a_replica_retires_the_connections_to_it() {
    on_both(
        |cluster| cluster,
        async |primary| {
            primary
                .sql("CREATE TABLE t (n int); GRANT ALL ON t TO app")
                .await;
            let replica = Server(Arc::new(primary.ask(Cluster::replica).await));
            let pool = replica.pool(3);
            let held = (pool.get().await.unwrap(), pool.get().await.unwrap());
            let (mut one, other) = held;
            drop(other);
            let error = one
                .execute("INSERT INTO t VALUES (1)", &[])
                .await
                .unwrap_err();
            assert_eq!(classify(&error), ErrorClass::WrongRole);
            replica.ask(Cluster::promote).await;
            one.report(classify(&error));
            drop(one);
            let connection = pool.get().await.unwrap();
            connection
                .execute("INSERT INTO t VALUES (1)", &[])
                .await
                .unwrap();
            replica.until_backends(1).await;
            let statistics = pool.statistics();
            assert_eq!(statistics.closed_for(CloseReason::Cleared), 1);
            assert_eq!(statistics.created, 3);
        },
    )
    .await;
}
