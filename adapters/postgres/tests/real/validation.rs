//! The check of a connection.

use pool_core::{Check, CloseReason};

use crate::support::{builder, on_both, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_reads_and_cannot_write() {
    on_both(
        |cluster| cluster,
        async |server| {
            server
                .sql(
                    "CREATE TABLE t (n int); GRANT ALL ON t TO app; \
                     CREATE FUNCTION sneak() RETURNS int LANGUAGE sql \
                     AS 'INSERT INTO t VALUES (1) RETURNING n'",
                )
                .await;
            for (query, valid) in [
                (None, true),
                (Some("SELECT count(*) FROM t; -- fine"), true),
                (Some("SELECT sneak()"), false),
                (Some("SELECT nothing FROM nowhere"), false),
            ] {
                let mut config = server.config();
                config.validation_query = query.map(Into::into);
                let pool = builder(config)
                    .max_size(1)
                    .check(Check::Always)
                    .build()
                    .unwrap();
                for _ in 0..3 {
                    let connection = pool.get().await.unwrap();
                    connection.batch_execute("SELECT 1").await.unwrap();
                }
                let refused = pool.statistics().closed_for(CloseReason::Invalid);
                assert_eq!(refused, if valid { 0 } else { 2 }, "{query:?}");
                assert_eq!(server.sql("SELECT count(*) FROM t").await, "0");
                drop(pool);
                server.until_backends(0).await;
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_finds_a_connection_that_has_died_in_silence() {
    on_both(
        |cluster| cluster,
        async |server| {
            let proxy = testkit::proxy::Proxy::start(
                format!("127.0.0.1:{}", server.0.port()).parse().unwrap(),
                7,
            )
            .await
            .unwrap();
            let config = server.config().port(proxy.address().port());
            let limit = std::time::Duration::from_millis(200);
            let pool = builder(config).max_size(1).check(Check::Always);
            let pool = pool.validate_timeout(limit).build().unwrap();
            pool.get()
                .await
                .unwrap()
                .batch_execute("SELECT 1")
                .await
                .unwrap();
            proxy.set(
                testkit::proxy::Direction::Down,
                testkit::proxy::Fault::BlackHole,
            );
            let waiter = tokio::spawn({
                let pool = pool.clone();
                async move { pool.get().await }
            });
            until(|| pool.statistics().closed_for(CloseReason::Invalid) == 1).await;
            proxy.heal().await.unwrap();
            let connection = waiter.await.unwrap().unwrap();
            connection.batch_execute("SELECT 1").await.unwrap();
        },
    )
    .await;
}
