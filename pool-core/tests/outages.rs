//! The fault table of the contract, as far as the pool alone can keep it.
//!
//! What callers see while the server fails under them.

mod support;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use pool_core::testing::Step;
use pool_core::{
    Check, CloseReason, ConnectContext, ErrorClass, ErrorKind, Event, Manager, Pool, RunError,
};
use support::{Recorder, ms, pass, pool_with, settle, take};
use tokio::time::Instant;

const SECRET: &str = "hunter2";

struct Denied(String);

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Default)]
struct Login(Arc<AtomicU64>);

impl Manager for Login {
    type Connection = String;
    type Error = Denied;

    async fn connect(&self, context: ConnectContext) -> Result<String, Denied> {
        self.0.fetch_add(1, SeqCst);
        if context.id == 0 {
            return Ok(SECRET.into());
        }
        Err(Denied(format!("password {SECRET} refused")))
    }

    fn classify(&self, _: &Denied) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// The fault: bad password. At once to everybody, tried again seldom, and the secret in no text.
#[tokio::test(start_paused = true)]
async fn a_bad_password_reaches_everybody_at_once_is_tried_seldom_and_shows_nowhere() {
    let (login, recorder) = (Login::default(), Recorder::default());
    let pool = Pool::builder(login.clone())
        .max_size(4)
        .observer(recorder.clone())
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let asked = Instant::now();
    let errors = futures_util::future::join_all((0..20).map(|_| pool.get())).await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    let mut texts = format!(
        "{pool:?} {held:?} {:?} {:?}",
        pool.state(),
        pool.statistics()
    );
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (ErrorKind::Connect, false)
        );
        assert_eq!(
            error.connect_error().unwrap().0,
            format!("password {SECRET} refused")
        );
        let run = RunError::<_, ()>::Acquire(error.clone());
        texts += &format!("{error} {error:?} {run:?}");
    }
    texts += &format!("{:?}", recorder.events());
    assert!(!texts.contains(SECRET), "{texts}");
    let before = login.0.load(SeqCst);
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        let _ = pool.get_timeout(ms(100)).await;
        pass(ms(10)).await;
    }
    let attempts = login.0.load(SeqCst) - before;
    assert!(attempts <= 41, "{attempts} attempts in 20 s");
    drop(held);
    assert!(pool.try_get().is_some(), "the last good connection is kept");
}

/// The fault: killed, restarted. After a few dead in a row all of their age go, at most one
/// failure per caller is seen, and the full size is back within 5 s.
#[tokio::test(start_paused = true)]
async fn a_restart_costs_each_caller_one_failure_at_most() {
    let (script, pool) = pool_with(16, |b| b.check(Check::Never));
    let held = take(&pool, 16).await;
    // Those that are lent die in their users' hands; the server is away for 3 s.
    script.connect.otherwise(Step::Fail(ErrorClass::Transient));
    for mut lease in held {
        lease.report(ErrorClass::Broken);
    }
    settle().await;
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get_timeout(Duration::from_secs(10)).await })
        })
        .collect();
    pass(Duration::from_secs(3)).await;
    script.connect.otherwise(Step::Ok);
    let back = Instant::now();
    let mut held = Vec::new();
    for caller in callers {
        held.push(caller.await.unwrap().unwrap());
    }
    assert!(back.elapsed() <= Duration::from_secs(5));
    assert!(
        held.iter().all(|connection| connection.id >= 16),
        "a dead one is lent again"
    );
    drop(held);
    pool.audit_quiescent().unwrap();
}

/// The fault: dead idle connections. The third in a row condemns the rest of its generation.
#[tokio::test(start_paused = true)]
async fn three_dead_in_a_row_take_their_generation_with_them_without_an_error() {
    let recorder = Recorder::default();
    let (script, pool) = pool_with(20, |b| b.observer(recorder.clone()).check(Check::Never));
    drop(take(&pool, 20).await);
    for _ in 0..3 {
        script.has_broken.then(Step::Fail(ErrorClass::Broken));
    }
    assert_eq!(pool.get().await.unwrap().id, 20);
    settle().await;
    assert_eq!(
        recorder.count(|event| matches!(event, Event::Swept { .. })),
        1
    );
    assert_eq!(pool.statistics().closed_for(CloseReason::Swept), 17);
    assert_eq!(script.live(), pool.state().size);
    pool.audit_quiescent().unwrap();
}

