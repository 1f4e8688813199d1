//! User code that panics, in every place where the pool calls it.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Duration;

use anyhow::{Context as _, Result};
use pool_core::{
    Abandoned, AbortHandle, Check, CloseReason, ConnectContext, ErrorClass, Event, GetOptions,
    Manager, Observer, Pool, ResetAt, Sample, Verdict,
};
use pool_postgres::{Error, PgConnection, PgManager};
use testkit::proxy::Admission;

use crate::finding::Finding;
use crate::rig::Rig;
use crate::server::Server;
use crate::time;

/// A panic in each place in turn costs one call, and nothing else.
pub(crate) async fn everywhere(server: Server) -> Result<Vec<Finding>> {
    silence_ours();
    let mut harmless = 0;
    let mut harm = Vec::new();
    for place in Place::ALL {
        let rig = Rig::new(&server, "panics").await?;
        match survives(&rig, place).await {
            Ok(()) => harmless += 1,
            Err(error) => harm.push(format!("{place:?}: {error:#}")),
        }
        let _ = server.until_sessions(&rig.name, 0).await;
    }
    Ok(vec![Finding::new(
        "panic",
        format!(
            "a panic in each of {} places: the pool lends all it has",
            Place::ALL.len()
        ),
        format!("{harmless} harmless{}", harm.join("; ")),
        harm.is_empty(),
    )])
}

/// Where user code is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Connect,
    IsValid,
    Reset,
    HasBroken,
    NeedsReset,
    Classify,
    OnRemove,
    Close,
    AbortHandle,
    AfterConnect,
    OnCheckout,
    OnReturn,
    OnTick,
    OnEvent,
    OnSample,
    Predicate,
    Drop,
}

impl Place {
    const ALL: [Self; 17] = [
        Self::Connect,
        Self::IsValid,
        Self::Reset,
        Self::HasBroken,
        Self::NeedsReset,
        Self::Classify,
        Self::OnRemove,
        Self::Close,
        Self::AbortHandle,
        Self::AfterConnect,
        Self::OnCheckout,
        Self::OnReturn,
        Self::OnTick,
        Self::OnEvent,
        Self::OnSample,
        Self::Predicate,
        Self::Drop,
    ];
}

async fn survives(rig: &Rig, place: Place) -> Result<()> {
    let mine = Mine::default();
    let pool = pool(rig, &mine)?;
    mine.lay(place);
    for turn in 0..50 {
        if !mine.is_laid() {
            break;
        }
        provoke(rig, &pool, &mine, turn).await?;
    }
    anyhow::ensure!(!mine.is_laid(), "it was never called");
    rig.proxy.admit(Admission::Pass).await?;
    // All capacity is there, twice over, and the books say so.
    for _ in 0..2 {
        let lent = (pool.get().await?, pool.get().await?);
        lent.0.get().batch_execute("SELECT 1").await?;
        lent.1.get().batch_execute("SELECT 1").await?;
    }
    let rest = || pool.state().idle == 2;
    time::until(Duration::from_secs(5), rest)
        .await
        .context("it does not come to rest")?;
    pool.audit_quiescent().map_err(anyhow::Error::msg)?;
    let sessions = rig.sessions().await?;
    anyhow::ensure!(sessions == 2, "the server has {sessions} sessions");
    let report = pool.close(Duration::from_secs(1)).await;
    anyhow::ensure!(report.is_clean(), "closing left {report}");
    Ok(())
}

fn pool(rig: &Rig, mine: &Mine) -> Result<Pool<Trapped>> {
    let manager = Trapped {
        inner: PgManager::new(rig.config()?)?,
        mine: mine.clone(),
    };
    let on = |place| {
        let mine = mine.clone();
        move || mine.step_on(place)
    };
    let (after_connect, tick) = (on(Place::AfterConnect), on(Place::OnTick));
    let (checkout, back) = (on(Place::OnCheckout), on(Place::OnReturn));
    Ok(Pool::builder(manager)
        .max_size(2)
        .acquire_timeout(Duration::from_secs(2))
        .observer(mine.clone())
        .after_connect(move |_, _| {
            after_connect();
            Box::pin(async { Ok(()) })
        })
        .on_checkout(move |_, _| {
            checkout();
            Verdict::Keep
        })
        .on_return(move |_, _| {
            back();
            Verdict::Keep
        })
        .on_tick(move |_, _| tick())
        .build()?)
}

