//! Everything ends in time, by its stage's limit and by the total.

mod support;

use std::time::Duration;

use pool_core::testing::Step;
use pool_core::{Check, ErrorClass, ErrorKind, Event, GetOptions, ResetAt, Stage};
use support::{Recorder, ms, pass, pool, pool_of, pool_with, resetting, settle, take};
use tokio::time::Instant;

/// Invariant 3: an acquire ends at its time exactly, whatever the stages do.
#[tokio::test(start_paused = true)]
async fn invariant_3_every_acquire_is_resolved_by_its_timeout_exactly() {
    for hanging in [Stage::Wait, Stage::Connect, Stage::Validate, Stage::Reset] {
        for own in [false, true] {
            let (script, pool) = pool_of(resetting(ResetAt::Checkout), 1, |b| {
                b.check(Check::Always)
                    .acquire_timeout(if own {
                        Duration::from_secs(60)
                    } else {
                        ms(1234)
                    })
                    .connect_timeout(Duration::from_secs(7))
                    .validate_timeout(Duration::from_secs(7))
                    .reset_timeout(Duration::from_secs(7))
            });
            let mut held = None;
            match hanging {
                Stage::Wait => held = Some(pool.get().await.unwrap()),
                Stage::Connect => drop(script.connect.otherwise(Step::Hang)),
                Stage::Validate => {
                    drop(pool.get().await.unwrap());
                    script.is_valid.otherwise(Step::Hang);
                }
                _ => {
                    drop(pool.get().await.unwrap());
                    script.reset.otherwise(Step::Hang);
                }
            }
            let asked = Instant::now();
            let options = if own {
                GetOptions::new().timeout(ms(1234))
            } else {
                GetOptions::new()
            };
            let error = pool.get_with(options).await.unwrap_err();
            assert_eq!(asked.elapsed(), ms(1234), "{hanging}");
            assert_eq!(error.kind(), ErrorKind::Timeout(hanging));
            assert_eq!(error.waited(), ms(1234));
            drop(held);
            pool.audit_quiescent().unwrap();
        }
    }
}

/// The stage says what was missing, not what the pool was doing in that instant: a pool that cannot
/// connect waits for a connect between two attempts as well.
#[tokio::test(start_paused = true)]
async fn the_stage_is_the_same_whenever_the_time_runs_out() {
    let fail = |class| Step::Fail(class);
    let table = [
        (Step::Hang, Stage::Connect),
        (Step::FailAfter(ms(30)), Stage::Connect),
        (fail(ErrorClass::Transient), Stage::Connect),
        // A server that is full says that others hold what there is.
        (fail(ErrorClass::Overload), Stage::Wait),
    ];
    for (step, stage) in table {
        let (script, pool) = pool_with(2, |b| b.connect_timeout(ms(100)));
        let held = pool.get().await.unwrap();
        script.connect.otherwise(step);
        for limit in (5..1200).step_by(35) {
            let error = pool.get_timeout(ms(limit)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout(stage), "{step:?} {limit}");
        }
        drop(held);
        pool.audit_quiescent().unwrap();
    }
    let (script, pool) = pool_with(2, |b| b);
    script.connect.otherwise(fail(ErrorClass::Overload));
    let error = pool.get_timeout(ms(100)).await.unwrap_err();
    let kind = ErrorKind::Timeout(Stage::Connect);
    assert_eq!(error.kind(), kind, "full, and nothing is lent");

    let (_, pool) = pool_with(2, |b| b);
    let held = pool.get().await.unwrap();
    pool.suspend();
    for lent in [Some(held), None] {
        let error = pool.get_timeout(ms(100)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Wait), "suspended");
        drop(lent);
    }
}

