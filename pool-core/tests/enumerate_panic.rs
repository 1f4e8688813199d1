//! A panic in the first, second, ... call of user code, until a whole day in the life of a pool
//! passes without: no panic reaches a caller, and the whole pool can be lent afterwards.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use pool_core::{
    Abandoned, AbortHandle, Admission, Check, CloseReason, ConnectContext, ConnectGate, ErrorClass,
    Event, Manager, Observer, Pool, Pooled, ResetAt, Sample, Verdict,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Counts the calls of user code, and panics in one of them.
#[derive(Clone)]
struct Fuse(Arc<Counts>);

struct Counts {
    calls: AtomicUsize,
    fatal: AtomicUsize,
    name: std::sync::Mutex<Option<&'static str>>,
    refuse: AtomicBool,
    live: AtomicUsize,
}

impl Fuse {
    fn new(fatal: usize) -> Self {
        Self(Arc::new(Counts {
            calls: AtomicUsize::new(0),
            fatal: AtomicUsize::new(fatal),
            name: std::sync::Mutex::new(None),
            refuse: AtomicBool::new(false),
            live: AtomicUsize::new(0),
        }))
    }

    fn burn(&self, name: &'static str) {
        let call = self.0.calls.fetch_add(1, SeqCst);
        // A second panic while one unwinds would abort, whosever fault it is.
        if call == self.0.fatal.load(SeqCst) && !std::thread::panicking() {
            *self.0.name.lock().unwrap() = Some(name);
            panic!("scripted panic");
        }
    }

    /// In the middle of an async method too.
    async fn smoulder(&self, name: &'static str) {
        self.burn(name);
        tokio::task::yield_now().await;
        self.burn(name);
    }
}

struct Connection {
    fuse: Fuse,
    busy: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.fuse.0.live.fetch_sub(1, SeqCst);
        self.fuse.burn("Connection::drop");
    }
}

/// The error's drop is user code as well.
struct Refused(Fuse);

impl Drop for Refused {
    fn drop(&mut self) {
        self.0.burn("Error::drop");
    }
}