/// Does everything that makes a pool call user code.
async fn provoke(rig: &Rig, pool: &Pool<Trapped>, mine: &Mine, turn: usize) -> Result<()> {
    if turn % 3 == 2 {
        rig.proxy.admit(Admission::Reset).await?;
        pool.clear();
        let _ = pool.get_timeout(Duration::from_millis(100)).await;
        rig.proxy.admit(Admission::Pass).await?;
    }
    let options = GetOptions::new().check(Check::Always);
    if let Ok(connection) = pool.get_with(options).await {
        let _ = connection.get().batch_execute("BEGIN").await;
    }
    let predicate = |_: &mut Trap, _: &_| {
        mine.step_on(Place::Predicate);
        Verdict::Keep
    };
    time::pause(Duration::from_millis(30)).await;
    pool.retain(predicate);
    time::pause(Duration::from_millis(50)).await;
    Ok(())
}

/// Goes off once, in the place where it was laid.
#[derive(Debug, Clone)]
struct Mine(Arc<AtomicU8>);

impl Default for Mine {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(NOWHERE)))
    }
}

impl Mine {
    fn lay(&self, place: Place) {
        self.0.store(place as u8, SeqCst);
    }

    fn is_laid(&self) -> bool {
        self.0.load(SeqCst) != NOWHERE
    }

    fn step_on(&self, place: Place) {
        let laid = self
            .0
            .compare_exchange(place as u8, NOWHERE, SeqCst, SeqCst);
        assert!(laid.is_err(), "{OURS}");
    }
}

impl Observer for Mine {
    fn on_event(&self, _: u64, _: &Event) {
        self.step_on(Place::OnEvent);
    }

    fn on_sample(&self, _: Sample, _: Duration) {
        self.step_on(Place::OnSample);
    }
}

/// A real manager, mined.
#[derive(Debug)]
struct Trapped {
    inner: PgManager,
    mine: Mine,
}

/// A real connection, mined.
#[derive(Debug)]
struct Trap {
    connection: Option<PgConnection>,
    mine: Mine,
}

impl Trap {
    fn get(&self) -> &PgConnection {
        self.connection
            .as_ref()
            .expect("it is taken only to be closed")
    }

    fn get_mut(&mut self) -> &mut PgConnection {
        self.connection
            .as_mut()
            .expect("it is taken only to be closed")
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        drop(self.connection.take());
        self.mine.step_on(Place::Drop);
    }
}

impl Manager for Trapped {
    type Connection = Trap;
    type Error = Error;

    async fn connect(&self, context: ConnectContext) -> Result<Trap, Error> {
        self.mine.step_on(Place::Connect);
        let connection = self.inner.connect(context).await?;
        Ok(Trap {
            connection: Some(connection),
            mine: self.mine.clone(),
        })
    }

    async fn is_valid(&self, connection: &mut Trap) -> Result<(), Error> {
        self.mine.step_on(Place::IsValid);
        self.inner.is_valid(connection.get_mut()).await
    }

    async fn reset(&self, connection: &mut Trap) -> Result<(), Error> {
        self.mine.step_on(Place::Reset);
        self.inner.reset(connection.get_mut()).await
    }

    fn has_broken(&self, connection: &mut Trap) -> bool {
        self.mine.step_on(Place::HasBroken);
        self.inner.has_broken(connection.get_mut())
    }

    fn needs_reset(&self, connection: &mut Trap) -> bool {
        self.mine.step_on(Place::NeedsReset);
        self.inner.needs_reset(connection.get_mut())
    }

    fn reset_at(&self) -> ResetAt {
        self.inner.reset_at()
    }

    fn on_abandoned(&self) -> Abandoned {
        self.inner.on_abandoned()
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        self.mine.step_on(Place::Classify);
        self.inner.classify(error)
    }

    fn on_remove(&self, connection: &mut Trap, reason: CloseReason) {
        self.mine.step_on(Place::OnRemove);
        self.inner.on_remove(connection.get_mut(), reason);
    }

    async fn close(&self, mut connection: Trap, reason: CloseReason) {
        self.mine.step_on(Place::Close);
        if let Some(connection) = connection.connection.take() {
            self.inner.close(connection, reason).await;
        }
    }

    fn abort_handle(&self, connection: &Trap) -> Option<AbortHandle> {
        self.mine.step_on(Place::AbortHandle);
        self.inner.abort_handle(connection.get())
    }
}

/// Says nothing of the panics that are meant.
fn silence_ours() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info
                .payload_as_str()
                .is_some_and(|text| text.contains(OURS))
            {
                others(info);
            }
        }));
    });
}

const OURS: &str = "a mine of the chaos";
const NOWHERE: u8 = u8::MAX;
