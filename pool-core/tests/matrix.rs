//! Every stage does well, fails, is slow or never ends, while callers leave at random.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;

use pool_core::testing::{Script, Step, Steps};
use pool_core::{Check, ErrorClass, ResetAt};
use support::{Dice, ScriptedPool, ms, pass, pool_of, resetting, settle, take};

const MAX: usize = 3;

fn steps(stage: fn(&Script) -> &Steps, script: &Script, state: usize) {
    let step = [
        Step::Ok,
        Step::Fail(ErrorClass::Transient),
        Step::Delay(ms(4)),
        Step::Hang,
    ][state];
    stage(script).otherwise(step);
}

/// Eight callers, of whom some leave, and some break or abandon what they hold.
async fn storm(script: &Script, pool: &ScriptedPool, seed: u64) {
    let mut tasks = Vec::new();
    for i in 0..8 {
        let pool = pool.clone();
        let mut dice = Dice(seed * 8 + i);
        tasks.push(tokio::spawn(async move {
            for _ in 0..3 {
                let mut get = Box::pin(pool.get_timeout(ms(15)));
                let patience = dice.below(12);
                let held = tokio::select! {
                    biased;
                    held = &mut get => held,
                    () = pass(ms(patience)) => continue,
                };
                let Ok(mut held) = held else { continue };
                assert!(
                    !held.busy,
                    "a connection is lent in the middle of an exchange"
                );
                held.dirt = 1;
                pass(ms(dice.below(4))).await;
                match dice.below(8) {
                    0 => held.broken = true,
                    1 => drop(held.operation()),
                    2 => drop(held.detach()),
                    3 => held.close().await,
                    _ => drop(held),
                }
            }
        }));
    }
    for task in tasks {
        while !task.is_finished() {
            pass(ms(1)).await;
            pool.audit()
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let state = pool.state();
            assert!(state.size <= MAX, "seed {seed}: {state:?}");
        }
        task.await.unwrap();
    }
    assert!(
        script.most_live() <= MAX + 1,
        "one may be detached: {}",
        script.most_live()
    );
}

/// Scenario 9, and invariants 1, 2 and 4 on the way: whatever the four asynchronous stages do, in
/// every combination with the peek, and whoever leaves, all capacity is usable afterwards.
#[tokio::test(start_paused = true)]
async fn all_capacity_survives_every_combination_of_stages_and_leaving_callers() {
    for seed in 0..1024 {
        let script = resetting(if seed % 2 == 0 {
            ResetAt::Checkout
        } else {
            ResetAt::Return
        });
        let (script, pool) = pool_of(script, MAX, |b| {
            let b = b.connect_timeout(ms(10)).validate_timeout(ms(10));
            let b = b.reset_timeout(ms(10)).close_timeout(ms(10));
            b.check(if seed % 4 < 2 {
                Check::Always
            } else {
                Check::Never
            })
        });
        let states: [usize; 4] = std::array::from_fn(|i| (seed as usize >> (2 * i + 1)) & 3);
        steps(|s| &s.connect, &script, states[0]);
        steps(|s| &s.is_valid, &script, states[1]);
        steps(|s| &s.reset, &script, states[2]);
        steps(|s| &s.close, &script, states[3]);
        if seed >= 512 {
            script
                .has_broken
                .then(Step::Ok)
                .then(Step::Fail(ErrorClass::Broken))
                .then(Step::Panic);
        }
        storm(&script, &pool, seed).await;

        for stage in [
            &script.connect,
            &script.is_valid,
            &script.reset,
            &script.close,
        ] {
            stage.otherwise(Step::Ok);
        }
        let held = take(&pool, MAX).await;
        assert!(held.iter().all(|c| !c.busy && c.dirt == 0));
        drop(held);
        pass(ms(50)).await;
        pool.audit_quiescent()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(script.live(), pool.state().size);
        assert!(pool.close(ms(100)).await.is_clean());
        drop(pool);
        settle().await;
        assert_eq!(
            Arc::strong_count(&script),
            1,
            "seed {seed}: something is left"
        );
    }
}
