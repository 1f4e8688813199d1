//! Prepared statements are kept, but not without bound.

use pool_postgres::{PgConnection, Pooler};

use crate::support::{builder, on_both};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_holds_no_more_statements_than_the_cache() {
    on_both(
        |cluster| cluster,
        async |server| {
            let config = server.config().statement_cache(3);
            let pool = builder(config.clone()).max_size(1).build().unwrap();
            let connection = pool.get().await.unwrap();
            for number in 0..10 {
                let sql = format!("SELECT {number}");
                let statement = connection.prepare_cached(&sql).await.unwrap();
                let row = connection.query_one(&statement, &[]).await.unwrap();
                assert_eq!(row.get::<_, i32>(0), number);
                connection.prepare_cached("SELECT 'often'").await.unwrap();
            }
            assert_eq!(connection.cached_statements(), 3);
            assert_eq!(
                held(&connection).await,
                ["SELECT 'often'", "SELECT 8", "SELECT 9"]
            );
            drop(connection);
            let connection = pool.get().await.unwrap();
            assert_eq!(held(&connection).await.len(), 3);
            connection.forget_statements();
            assert_eq!(held(&connection).await.len(), 0);

            let pool = builder(config.pooler(Pooler::Transaction)).build().unwrap();
            let connection = pool.get().await.unwrap();
            connection.prepare_cached("SELECT 1").await.unwrap();
            assert_eq!(
                (
                    connection.cached_statements(),
                    held(&connection).await.len()
                ),
                (0, 0)
            );
        },
    )
    .await;
}

/// The statements that the server has prepared for this session, in order.
async fn held(connection: &PgConnection) -> Vec<String> {
    let sql = "SELECT statement FROM pg_prepared_statements ORDER BY 1";
    let rows = connection.query_typed(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
