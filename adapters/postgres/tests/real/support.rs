//! What the tests share.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use pool_core::Builder;
use pool_postgres::{Config, PgManager, Pool};
use testkit::postgres::{Cluster, Version};

/// Runs `test` on a cluster of each version, both at once: starting them is mostly waiting.
pub(crate) async fn on_both<F>(
    setting: impl Fn(testkit::postgres::Builder) -> testkit::postgres::Builder,
    test: impl Fn(Server) -> F,
) where
    F: Future<Output = ()>,
{
    let [one, other] = Version::ALL;
    tokio::join!(on(one, &setting, &test), on(other, &setting, &test));
}

/// Runs `test` on a cluster of one version.
pub(crate) async fn on<F>(
    version: Version,
    setting: impl Fn(testkit::postgres::Builder) -> testkit::postgres::Builder,
    test: impl Fn(Server) -> F,
) where
    F: Future<Output = ()>,
{
    let builder = setting(Cluster::builder().version(version));
    let cluster = tokio::task::spawn_blocking(|| builder.start());
    test(Server(Arc::new(cluster.await.unwrap().unwrap()))).await;
}

/// A running cluster, asked without blocking the runtime.
#[derive(Clone)]
pub(crate) struct Server(pub(crate) Arc<Cluster>);

impl Server {
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster) -> std::io::Result<T> + Send + 'static,
    ) -> T {
        let cluster = self.0.clone();
        let answer = tokio::task::spawn_blocking(move || question(&cluster));
        answer.await.unwrap().unwrap()
    }

    pub(crate) async fn sql(&self, sql: &'static str) -> String {
        self.ask(move |cluster| cluster.sql(sql)).await
    }

    /// The clients' sessions that exist.
    pub(crate) async fn backends(&self) -> usize {
        self.ask(Cluster::backends).await
    }

    /// Asks until the server has this many sessions of clients.
    pub(crate) async fn until_backends(&self, count: usize) {
        for _ in 0..LOOKS {
            if self.backends().await == count {
                return;
            }
        }
        panic!("the server never had {count} sessions");
    }

    /// Asks until this many sessions of clients are not idle and outside of a transaction.
    pub(crate) async fn until_busy(&self, count: &str) {
        for _ in 0..LOOKS {
            if self.busy().await == count {
                return;
            }
        }
        panic!("the server never had {count} busy sessions");
    }

    /// The clients' sessions that are not idle and outside of a transaction.
    pub(crate) async fn busy(&self) -> String {
        self.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'")
            .await
    }

    pub(crate) async fn logins(&self) -> u64 {
        self.ask(Cluster::logins).await as u64
    }

    /// How often `text` stands in the server's log.
    pub(crate) async fn logged(&self, text: &'static str) -> usize {
        self.ask(move |cluster| Ok(cluster.log()?.matches(text).count()))
            .await
    }

    pub(crate) fn config(&self) -> Config {
        Config::from_url(&self.0.url()).unwrap()
    }

    pub(crate) fn builder(&self) -> Builder<PgManager> {
        builder(self.config())
    }

    pub(crate) fn pool(&self, size: usize) -> Pool {
        self.builder().max_size(size).build().unwrap()
    }
}

pub(crate) fn builder(config: Config) -> Builder<PgManager> {
    Pool::builder(PgManager::new(config).unwrap())
}

/// Waits until the maintenance task has reset all that came back.
pub(crate) async fn until_quiet(pool: &Pool) {
    until(|| {
        let state = pool.state();
        state.idle == state.size
    })
    .await;
}

pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

/// Polls `future` this often and gives it up if it is not done by then.
pub(crate) async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        // The future alone must not decide when it is given up.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// An error with all its causes, in both of its shapes.
pub(crate) fn text_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error:?} {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error} {error:?}");
        cause = error.source();
    }
    text
}

/// How often a server is asked before a test gives up: for a minute or so.
const LOOKS: usize = 2000;
