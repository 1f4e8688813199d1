//! Leaving an acquire after each possible poll, in each stage, loses nothing.
//!
//! Whatever the stage does, the whole pool can be lent afterwards.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use pool_core::testing::{Script, Scripted, ScriptedError, Step};
use pool_core::{Check, CloseReason, Error, ErrorClass, Pool, Pooled, ResetAt};

#[derive(Debug, Clone, Copy)]
enum Stage {
    Wait,
    Connect,
    Validate,
    Reset,
    /// In the background, after a return.
    ResetOnReturn,
}

const STAGES: [Stage; 5] = [
    Stage::Wait,
    Stage::Connect,
    Stage::Validate,
    Stage::Reset,
    Stage::ResetOnReturn,
];

const STEPS: [Step; 7] = [
    Step::Ok,
    Step::Yield(3),
    Step::Fail(ErrorClass::Transient),
    Step::Fail(ErrorClass::Permanent),
    Step::Delay(ms(70)),
    Step::Hang,
    Step::Panic,
];

const SIZE: usize = 2;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Acquire = Pin<Box<dyn Future<Output = Result<Pooled<Scripted>, Error<ScriptedError>>>>>;

/// A pool about to run into `step` in `stage`, and those who hold its connections.
struct Rig {
    script: Arc<Script>,
    pool: Pool<Scripted>,
    held: Vec<Pooled<Scripted>>,
    step: Step,
    clock: u64,
}

impl Rig {
    async fn new(stage: Stage, step: Step) -> Self {
        let script = Script::new();
        let pool = Pool::builder(script.manager())
            .max_size(SIZE)
            .acquire_timeout(ms(600))
            .connect_timeout(ms(200))
            .validate_timeout(ms(100))
            .reset_timeout(ms(100))
            .check(Check::Never)
            .build()
            .unwrap();
        let mut held = Vec::new();
        match stage {
            Stage::Wait => {
                for _ in 0..SIZE {
                    held.push(pool.get().await.unwrap());
                }
            }
            Stage::Connect => {
                script.connect.then(step);
            }
            Stage::Validate => {
                pool.reconfigure(|config| config.check = Check::Always)
                    .unwrap();
                drop(pool.get().await.unwrap());
                script.is_valid.then(step);
            }
            Stage::Reset | Stage::ResetOnReturn => {
                *script.reset_at.lock().unwrap() = match stage {
                    Stage::Reset => ResetAt::Checkout,
                    _ => ResetAt::Return,
                };
                script.reset.then(step);
                drop(pool.get().await.unwrap());
            }
        }
        Self {
            script,
            pool,
            held,
            step,
            clock: 0,
        }
    }

    fn acquire(&self) -> Acquire {
        let pool = self.pool.clone();
        Box::pin(async move { pool.get().await })
    }

    /// One step of the world: the others run, 25 ms pass, and a holder does what is to be waited
    /// for.
    async fn turn(&mut self) {
        let back = match self.step {
            Step::Delay(_) => self.clock == 3,
            Step::Hang => false,
            _ => true,
        };
        if back {
            if let Some(mut held) = self.held.pop() {
                match self.step {
                    Step::Fail(_) => held.invalidate(),
                    Step::Panic => {
                        let unwound = catch_unwind(AssertUnwindSafe(|| {
                            let _held = held;
                            panic!("scripted panic");
                        }));
                        assert!(unwound.is_err());
                        return self.pass().await;
                    }
                    _ => {}
                }
                drop(held);
            }
        }
        self.pass().await;
    }

    async fn pass(&mut self) {
        self.audit();
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.audit();
        tokio::time::advance(ms(25)).await;
        self.clock += 1;
        self.audit();
    }

    /// How many are or were being checked or reset; a caller who leaves changes none of it.
    fn worked_on(&self) -> u64 {
        let state = self.pool.state();
        let closed = self.pool.statistics();
        (state.checking + state.resetting) as u64 + closed.closed_for(CloseReason::CheckCancelled)
    }

    fn audit(&self) {
        self.pool.audit().unwrap();
        assert!(self.script.live() <= SIZE, "more connections than allowed");
    }

    /// The server is well again and the holders are gone: every slot can be lent, to callers who
    /// wait for their wake-ups.
    async fn recover(mut self) {
        self.held.clear();
        self.audit();
        // If nobody has met it yet, the failure to connect is this one's.
        drop(self.pool.get_timeout(ms(5000)).await);
        let mut held = Vec::new();
        for _ in 0..SIZE {
            let pooled = self.pool.get_timeout(ms(5000)).await.unwrap();
            assert!(!pooled.busy, "an exchange is half done");
            held.push(pooled);
        }
        assert!(self.pool.try_get().is_none());
        assert_eq!(self.script.live(), SIZE);
        drop(held);
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.pool.audit_quiescent().unwrap();
        let report = self.pool.close(ms(1000)).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(self.script.live(), 0);
    }
}

/// Polls each acquire until it has been polled so often, or has ended; then drops it, and what it
/// may hold. Says whether all had ended by themselves.
async fn leave_after(rig: &mut Rig, polls: &[u32]) -> bool {
    let mut acquires: Vec<_> = polls
        .iter()
        .map(|polls| (Some(rig.acquire()), *polls))
        .collect();
    let mut ended = 0;
    for turn in 0.. {
        for (acquire, polls) in &mut acquires {
            let Some(future) = acquire else { continue };
            if turn == *polls {
                let before = rig.worked_on();
                *acquire = None;
                assert_eq!(rig.worked_on(), before, "half-done work is given on");
            } else if let std::task::Poll::Ready(result) = poll!(future) {
                ended += 1;
                if let Ok(pooled) = &result {
                    assert!(!pooled.busy, "an exchange is half done");
                }
                rig.audit();
                *acquire = None;
            }
            rig.audit();
        }
        if acquires.iter().all(|(acquire, _)| acquire.is_none()) {
            break;
        }
        rig.turn().await;
    }
    ended == polls.len()
}

fn silence() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&"scripted panic") {
            before(info);
        }
    }));
}

#[tokio::test(start_paused = true)]
async fn leaving_after_any_poll_loses_nothing() {
    silence();
    for stage in STAGES {
        for step in STEPS {
            for polls in 0.. {
                let mut rig = Rig::new(stage, step).await;
                let ended = leave_after(&mut rig, &[polls]).await;
                rig.recover().await;
                if ended {
                    break;
                }
                assert!(polls < 40, "{stage:?} {step:?}: the acquire never ends");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_leave_after_any_polls_lose_nothing() {
    silence();
    for stage in STAGES {
        for step in STEPS {
            for first in 0..8 {
                for second in 0..8 {
                    let mut rig = Rig::new(stage, step).await;
                    leave_after(&mut rig, &[first, second]).await;
                    rig.recover().await;
                }
            }
        }
    }
}
