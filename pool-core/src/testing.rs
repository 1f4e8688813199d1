//! A scripted manager and an audit, for tests of this crate and of whoever uses it.
//!
//! Time is tokio's: run such tests with `start_paused = true`, and hours pass in no time.
//!
//! ```
//! use std::time::Duration;
//! use pool_core::testing::{Script, Step};
//! use pool_core::{ErrorKind, Pool, Stage};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() {
//!     // The first attempt to connect hangs, the others take 20 ms.
//!     let script = Script::new();
//!     script.connect.then(Step::Hang);
//!     script.connect.otherwise(Step::Delay(Duration::from_millis(20)));
//!
//!     let pool = Pool::builder(script.manager()).max_size(1).build().unwrap();
//!     let error = pool.get_timeout(Duration::from_secs(1)).await.unwrap_err();
//!     assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect));
//!
//!     let connection = pool.get().await.unwrap();
//!     assert_eq!(script.live(), 1);
//!     drop(connection);
//!     pool.audit().unwrap();
//! }
//! ```

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::random::Random;
use crate::runtime::Runtime;
use crate::slot::Phase;
use crate::{
    Abandoned, AbortHandle, CloseReason, ConnectContext, ErrorClass, Manager, Pool, ResetAt,
};

/// Makes all jitter of the pools that this thread makes and polls from now on follow from `seed`,
/// so that a test on one thread in paused time is repeated exactly.
pub fn seed(seed: u64) {
    Random::seed(seed);
}

/// What one call of the manager does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Succeeds at once.
    Ok,
    /// Fails at once, with an error of this class.
    Fail(ErrorClass),
    /// Succeeds after this time.
    Delay(Duration),
    /// Fails with a transient error after this time.
    FailAfter(Duration),
    /// Is pending this many times, waking itself, then succeeds.
    Yield(u32),
    /// Never ends.
    Hang,
    /// Panics.
    Panic,
}

/// The steps of one of the manager's methods.
#[derive(Debug)]
pub struct Steps(Mutex<(VecDeque<Step>, Step)>);

impl Steps {
    /// Appends one step.
    pub fn then(&self, step: Step) -> &Self {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .push_back(step);
        self
    }

    /// Sets what is done once the appended steps are used up; at first [`Step::Ok`].
    pub fn otherwise(&self, step: Step) -> &Self {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = step;
        self
    }

    fn new() -> Self {
        Self(Mutex::new((VecDeque::new(), Step::Ok)))
    }

    fn next(&self) -> Step {
        let (steps, otherwise) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.pop_front().unwrap_or(*otherwise)
    }
}

/// What a scripted server does, and what it has seen.
#[derive(Debug)]
#[non_exhaustive]
pub struct Script {
    /// What connecting does.
    pub connect: Steps,
    /// What checking does.
    pub is_valid: Steps,
    /// What resetting does.
    pub reset: Steps,
    /// What closing does.
    pub close: Steps,
    /// What the synchronous peek does: fails means broken.
    pub has_broken: Steps,
    /// What the call on removal does.
    pub on_remove: Steps,
    /// When connections are reset.
    pub reset_at: Mutex<ResetAt>,
    /// What becomes of abandoned ones.
    pub abandoned: Mutex<Abandoned>,
    connects: AtomicU64,
    connecting: AtomicUsize,
    most_connecting: AtomicUsize,
    live: AtomicUsize,
    most_live: AtomicUsize,
    checks: AtomicU64,
    resets: AtomicU64,
    removed: Mutex<HashSet<u64>>,
}

