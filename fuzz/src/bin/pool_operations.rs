//! Random operations on a pool whose server fails, hangs and recovers, in paused time.
//!
//! After each step the books balance; in the end, with the server well, the whole pool can be lent
//! and nothing of it is left behind.
#![no_main]

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use pool_core::testing::{Script, Scripted, ScriptedError, Step, Steps};
use pool_core::{Abandoned, Check, Error, ErrorClass, Pool, Pooled, ResetAt, WhenSuspended};
use tokio::time::Instant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime can be built").block_on(async {
        let mut bytes = bytes.iter().copied();
        let mut rig = Rig::new([(); 4].map(|()| bytes.next().unwrap_or(0)));
        while let Some(operation) = bytes.next() {
            rig.step(operation, &mut bytes).await;
            rig.check();
        }
        rig.end().await;
    });
});

type Get = Pin<Box<dyn Future<Output = Result<Pooled<Scripted>, Error<ScriptedError>>>>>;

struct Caller {
    get: Get,
    deadline: Instant,
}

struct Rig {
    script: Arc<Script>,
    pool: Pool<Scripted>,
    callers: Vec<Caller>,
    held: Vec<Pooled<Scripted>>,
    /// The most connections that there may have been at any time.
    most: usize,
}

impl Rig {
    fn new([size, times, policy, limits]: [u8; 4]) -> Self {
        let script = Script::new();
        *script.reset_at.lock().expect("no panic under it") = match policy % 3 {
            0 => ResetAt::Never,
            1 => ResetAt::Return,
            _ => ResetAt::Checkout,
        };
        *script.abandoned.lock().expect("no panic under it") = match policy / 3 % 2 {
            0 => Abandoned::Discard,
            _ => Abandoned::Reset,
        };
        let max_size = usize::from(size % 4) + 1;
        let some = |bit: u8, time| (times >> bit & 1 == 1).then_some(time);
        let pool = Pool::builder(script.manager())
            .max_size(max_size)
            .min_idle(usize::from(size / 4) % (max_size + 1))
            .max_connecting(usize::from(size / 32) % 3 + 1)
            .acquire_timeout(ACQUIRE)
            .wait_timeout(some(0, ACQUIRE / 2))
            .connect_timeout([ACQUIRE / 4, ACQUIRE * 4][usize::from(times >> 1 & 1)])
            .keepalive(some(2, ACQUIRE))
            .idle_timeout(some(3, ACQUIRE * 3))
            .max_lifetime(some(4, ACQUIRE * 20))
            .leak_report(some(5, ACQUIRE))
            .check(match policy / 6 % 3 {
                0 => Check::Always,
                1 => Check::IdleFor(ACQUIRE),
                _ => Check::Never,
            })
            .when_suspended(match policy / 18 % 2 {
                0 => WhenSuspended::Wait,
                _ => WhenSuspended::Refuse,
            })
            .max_waiters(usize::from(limits % 8) + 1)
            .max_uses((limits & 8 > 0).then_some(3))
            .connect_rate((limits & 16 > 0).then_some(5))
            .build()
            .expect("a good configuration");
        Self {
            script,
            pool,
            callers: Vec::new(),
            held: Vec::new(),
            most: max_size,
        }
    }

    async fn step(&mut self, operation: u8, bytes: &mut impl Iterator<Item = u8>) {
        let pick = usize::from(operation >> 4);
        match operation % 16 {
            0..=2 if self.callers.len() < CALLERS => self.get().await,
            3 => self.take(self.pool.try_get()),
            4 if !self.callers.is_empty() => self.poll(pick % self.callers.len()).await,
            5 if !self.callers.is_empty() => {
                self.callers.swap_remove(pick % self.callers.len());
            }
            6 | 7 if !self.held.is_empty() => {
                drop(self.held.swap_remove(pick % self.held.len()));
            }
            8 if !self.held.is_empty() => {
                let held = self.held.swap_remove(pick % self.held.len());
                abuse(held, pick).await;
            }
            9 => self.command(pick).await,
            10 => {
                self.most = self.most.max(pick % 6);
                self.pool.resize(pick % 6).expect("a small size");
            }
            11 => tokio::time::sleep(TIMES[pick % TIMES.len()]).await,
            12 | 13 => self.script(pick, bytes.next().unwrap_or(0)),
            14 => {
                self.most = self.most.max(pick % 5 + 1);
                let changed = self.pool.reconfigure(|config| {
                    config.max_size = pick % 5 + 1;
                    config.min_idle = pick % 2;
                    config.max_waiters = pick / 2 + 1;
                });
                changed.expect("a good configuration");
            }
            _ => tokio::task::yield_now().await,
        }
    }

    async fn get(&mut self) {
        let pool = self.pool.clone();
        let deadline = Instant::now() + ACQUIRE;
        let get: Get = Box::pin(async move { pool.get().await });
        self.callers.push(Caller { get, deadline });
        self.poll(self.callers.len() - 1).await;
    }

