//! What does a call through the whole pool cost beyond a get from the core?
//!
//! One task, an idle connection, an operation that does nothing. The core's own `run` is the
//! baseline; what lies above it is the breaker (a permit and one clock reading), the retry budget,
//! and, with several nodes, the choice, the counts and one more clock reading.

#![expect(missing_docs, reason = "criterion's macros make public items")]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use pool_core::{ConnectContext, Manager};
use pool_facade::{Pool, pool_core};

struct Numbers;

impl Manager for Numbers {
    type Connection = u64;
    type Error = std::convert::Infallible;

    async fn connect(&self, context: ConnectContext) -> Result<u64, Self::Error> {
        Ok(context.id)
    }
}

/// Polls a future that needs no waiting.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it had to wait"),
    }
}

fn pool(nodes: usize) -> Pool<Numbers> {
    let builder = (0..nodes).fold(Pool::builder(), |builder, node| {
        builder.node(format!("node-{node}"), Numbers)
    });
    builder
        .configure(|config| config.pool.check = pool_core::Check::Never)
        .build()
        .expect("the settings are valid")
}

fn call(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime starts");
    let _inside = runtime.enter();
    let core = pool_core::Pool::builder(Numbers)
        .check(pool_core::Check::Never)
        .build()
        .expect("the settings are valid");
    let (one, three) = (pool(1), pool(3));
    runtime.block_on(async {
        drop(core.get().await.expect("it connects"));
        drop(one.get().await.expect("it connects"));
        // One on each node, whichever is chosen.
        three.warm().await.expect("it connects");
    });
    let mut group = criterion.benchmark_group("call");
    group.bench_function("core get", |bencher| {
        bencher.iter(|| drop(black_box(ready(core.get()))));
    });
    group.bench_function("core run", |bencher| {
        bencher.iter(|| black_box(ready(core.run(async |id| Ok::<_, Numbers>(*id)))).ok());
    });
    group.bench_function("get", |bencher| {
        bencher.iter(|| drop(black_box(ready(one.get()))));
    });
    group.bench_function("run", |bencher| {
        bencher.iter(|| black_box(ready(one.run(async |id| Ok(*id)))).ok());
    });
    group.bench_function("run on one of three nodes", |bencher| {
        bencher.iter(|| black_box(ready(three.run(async |id| Ok(*id)))).ok());
    });
    group.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);