impl Script {
    /// A server that does everything at once and well.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            connect: Steps::new(),
            is_valid: Steps::new(),
            reset: Steps::new(),
            close: Steps::new(),
            has_broken: Steps::new(),
            on_remove: Steps::new(),
            reset_at: Mutex::new(ResetAt::Never),
            abandoned: Mutex::new(Abandoned::Discard),
            connects: AtomicU64::new(0),
            connecting: AtomicUsize::new(0),
            most_connecting: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            most_live: AtomicUsize::new(0),
            checks: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            removed: Mutex::new(HashSet::new()),
        })
    }

    /// A manager that plays this script.
    pub fn manager(self: &Arc<Self>) -> Scripted {
        Scripted(self.clone())
    }

    /// How often connecting was begun.
    pub fn connects(&self) -> u64 {
        self.connects.load(SeqCst)
    }

    /// The most that were connecting at once.
    pub fn most_connecting(&self) -> usize {
        self.most_connecting.load(SeqCst)
    }

    /// How many connections exist.
    pub fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    /// The most that existed at once.
    pub fn most_live(&self) -> usize {
        self.most_live.load(SeqCst)
    }

    /// How often a connection was checked.
    pub fn checks(&self) -> u64 {
        self.checks.load(SeqCst)
    }

    /// How often a connection was reset.
    pub fn resets(&self) -> u64 {
        self.resets.load(SeqCst)
    }

    /// How many connections the manager was told to be removed.
    pub fn removed(&self) -> usize {
        self.removed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// A manager that plays a [`Script`].
#[derive(Debug, Clone)]
pub struct Scripted(Arc<Script>);

/// A connection of a [`Scripted`] manager.
#[derive(Debug)]
#[non_exhaustive]
pub struct ScriptedConnection {
    /// Its identity, that of the pool.
    pub id: u64,
    /// Set it to have the peek find the connection broken.
    pub broken: bool,
    /// For the test's own use, as for the state of a session; a reset clears it.
    pub dirt: u64,
    /// An exchange is half done: nobody may be lent the connection.
    pub busy: bool,
    cut: Arc<AtomicBool>,
    script: Arc<Script>,
}

impl ScriptedConnection {
    /// Whether the connection was cut by its abort handle.
    pub fn is_cut(&self) -> bool {
        self.cut.load(SeqCst)
    }
}

impl Drop for ScriptedConnection {
    fn drop(&mut self) {
        self.script.live.fetch_sub(1, SeqCst);
    }
}

/// The error of a [`Scripted`] manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptedError(pub ErrorClass);

impl ScriptedError {
    /// The error of this class, for an operation that fails.
    pub const fn new(class: ErrorClass) -> Self {
        Self(class)
    }
}

impl fmt::Display for ScriptedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scripted {} failure", self.0)
    }
}

impl std::error::Error for ScriptedError {}

/// Counts one who is connecting, as long as it lives.
struct Connecting<'a>(&'a Script);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connecting.fetch_sub(1, SeqCst);
    }
}

impl Manager for Scripted {
    type Connection = ScriptedConnection;
    type Error = ScriptedError;

    async fn connect(&self, context: ConnectContext) -> Result<ScriptedConnection, ScriptedError> {
        let script = &self.0;
        script.connects.fetch_add(1, SeqCst);
        let connecting = script.connecting.fetch_add(1, SeqCst) + 1;
        script.most_connecting.fetch_max(connecting, SeqCst);
        let _connecting = Connecting(script);
        play(script.connect.next()).await?;
        let live = script.live.fetch_add(1, SeqCst) + 1;
        script.most_live.fetch_max(live, SeqCst);
        Ok(ScriptedConnection {
            id: context.id,
            broken: false,
            dirt: 0,
            busy: false,
            cut: Arc::new(AtomicBool::new(false)),
            script: script.clone(),
        })
    }

    async fn is_valid(&self, connection: &mut ScriptedConnection) -> Result<(), ScriptedError> {
        self.0.checks.fetch_add(1, SeqCst);
        connection.busy = true;
        play(self.0.is_valid.next()).await?;
        connection.busy = false;
        Ok(())
    }

    async fn reset(&self, connection: &mut ScriptedConnection) -> Result<(), ScriptedError> {
        self.0.resets.fetch_add(1, SeqCst);
        connection.busy = true;
        play(self.0.reset.next()).await?;
        connection.busy = false;
        connection.dirt = 0;
        Ok(())
    }

    fn has_broken(&self, connection: &mut ScriptedConnection) -> bool {
        let step = self.0.has_broken.next();
        assert!(step != Step::Panic, "scripted panic");
        connection.broken || connection.is_cut() || step != Step::Ok
    }