/// Scenario 28: each stage has its limit, the total holds over all, and the call's own comes first.
#[tokio::test(start_paused = true)]
async fn each_stage_ends_at_its_own_limit_within_the_total() {
    let (script, pool) = pool_with(1, |b| {
        b.wait_timeout(ms(100))
            .connect_timeout(ms(100))
            .validate_timeout(ms(100))
            .acquire_timeout(ms(150))
            .check(Check::Always)
    });
    let held = pool.get().await.unwrap();
    let asked = Instant::now();
    let error = pool.get().await.unwrap_err();
    assert_eq!(
        (error.kind(), asked.elapsed()),
        (ErrorKind::Timeout(Stage::Wait), ms(100))
    );
    let asked = Instant::now();
    let options = GetOptions::new().wait_timeout(ms(20));
    let error = pool.get_with(options).await.unwrap_err();
    assert_eq!(
        (error.kind(), asked.elapsed()),
        (ErrorKind::Timeout(Stage::Wait), ms(20))
    );
    let asked = Instant::now();
    let options = GetOptions::new().deadline(support::now() + ms(30));
    assert!(pool.get_with(options).await.is_err());
    assert_eq!(asked.elapsed(), ms(30));
    drop(held);

    // The check hangs for 30 ms of its own limit; then there is time to connect.
    script.is_valid.then(Step::Hang);
    let asked = Instant::now();
    let options = GetOptions::new().validate_timeout(ms(30));
    drop(pool.get_with(options).await.unwrap());
    assert_eq!(asked.elapsed(), ms(30));

    // Check and connect together would take 200 ms.
    script.is_valid.then(Step::Hang);
    script.connect.otherwise(Step::Hang);
    let asked = Instant::now();
    assert!(
        pool.get_with(GetOptions::new().wait_timeout(ms(140)))
            .await
            .is_err()
    );
    assert_eq!(asked.elapsed(), ms(150));
    pool.audit_quiescent().unwrap();
}

/// Invariant 6: what the pool starts ends, though the server never answers again.
#[tokio::test(start_paused = true)]
async fn invariant_6_every_stage_the_pool_starts_has_a_deadline() {
    let limit = ms(300);
    let (script, pool) = pool_of(resetting(ResetAt::Return), 4, |b| {
        b.connect_timeout(limit)
            .validate_timeout(limit)
            .reset_timeout(limit)
            .close_timeout(limit)
            .keepalive(ms(500))
            .check(Check::Never)
    });

    script.connect.otherwise(Step::Hang);
    assert!(pool.get_timeout(ms(1)).await.is_err());
    assert_eq!(pool.state().connecting, 1);
    pass(limit).await;
    settle().await;
    assert_eq!(pool.state().connecting, 0, "a connect ends");
    script.connect.otherwise(Step::Ok);
    pass(ms(100)).await;

    let held = take(&pool, 4).await;
    script.reset.otherwise(Step::Hang);
    script.close.otherwise(Step::Hang);
    drop(held);
    settle().await;
    assert_eq!(pool.state().resetting, 4);
    pass(limit + ms(1)).await;
    assert_eq!(
        (pool.state().resetting, pool.state().closing),
        (0, 4),
        "a reset ends"
    );
    pass(limit + ms(1)).await;
    assert_eq!(pool.state().closing, 0, "a close ends");

    script.reset.otherwise(Step::Ok);
    script.close.otherwise(Step::Ok);
    drop(take(&pool, 1).await);
    settle().await;
    script.is_valid.otherwise(Step::Hang);
    while pool.state().checking == 0 {
        pass(ms(50)).await;
    }
    pass(limit + ms(1)).await;
    assert_eq!(pool.state().checking, 0, "a keepalive ends");

    script.connect.otherwise(Step::Hang);
    let asked = Instant::now();
    assert_eq!(pool.dedicated().await.unwrap_err(), None);
    assert_eq!(asked.elapsed(), limit);
    assert_eq!(
        script.live(),
        pool.state().size,
        "none is left of what hung"
    );
    pool.audit_quiescent().unwrap();
}

/// The fault: connect hangs. It fails at its limit with the reason, and others are served meanwhile.
#[tokio::test(start_paused = true)]
async fn a_hanging_connect_holds_up_nobody_who_can_have_another_connection() {
    let (script, pool) = pool_with(2, |b| b.connect_timeout(ms(500)).acquire_timeout(ms(2000)));
    let held = pool.get().await.unwrap();
    script.connect.otherwise(Step::Hang);
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(|held| held.id) }
    });
    settle().await;
    assert_eq!(pool.state().connecting, 1);
    let (id, given) = (held.id, Instant::now());
    drop(held);
    assert_eq!(waiting.await.unwrap().unwrap(), id);
    assert_eq!(given.elapsed(), Duration::ZERO);
    let held = pool.get().await.unwrap();
    assert!(pool.get().await.is_err());
    assert!(pool.statistics().connect_timeouts >= 2);
    drop(held);
    pool.audit_quiescent().unwrap();
}