impl Manager for Fuse {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self, _: ConnectContext) -> Result<Connection, Refused> {
        self.smoulder("connect").await;
        if self.0.refuse.swap(false, SeqCst) {
            return Err(Refused(self.clone()));
        }
        self.0.live.fetch_add(1, SeqCst);
        Ok(Connection {
            fuse: self.clone(),
            busy: false,
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Refused> {
        connection.busy = true;
        self.smoulder("is_valid").await;
        connection.busy = false;
        Ok(())
    }

    async fn reset(&self, connection: &mut Connection) -> Result<(), Refused> {
        connection.busy = true;
        self.smoulder("reset").await;
        connection.busy = false;
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        self.burn("has_broken");
        false
    }

    fn needs_reset(&self, _: &mut Connection) -> bool {
        self.burn("needs_reset");
        true
    }

    fn reset_at(&self) -> ResetAt {
        ResetAt::Return
    }

    fn on_abandoned(&self) -> Abandoned {
        self.burn("on_abandoned");
        Abandoned::Reset
    }

    fn classify(&self, _: &Refused) -> ErrorClass {
        self.burn("classify");
        ErrorClass::Transient
    }

    fn on_remove(&self, _: &mut Connection, _: CloseReason) {
        self.burn("on_remove");
    }

    async fn close(&self, connection: Connection, _: CloseReason) {
        self.smoulder("close").await;
        drop(connection);
    }

    fn abort_handle(&self, _: &Connection) -> Option<AbortHandle> {
        self.burn("abort_handle");
        let fuse = self.clone();
        Some(AbortHandle::new(move || fuse.burn("abort")))
    }
}

impl ConnectGate for Fuse {
    fn admit(&self, _: Instant) -> Admission {
        self.burn("admit");
        Admission::Go
    }

    fn on_result(&self, _: Instant, _: Result<(), ErrorClass>) {
        self.burn("on_result");
    }
}

impl Observer for Fuse {
    fn on_event(&self, _: u64, _: &Event) {
        self.burn("on_event");
    }

    fn on_sample(&self, _: Sample, _: Duration) {
        self.burn("on_sample");
    }
}

const SIZE: usize = 2;

fn pool(fuse: &Fuse) -> Pool<Fuse> {
    let [opened, taken, returned, ticked] = [(); 4].map(|()| fuse.clone());
    Pool::builder(fuse.clone())
        .max_size(SIZE)
        .min_idle(1)
        .acquire_timeout(ms(3000))
        .check(Check::Always)
        .keepalive(ms(300))
        .idle_timeout(ms(900))
        .leak_report(ms(100))
        .connect_gate(fuse.clone())
        .observer(fuse.clone())
        .after_connect(move |_, _| {
            let opened = opened.clone();
            Box::pin(async move {
                opened.smoulder("after_connect").await;
                Ok(())
            })
        })
        .on_checkout(move |_, _| {
            taken.burn("on_checkout");
            Verdict::Keep
        })
        .on_return(move |_, _| {
            returned.burn("on_return");
            Verdict::Keep
        })
        .on_tick(move |_, _| ticked.burn("on_tick"))
        .build()
        .unwrap()
}

/// No panic of user code may come out of the pool.
async fn call<T>(future: impl Future<Output = T>) -> T {
    let result = AssertUnwindSafe(future).catch_unwind().await;
    result.unwrap_or_else(|_| panic!("a panic came out of the pool"))
}

async fn get(pool: &Pool<Fuse>) -> Option<Pooled<Fuse>> {
    let held = call(pool.get()).await.ok()?;
    assert!(!held.busy, "an exchange is half done");
    Some(held)
}

async fn pass(pool: &Pool<Fuse>, time: Duration) {
    pool.audit().unwrap();
    let now = tokio::time::Instant::now();
    tokio::time::sleep_until(now + time).await;
    pool.audit().unwrap();
}

/// Something of everything.
async fn day(pool: &Pool<Fuse>, fuse: &Fuse) {
    fuse.0.refuse.store(true, SeqCst);
    let [a, b] = [get(pool).await, get(pool).await];
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { drop(get(&pool).await) }
    });
    pass(pool, ms(150)).await;
    call(async { drop(a) }).await;
    pass(pool, ms(10)).await;
    call(async {
        if let Some(mut b) = b {
            drop(b.operation());
        }
    })
    .await;
    waiter.await.unwrap();
    pass(pool, ms(700)).await;
    if let Some(mut held) = get(pool).await {
        held.invalidate();
        call(async { drop(held) }).await;
    }
    call(async { pool.clear() }).await;
    pass(pool, ms(10)).await;
    call(async { drop(pool.try_get()) }).await;
    let more = [get(pool).await, get(pool).await];
    call(async { pool.resize(1).unwrap() }).await;
    call(async { drop(more) }).await;
    pass(pool, ms(10)).await;
    call(async { pool.resize(SIZE).unwrap() }).await;
    call(async {
        pool.retain(|_, _| {
            fuse.burn("retain");
            Verdict::Keep
        });
    })
    .await;
    if let Some(held) = get(pool).await {
        call(held.close()).await;
    }
    pass(pool, ms(2000)).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_any_call_costs_that_call_alone() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&"scripted panic") {
            before(info);
        }
    }));
    let mut reached = Vec::new();
    for fatal in 0.. {
        let fuse = Fuse::new(fatal);
        let pool = pool(&fuse);
        let lived = AssertUnwindSafe(async {
            day(&pool, &fuse).await;
            recover(&pool, &fuse).await;
        });
        let lived = lived.catch_unwind().await;
        let Some(name) = *fuse.0.name.lock().unwrap() else {
            assert!(fatal > 100, "only {fatal} calls in a day");
            break;
        };
        if lived.is_err() {
            reached.push((fatal, name));
        }
        assert!(fatal < 2000, "the day never ends");
    }
    assert!(reached.is_empty(), "these panics did harm: {reached:?}");
}

/// The books are right and every slot can be lent.
async fn recover(pool: &Pool<Fuse>, fuse: &Fuse) {
    let last = fuse.0.calls.load(SeqCst);
    if fuse.0.fatal.load(SeqCst) >= last {
        fuse.0.fatal.store(usize::MAX, SeqCst);
    }
    let mut held = Vec::new();
    for _ in 0..SIZE {
        held.push(get(pool).await.expect("the pool has recovered"));
    }
    assert_eq!(fuse.0.live.load(SeqCst), SIZE);
    pool.audit().unwrap();
    drop(held);
    pass(pool, ms(10)).await;
    pool.audit_quiescent().unwrap();
    let report = pool.close(ms(1000)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(fuse.0.live.load(SeqCst), 0);
}