    async fn poll(&mut self, caller: usize) {
        let late = Instant::now() >= self.callers[caller].deadline;
        match poll!(&mut self.callers[caller].get) {
            Poll::Pending => assert!(!late, "an acquire outlives its time"),
            Poll::Ready(result) => {
                self.callers.swap_remove(caller);
                self.take(result.ok());
            }
        }
    }

    /// What is lent is whole, and nobody else's.
    fn take(&mut self, lent: Option<Pooled<Scripted>>) {
        let Some(lent) = lent else { return };
        assert!(!lent.busy, "lent in the middle of an exchange");
        assert!(!lent.broken && !lent.is_cut(), "lent although broken");
        self.held.push(lent);
    }

    async fn command(&mut self, pick: usize) {
        match pick {
            0 => self.pool.suspend(),
            1..=3 => self.pool.resume(),
            4 => self.pool.clear(),
            5 => self.pool.clear_spread(ACQUIRE),
            6 => self.pool.retain(|connection, _| {
                if connection.id % 2 == 0 {
                    pool_core::Verdict::Keep
                } else {
                    pool_core::Verdict::Discard
                }
            }),
            7 => {
                let _ = self.pool.warm().await;
            }
            8 => {
                let _ = self.pool.dedicated().await;
            }
            9 => {
                let _ = poll!(Box::pin(self.pool.warm()));
            }
            10 => {
                let _ = poll!(Box::pin(self.pool.close(ACQUIRE)));
            }
            11 => {
                self.pool.close(ACQUIRE).await;
            }
            12 => {
                let result: Result<(), _> = self.pool.run(async |_| Ok::<_, ()>(())).await;
                let _ = result;
            }
            _ => {}
        }
    }

    fn stages(&self) -> [&Steps; 5] {
        let script = &self.script;
        [
            &script.connect,
            &script.is_valid,
            &script.reset,
            &script.close,
            &script.has_broken,
        ]
    }

    fn script(&self, stage: usize, what: u8) {
        self.stages()[stage % 5].otherwise(match what % 8 {
            0 => Step::Ok,
            1 => Step::Fail(ErrorClass::Transient),
            2 => Step::Fail(ErrorClass::Permanent),
            3 => Step::Fail(ErrorClass::Overload),
            4 => Step::Delay(TIMES[usize::from(what >> 3) % TIMES.len()]),
            5 => Step::FailAfter(TIMES[usize::from(what >> 3) % TIMES.len()]),
            6 => Step::Yield(2),
            _ => Step::Hang,
        });
    }

    fn check(&self) {
        self.pool.audit().expect("the books balance");
        let state = self.pool.state();
        let parts = [
            state.idle,
            state.leased,
            state.connecting,
            state.checking,
            state.resetting,
            state.closing,
        ];
        assert_eq!(state.size, parts.iter().sum(), "{state:?}");
        assert!(state.size <= self.most, "{state:?}");
        let holders: HashSet<u64> = self.held.iter().map(|held| held.id).collect();
        assert_eq!(holders.len(), self.held.len(), "one holder per connection");
        assert!(state.leased >= self.held.len(), "{state:?}");
    }

    /// The server is well again: everything comes back, unless the pool is closed.
    async fn end(mut self) {
        for steps in self.stages() {
            steps.otherwise(Step::Ok);
        }
        self.callers.clear();
        self.held.clear();
        self.pool.resume();
        self.most = self.most.max(3);
        self.pool.resize(3).expect("a small size");
        tokio::time::sleep(ACQUIRE * 100).await;
        if !self.pool.is_closed() {
            let changed = self.pool.reconfigure(|config| config.max_waiters = 8);
            changed.expect("a good configuration");
            for _ in 0..3 {
                let lent = self.pool.get().await;
                self.take(Some(lent.expect("the server is well")));
                self.check();
            }
            self.held.clear();
        }
        let report = self.pool.close(ACQUIRE).await;
        assert!(report.is_clean(), "{report}");
        self.pool.audit_quiescent().expect("the accounts balance");
        assert_eq!(self.script.live(), 0, "a connection outlives its pool");
    }
}

/// What a user can do with a connection besides giving it back.
async fn abuse(mut held: Pooled<Scripted>, how: usize) {
    match how % 8 {
        0 => held.invalidate(),
        1 => drop(held.operation()),
        2 => held.operation().complete(),
        3 => held.broken = true,
        4 => drop(held.detach()),
        5 => held.close().await,
        6 => held.report(ErrorClass::WrongRole),
        _ => drop(poll!(Box::pin(held.close()))),
    }
}

const ACQUIRE: Duration = Duration::from_millis(800);
const CALLERS: usize = 12;
const TIMES: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(9),
    Duration::from_millis(50),
    Duration::from_millis(110),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_secs(4),
    Duration::from_secs(60),
];