/// The fault: black hole. Guards of dead connections that come back delay the next acquire by at
/// most one reset and one connect, however many they are.
#[tokio::test(start_paused = true)]
async fn dead_guards_delay_the_next_acquire_by_one_reset_and_one_connect_at_most() {
    let (script, pool) = pool_of(resetting(ResetAt::Return), 30, |b| {
        b.reset_timeout(ms(200)).connect_timeout(ms(500))
    });
    let held = take(&pool, 30).await;
    script.reset.otherwise(Step::Hang);
    script.connect.otherwise(Step::Delay(ms(400)));
    drop(held);
    let asked = Instant::now();
    let fresh = pool.get().await.unwrap();
    assert!(asked.elapsed() <= ms(600), "{:?}", asked.elapsed());
    drop(fresh);
    script.reset.otherwise(Step::Ok);
    pass(ms(2000)).await;
    pool.audit_quiescent().unwrap();
}

/// The fault: black hole. Idle connections that are silent are found by the keepalive.
#[tokio::test(start_paused = true)]
async fn silent_idle_connections_are_found_by_the_keepalive() {
    let (script, pool) = pool_with(6, |b| b.keepalive(ms(1000)).validate_timeout(ms(300)));
    drop(take(&pool, 6).await);
    script.is_valid.otherwise(Step::Hang);
    pass(ms(5000)).await;
    assert_eq!((pool.state().size, script.live()), (0, 0));
    script.is_valid.otherwise(Step::Ok);
    let asked = Instant::now();
    drop(pool.get().await.unwrap());
    assert_eq!(asked.elapsed(), Duration::ZERO);
    pool.audit_quiescent().unwrap();
}

/// The fault: shutdown under load. It ends by its grace and 100 ms, with a report.
#[tokio::test(start_paused = true)]
async fn close_under_load_ends_within_its_grace_and_a_tenth_of_a_second() {
    for grace in [0, 50, 1000] {
        let (script, pool) = pool_with(8, |b| b.close_timeout(ms(30)));
        script.close.otherwise(Step::Hang);
        let users: Vec<_> = (0..50)
            .map(|i| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    while let Ok(held) = pool.get().await {
                        pass(ms(20 + 100 * (i % 3))).await;
                        drop(held);
                    }
                })
            })
            .collect();
        pass(ms(500)).await;
        let began = Instant::now();
        let report = pool.close(ms(grace)).await;
        assert!(
            began.elapsed() <= ms(grace + 100),
            "{:?} for {grace} ms",
            began.elapsed()
        );
        assert_eq!(report.outstanding, pool.state().size);
        for user in users {
            user.await.unwrap();
        }
        pass(ms(100)).await;
        assert_eq!((script.live(), pool.state().size), (0, 0));
        pool.audit_quiescent().unwrap();
    }
}

/// The fault: a leaked guard. Its slot is gone, and it is the acquire's own time that says so.
#[tokio::test(start_paused = true)]
async fn forgotten_guards_cost_their_slots_and_nothing_else() {
    let recorder = Recorder::default();
    let (_, pool) = pool_with(2, |b| b.leak_report(ms(1000)).observer(recorder.clone()));
    let (_, other) = self::pool(1);
    let line = line!() + 2;
    for _ in 0..2 {
        std::mem::forget(pool.get().await.unwrap());
    }
    let asked = Instant::now();
    let error = pool.get_timeout(ms(5000)).await.unwrap_err();
    assert_eq!(
        (error.kind(), asked.elapsed()),
        (ErrorKind::Timeout(Stage::Wait), ms(5000))
    );
    let mut reported = 0;
    for event in recorder.events() {
        if let Event::HeldTooLong { site, held, .. } = event {
            assert!(held >= ms(1000) && held <= ms(1300), "{held:?}");
            assert_eq!((site.file(), site.line()), (file!(), line));
            reported += 1;
        }
    }
    assert_eq!(reported, 2, "each lease is reported once");
    drop(other.get().await.unwrap());
    pool.audit_quiescent().unwrap();
}

/// "For ever" is a span like any other, wherever a call may name one.
#[tokio::test(start_paused = true)]
async fn the_longest_spans_of_a_call_are_welcome() {
    let (script, pool) = pool_of(resetting(ResetAt::Checkout), 1, |b| b.check(Check::Always));
    drop(pool.get().await.unwrap());
    for steps in [&script.reset, &script.is_valid] {
        steps.otherwise(Step::Delay(ms(5)));
    }
    let forever = GetOptions::new()
        .timeout(Duration::MAX)
        .wait_timeout(Duration::MAX)
        .validate_timeout(Duration::MAX)
        .reset_timeout(Duration::MAX);
    let held = pool.get_with(forever.clone()).await.unwrap();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { drop(pool.get_with(forever).await.unwrap()) }
    });
    pass(ms(2000)).await;
    drop(held);
    waiting.await.unwrap();
    assert!(pool.close(Duration::MAX).await.is_clean());
}