    fn reset_at(&self) -> ResetAt {
        *self
            .0
            .reset_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn on_abandoned(&self) -> Abandoned {
        *self
            .0
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn classify(&self, error: &ScriptedError) -> ErrorClass {
        error.0
    }

    fn on_remove(&self, connection: &mut ScriptedConnection, _: CloseReason) {
        let mut removed = self
            .0
            .removed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            removed.insert(connection.id),
            "a connection is removed once"
        );
        drop(removed);
        assert!(self.0.on_remove.next() != Step::Panic, "scripted panic");
    }

    async fn close(&self, connection: ScriptedConnection, _: CloseReason) {
        let _ = play(self.0.close.next()).await;
        drop(connection);
    }

    fn abort_handle(&self, connection: &ScriptedConnection) -> Option<AbortHandle> {
        let cut = connection.cut.clone();
        Some(AbortHandle::new(move || cut.store(true, SeqCst)))
    }
}

async fn play(step: Step) -> Result<(), ScriptedError> {
    match step {
        Step::Ok => Ok(()),
        Step::Fail(class) => Err(ScriptedError(class)),
        Step::Delay(time) => {
            tokio_sleep(time).await;
            Ok(())
        }
        Step::FailAfter(time) => {
            tokio_sleep(time).await;
            Err(ScriptedError(ErrorClass::Transient))
        }
        Step::Yield(mut times) => {
            poll_fn(|cx| {
                if times == 0 {
                    return Poll::Ready(Ok(()));
                }
                times -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await
        }
        Step::Hang => std::future::pending().await,
        Step::Panic => panic!("scripted panic"),
    }
}

async fn tokio_sleep(time: Duration) {
    use crate::runtime::{Timer, Tokio};
    let timer = Tokio::default();
    timer.sleep_until(timer.now() + time).await;
}

impl<M: Manager, R: Runtime> Pool<M, R> {
    /// Compares the books with the slots themselves. To be called while no other thread uses the
    /// pool.
    ///
    /// # Errors
    ///
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let core = self.core();
        let ledger = core.ledger.lock();
        let count = |phase| {
            core.slots
                .iter()
                .filter(|(_, s)| s.phase() == phase)
                .count()
        };
        let idle = core.idle.snapshot();
        let occupied = core
            .slots
            .iter()
            .filter(|(_, s)| s.phase() != Phase::Vacant)
            .count();
        let mut wrong = Vec::new();
        let mut same = |what: &str, books: usize, slots: usize| {
            if books != slots {
                wrong.push(format!(
                    "{what}: {books} in the books, {slots} in the slots"
                ));
            }
        };
        same("size", ledger.occupied, occupied);
        same("connecting", ledger.connecting, count(Phase::Connecting));
        same("closing", ledger.closing, count(Phase::Closing));
        same("idle", idle.len(), count(Phase::Idle));
        same(
            "idle slots",
            idle.len(),
            idle.iter().collect::<HashSet<_>>().len(),
        );
        same(
            "checking",
            core.hot.checking.load(SeqCst),
            count(Phase::Checking),
        );
        same(
            "resetting",
            core.hot.resetting.load(SeqCst),
            count(Phase::Resetting),
        );
        if ledger.queue.next().is_some() && !idle.is_empty() && !ledger.suspended {
            wrong.push("somebody waits although a connection is idle".into());
        }
        if ledger.closed && !idle.is_empty() {
            wrong.push("a connection is idle although the pool is closed".into());
        }
        drop(ledger);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{}: {wrong:?}", core.name))
        }
    }

    /// As [`audit`](Self::audit), and that the accounts balance and nobody waits. To be called
    /// when no acquire is under way.
    ///
    /// # Errors
    ///
    /// What does not agree.
    pub fn audit_quiescent(&self) -> Result<(), String> {
        self.audit()?;
        let (state, statistics) = (self.state(), self.statistics());
        let ended = statistics.direct
            + statistics.waited
            + statistics.timed_out
            + statistics.cancelled
            + statistics.failed;
        if statistics.started != ended {
            return Err(format!(
                "{} acquires begun, {ended} ended",
                statistics.started
            ));
        }
        let open = (state.size - state.connecting - state.closing) as u64;
        if statistics.created - statistics.closed() != open {
            return Err(format!("{open} open, but {statistics:?}"));
        }
        if state.waiting != 0 {
            return Err(format!("{} wait", state.waiting));
        }
        Ok(())
    }
}
