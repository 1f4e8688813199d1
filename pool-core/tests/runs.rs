//! `Pool::run` compiles and works wherever such a future is wanted.

mod support;

use std::future::Future;
use std::pin::Pin;

use pool_core::testing::{Scripted, ScriptedConnection};
use pool_core::{CloseReason, Manager, Operation, Pool, RunError};
use support::{pool, settle};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// From `tokio::spawn`, with a closure that borrows the task's own locals.
#[tokio::test(start_paused = true)]
async fn a_spawned_task_may_lend_its_locals_to_the_operation() {
    let (_, pool) = pool(1);
    let text = tokio::spawn(async move {
        let names = ["a", "b"].map(str::to_owned);
        let seen = pool.run(async |connection| {
            tokio::task::yield_now().await;
            Ok::<_, ()>(format!("{}{}", names.join(" "), connection.id))
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
            Ok::<_, String>(connection.dirt + 1)
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

async fn id_of(connection: &mut ScriptedConnection) -> Result<u64, ()> {
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
async fn twice<M, T, E, F>(
    pool: &Pool<M>,
    mut operation: F,
) -> Result<[T; 2], RunError<M::Error, E>>
where
    M: Manager,
    T: Send,
    E: Send,
    F: AsyncFnMut(&mut M::Connection) -> Result<T, E>
        + for<'c> Operation<'c, M::Connection, T, E>
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
            Ok::<_, ()>(connection.dirt)
        });
        result.await.unwrap()
    });
    assert_eq!(uses.await.unwrap(), [10, 20]);
}

/// The two parts of the error stay apart, and an operation's own error keeps the connection.
#[tokio::test(start_paused = true)]
async fn a_failed_operation_is_told_from_a_failed_acquire() {
    let (script, pool) = pool(1);
    let error = pool
        .run(async |_| Err::<(), _>("no such row"))
        .await
        .unwrap_err();
    assert!(matches!(error, RunError::Operation("no such row")));
    pool.close(support::ms(1)).await;
    let error = pool.run(async |_| Ok::<_, ()>(())).await.unwrap_err();
    assert!(matches!(error, RunError::Acquire(_)));
    assert_eq!((script.connects(), script.live()), (1, 0));
}

/// Cancelled or panicking midway, the connection is not lent again.
#[tokio::test(start_paused = true)]
async fn an_operation_that_does_not_end_discards_its_connection() {
    let (script, pool) = pool(1);
    let mut hanging = Box::pin(pool.run(async |_| {
        std::future::pending::<()>().await;
        Ok::<_, ()>(())
    }));
    assert!(futures_util::poll!(&mut hanging).is_pending());
    settle().await;
    assert!(futures_util::poll!(&mut hanging).is_pending());
    drop(hanging);
    settle().await;
    assert_eq!(pool.statistics().closed_for(CloseReason::Abandoned), 1);
    let panicking = tokio::spawn({
        let pool = pool.clone();
        async move {
            let work =
                async |_: &mut ScriptedConnection| -> Result<(), ()> { panic!("a user's panic") };
            pool.run(work).await.unwrap();
        }
    });
    assert!(panicking.await.is_err());
    settle().await;
    assert_eq!(pool.statistics().closed_for(CloseReason::Abandoned), 2);
    assert_eq!((script.live(), pool.state().size), (0, 0));
    pool.audit_quiescent().unwrap();
}