/// The fault: failover. A connection in the wrong role takes its generation with it.
#[tokio::test(start_paused = true)]
async fn a_wrong_role_takes_the_generation_with_it_once() {
    let recorder = Recorder::default();
    let (_, pool) = pool_with(6, |b| b.observer(recorder.clone()));
    let mut held = take(&pool, 6).await;
    drop(held.split_off(4));
    settle().await;
    for lease in &mut held {
        lease.report(ErrorClass::WrongRole);
    }
    settle().await;
    assert_eq!(
        recorder.count(|event| matches!(event, Event::Cleared { .. })),
        1
    );
    assert_eq!((pool.state().idle, pool.state().generation), (0, 1));
    drop(held);
    assert!(
        take(&pool, 6)
            .await
            .iter()
            .all(|connection| connection.id >= 6)
    );
    pool.audit_quiescent().unwrap();
}

/// The fault: the server closes what is idle. A hundred times, and no caller sees an error.
#[tokio::test(start_paused = true)]
async fn a_hundred_idle_timeouts_of_the_server_cost_no_caller_an_error() {
    let (script, pool) = pool_with(2, |b| b.check(Check::IdleFor(ms(100))));
    for round in 0..100 {
        drop(pool.get().await.unwrap());
        pass(ms(200)).await;
        // The peek sees it, or only the check does.
        let steps = if round % 2 == 0 {
            &script.has_broken
        } else {
            &script.is_valid
        };
        steps.then(Step::Fail(ErrorClass::Broken));
    }
    let statistics = pool.statistics();
    assert_eq!(
        (statistics.failed, statistics.timed_out, script.connects()),
        (0, 0, 100)
    );
    pool.audit_quiescent().unwrap();
}

/// The fault: connect refused. Callers who can have a connection of others never see it.
#[tokio::test(start_paused = true)]
async fn existing_connections_are_lent_while_no_new_one_can_be_opened() {
    let (script, pool) = pool_with(8, |b| b.check(Check::Never));
    let held = take(&pool, 2).await;
    script.connect.otherwise(Step::Fail(ErrorClass::Transient));
    drop(held);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let held = pool.get().await.unwrap();
                    pass(ms(5)).await;
                    drop(held);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(
        script.connects() <= 2 + 24,
        "{} attempts",
        script.connects()
    );
    pool.audit_quiescent().unwrap();
}

/// The fault: connect refused, and the gate knows. A refusal in its name is an acquire that failed.
#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_name_of_the_gate_counts_as_a_failed_acquire() {
    let (_, pool) = pool_with(2, |builder| builder);
    for refused in 1..=3 {
        assert_eq!(pool.refuse_connect().kind(), ErrorKind::Connect);
        let statistics = pool.statistics();
        assert_eq!((statistics.started, statistics.failed), (refused, refused));
    }
    pool.audit_quiescent().unwrap();
}

/// The fault: nonsense in the configuration. Each setting alone is refused by its name, and no
/// setter panics.
#[test]
fn nonsense_is_refused_by_the_name_of_its_setting() {
    type Set = fn(&mut pool_core::Config);
    const ZERO: Duration = Duration::ZERO;
    let nonsense: [(&str, Set); 20] = [
        ("max_size", |c| c.max_size = 0),
        ("max_size", |c| c.max_size = usize::MAX),
        ("min_idle", |c| c.min_idle = 11),
        ("acquire_timeout", |c| c.acquire_timeout = Some(ZERO)),
        ("wait_timeout", |c| c.wait_timeout = Some(ZERO)),
        ("connect_timeout", |c| c.connect_timeout = ZERO),
        ("validate_timeout", |c| c.validate_timeout = ZERO),
        ("reset_timeout", |c| c.reset_timeout = ZERO),
        ("close_timeout", |c| c.close_timeout = ZERO),
        ("check", |c| c.check = Check::IdleFor(ZERO)),
        ("keepalive", |c| c.keepalive = Some(ZERO)),
        ("idle_timeout", |c| c.idle_timeout = Some(ZERO)),
        ("max_lifetime", |c| c.max_lifetime = Some(Duration::MAX)),
        ("lifetime_jitter", |c| c.lifetime_jitter = f64::NAN),
        ("lifetime_jitter", |c| c.lifetime_jitter = -0.1),
        ("max_uses", |c| c.max_uses = Some(0)),
        ("max_connecting", |c| c.max_connecting = 0),
        ("connect_rate", |c| c.connect_rate = Some(0)),
        ("max_waiters", |c| c.max_waiters = usize::MAX),
        ("sweep_after", |c| c.sweep_after = 0),
    ];
    for (field, set) in nonsense {
        let script = pool_core::testing::Script::new();
        let mut config = pool_core::Config::new(10);
        set(&mut config);
        let errors = Pool::builder(script.manager())
            .config(config)
            .build()
            .unwrap_err();
        assert!(
            errors.violations().iter().any(|v| v.field == field),
            "{field}: {errors}"
        );
    }
}
