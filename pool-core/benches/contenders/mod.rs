//! The pools that are compared, each behind the same small trait, and the floors under them.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use pool_core::{Check, ConnectContext, Manager};
use tokio::sync::Semaphore;

/// How a pool is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Its fastest settings.
    Tuned,
    /// 30 s acquire timeout, a check (ready at once) at every checkout.
    Equal,
}

/// A pool with connections that cost nothing.
pub(crate) trait Contender: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    type Guard: Send;

    fn new(size: usize, setting: Setting) -> Self;

    fn get(&self) -> impl Future<Output = Self::Guard> + Send;
}

/// Makes connections at once, or after a time.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    pub(crate) takes: Duration,
}

impl Connections {
    async fn open(&self) -> u64 {
        if self.takes > Duration::ZERO {
            #[expect(clippy::disallowed_methods, reason = "stands for a server's delay")]
            tokio::time::sleep(self.takes).await;
        }
        7
    }
}

impl Manager for Connections {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self, _: ConnectContext) -> Result<u64, Infallible> {
        Ok(self.open().await)
    }
}

impl bb8::ManageConnection for Connections {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(self.open().await)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

impl deadpool::managed::Manager for Connections {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(self.open().await)
    }

    async fn recycle(
        &self,
        _: &mut u64,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Ours(pub(crate) pool_core::Pool<Connections>);

impl Contender for Ours {
    const NAME: &'static str = "pool-core";
    type Guard = pool_core::Pooled<Connections>;

    fn new(size: usize, setting: Setting) -> Self {
        let check = if setting == Setting::Tuned {
            Check::Never
        } else {
            Check::Always
        };
        let pool = pool_core::Pool::builder(Connections::default())
            .max_size(size)
            .check(check);
        let pool = match setting {
            Setting::Tuned => pool.acquire_timeout(None),
            Setting::Equal => pool,
        };
        Self(pool.build().expect("the settings are valid"))
    }

    async fn get(&self) -> Self::Guard {
        self.0.get().await.expect("connecting cannot fail")
    }
}

#[derive(Clone)]
pub(crate) struct Bb8(pub(crate) bb8::Pool<Connections>);

impl Contender for Bb8 {
    const NAME: &'static str = "bb8";
    type Guard = bb8::PooledConnection<'static, Connections>;

    fn new(size: usize, setting: Setting) -> Self {
        let pool = bb8::Pool::builder()
            .max_size(u32::try_from(size).expect("sizes are small"))
            .test_on_check_out(setting == Setting::Equal)
            .build_unchecked(Connections::default());
        Self(pool)
    }

    async fn get(&self) -> Self::Guard {
        self.0.get_owned().await.expect("connecting cannot fail")
    }
}

#[derive(Clone)]
pub(crate) struct Deadpool(pub(crate) deadpool::managed::Pool<Connections>);

impl Contender for Deadpool {
    const NAME: &'static str = "deadpool";
    type Guard = deadpool::managed::Object<Connections>;

    fn new(size: usize, setting: Setting) -> Self {
        let builder = deadpool::managed::Pool::builder(Connections::default()).max_size(size);
        let builder = match setting {
            Setting::Tuned => builder,
            Setting::Equal => builder
                .wait_timeout(Some(Duration::from_secs(30)))
                .runtime(deadpool::Runtime::Tokio1),
        };
        Self(builder.build().expect("the settings are valid"))
    }

    async fn get(&self) -> Self::Guard {
        self.0.get().await.expect("connecting cannot fail")
    }
}

/// Floor A: a semaphore and a mutexed stack.
#[derive(Clone)]
pub(crate) struct FloorA {
    permits: Arc<Semaphore>,
    stack: Arc<Mutex<Vec<u64>>>,
    setting: Setting,
}

pub(crate) struct FloorAGuard {
    pool: FloorA,
    value: u64,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for FloorAGuard {
    fn drop(&mut self) {
        self.pool.stack.lock().expect("no panics").push(self.value);
    }
}

impl Contender for FloorA {
    const NAME: &'static str = "floor A";
    type Guard = FloorAGuard;

    fn new(size: usize, setting: Setting) -> Self {
        let stack = Arc::new(Mutex::new(vec![7; size]));
        Self {
            permits: Arc::new(Semaphore::new(size)),
            stack,
            setting,
        }
    }

    async fn get(&self) -> FloorAGuard {
        let acquire = self.permits.clone().acquire_owned();
        let permit = match self.setting {
            Setting::Tuned => acquire.await,
            Setting::Equal => tokio::time::timeout(Duration::from_secs(30), acquire)
                .await
                .expect("nobody waits for 30 s"),
        };
        let permit = permit.expect("the semaphore is open");
        let value = self
            .stack
            .lock()
            .expect("no panics")
            .pop()
            .expect("a permit is a value");
        FloorAGuard {
            pool: self.clone(),
            value,
            _permit: permit,
        }
    }
}

/// Floor B: a lock-free queue that cannot wait.
#[derive(Clone)]
pub(crate) struct FloorB(Arc<ArrayQueue<u64>>);

pub(crate) struct FloorBGuard {
    pool: FloorB,
    value: u64,
}

impl Drop for FloorBGuard {
    fn drop(&mut self) {
        let _ = self.pool.0.push(self.value);
    }
}

impl Contender for FloorB {
    const NAME: &'static str = "floor B";
    type Guard = FloorBGuard;

    fn new(size: usize, _: Setting) -> Self {
        let queue = ArrayQueue::new(size);
        (0..size).for_each(|_| queue.push(7).expect("there is room"));
        Self(Arc::new(queue))
    }

    async fn get(&self) -> FloorBGuard {
        loop {
            if let Some(value) = self.0.pop() {
                return FloorBGuard {
                    pool: self.clone(),
                    value,
                };
            }
            tokio::task::yield_now().await;
        }
    }
}
