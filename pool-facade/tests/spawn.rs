//! `Pool::run` compiles and works wherever such a future is wanted.
//!
//! What it refuses, and the way out, stand in its documentation and are tested there.

mod support;

use std::future::Future;
use std::pin::Pin;

use pool_core::testing::{Scripted, ScriptedConnection, ScriptedError};
use pool_core::{ErrorClass, Manager, Operation};
use pool_facade::{CallOptions, Error, ErrorKind, Judgement, Pool, pool_core};
use support::pool;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// From `tokio::spawn`, with a closure that borrows the task's own locals.
#[tokio::test(start_paused = true)]
async fn a_spawned_task_may_lend_its_locals_to_the_operation() {
    let (_, pool) = pool(1);
    let text = tokio::spawn(async move {
        let names = ["a", "b"].map(str::to_owned);
        let seen = pool.run(async |connection| {
            tokio::task::yield_now().await;
            Ok(format!("{}{}", names.join(" "), connection.id))
        });
        let seen = seen.await.unwrap();
        assert_eq!(names.len(), 2);
        seen
    });
    assert_eq!(text.await.unwrap(), "a b0");
}

trait Repository: Send + Sync {
    fn load(&self, key: u64) -> impl Future<Output = Result<u64, String>> + Send;
    fn load_boxed<'a>(&'a self, key: &'a u64) -> Boxed<'a, Result<u64, String>>;
}

struct Store(Pool<Scripted>);

impl Repository for Store {
    async fn load(&self, key: u64) -> Result<u64, String> {
        let load = self.0.run(async |connection| {
            tokio::task::yield_now().await;
            connection.dirt = key;
            Ok(connection.dirt + 1)
        });
        load.await.map_err(|error| error.to_string())
    }

    fn load_boxed<'a>(&'a self, key: &'a u64) -> Boxed<'a, Result<u64, String>> {
        Box::pin(async move { self.load(*key).await })
    }
}

/// From a trait's method whose future is declared `Send`, and boxed.
#[tokio::test(start_paused = true)]
async fn a_method_of_a_trait_may_run_an_operation() {
    let store = Store(pool(1).1);
    let loaded = tokio::spawn(async move {
        let key = 6;
        (store.load(1).await, store.load_boxed(&key).await)
    });
    assert_eq!(loaded.await.unwrap(), (Ok(2), Ok(7)));
}

async fn id_of(connection: &mut ScriptedConnection) -> Result<u64, ScriptedError> {
    tokio::task::yield_now().await;
    Ok(connection.id)
}

/// A function in the place of the closure.
#[tokio::test(start_paused = true)]
async fn an_async_function_is_an_operation() {
    let (_, pool) = pool(1);
    assert_eq!(
        tokio::spawn(async move { pool.run(id_of).await.unwrap() })
            .await
            .unwrap(),
        0
    );
}

/// Twice, by a helper that is generic over manager and operation.
async fn twice<M, T, F>(pool: &Pool<M>, mut operation: F) -> Result<[T; 2], Error<M::Error>>
where
    M: Manager,
    T: Send,
    F: AsyncFnMut(&mut M::Connection) -> Result<T, M::Error>
        + for<'c> Operation<'c, M::Connection, T, M::Error>
        + Send,
{
    Ok([pool.run(&mut operation).await?, pool.run(operation).await?])
}

#[tokio::test(start_paused = true)]
async fn a_generic_helper_may_pass_an_operation_on() {
    let (_, pool) = pool(1);
    let uses = tokio::spawn(async move {
        let step = 10;
        let result = twice(&pool, async |connection: &mut ScriptedConnection| {
            connection.dirt += step;
            Ok(connection.dirt)
        });
        result.await.unwrap()
    });
    assert_eq!(uses.await.unwrap(), [10, 20]);
}

/// With options, a judge that borrows, and an error type of one's own, from a spawned task.
#[tokio::test(start_paused = true)]
async fn an_operation_may_have_errors_of_its_own() {
    let (_, pool) = pool(1);
    let error = tokio::spawn(async move {
        let code = 7;
        let judge = |_: &u32| Judgement::new(ErrorClass::Caller);
        let options = CallOptions::new().read_only().judge(judge);
        let failed = pool.run_with(options, async |_| Err::<(), _>(code));
        failed.await.unwrap_err()
    });
    let error = error.await.unwrap();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Operation, Some(&7))
    );
}
