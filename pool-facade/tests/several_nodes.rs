//! Several nodes behind one pool: choice, failover, roles, probes, and changes while calls run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use pool_core::ErrorClass;
use pool_core::testing::{Script, Scripted, ScriptedError, Step};
use pool_facade::balance::{Role, Standing};
use pool_facade::health::{Failure, Report};
use pool_facade::{Builder, CallOptions, Endpoint, ErrorKind, Pool, pool_core};
use support::{ms, pass};

/// Nodes `a`, `b`, .., as many as scripts are returned.
fn pool_of<const N: usize>(
    set: impl FnOnce(Builder<Scripted>) -> Builder<Scripted>,
) -> ([Arc<Script>; N], Pool<Scripted>) {
    let scripts = std::array::from_fn(|_| Script::new());
    let mut builder = Pool::builder();
    for (script, name) in scripts.iter().zip(["a", "b", "c", "d"]) {
        builder = builder.node(name, script.manager());
    }
    (scripts, set(builder).build().unwrap())
}

/// Runs so many calls, one after the other, and counts the nodes that served them.
async fn calls(
    pool: &Pool<Scripted>,
    count: usize,
    options: &CallOptions,
) -> BTreeMap<String, usize> {
    let mut nodes = BTreeMap::new();
    for _ in 0..count {
        let guard = pool.get_with(options.clone()).await.unwrap();
        *nodes.entry(guard.node().to_owned()).or_default() += 1;
        pass(ms(1)).await;
    }
    nodes
}

fn standing(pool: &Pool<Scripted>, name: &str) -> Standing {
    let state = pool.state();
    let node = state.nodes.iter().find(|node| &*node.name == name);
    node.unwrap().view.unwrap().standing
}

#[tokio::test(start_paused = true)]
async fn calls_are_spread_over_the_nodes() {
    let (scripts, pool) = pool_of::<3>(|builder| builder);
    let nodes = calls(&pool, 300, &CallOptions::new()).await;
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    assert!(nodes.values().all(|count| *count >= 30), "{nodes:?}");
    assert!(scripts.iter().all(|script| script.live() >= 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_connected_to_costs_no_caller_an_error() {
    let (scripts, pool) = pool_of::<2>(|builder| builder);
    scripts[0]
        .connect
        .otherwise(Step::Fail(ErrorClass::Transient));
    for _ in 0..200 {
        pool.run(async |_| Ok(())).await.unwrap();
        pass(ms(5)).await;
    }
    assert_eq!(standing(&pool, "a"), Standing::Failing);
    assert_eq!(
        pool.statistics().retries.attempts,
        0,
        "nothing was executed twice"
    );
    // When it is back, probes in the background find it, and it gets its share again.
    scripts[0].connect.otherwise(Step::Ok);
    pass(Duration::from_secs(5)).await;
    assert_eq!(standing(&pool, "a"), Standing::Good);
    pass(Duration::from_secs(10)).await;
    let nodes = calls(&pool, 200, &CallOptions::new()).await;
    assert!(nodes["a"] >= 40, "{nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_operation_is_tried_again_on_another_node() {
    let (_, pool) = pool_of::<2>(|builder| builder);
    let tried = std::sync::Mutex::new(Vec::new());
    // The first attempt fails wherever it is; connections are told apart by their scripts' marks.
    let options = CallOptions::new().idempotent();
    for guard in [pool.get().await.unwrap(), pool.get().await.unwrap()] {
        drop(guard);
    }
    let call = pool.run_with(options, async |connection| {
        let mut tried = tried.lock().unwrap();
        tried.push(std::ptr::from_ref(connection) as usize);
        match tried.len() {
            1 => Err(ScriptedError::new(ErrorClass::Transient)),
            _ => Ok(()),
        }
    });
    call.await.unwrap();
    let tried = tried.into_inner().unwrap();
    assert_ne!(tried[0], tried[1]);
    assert_eq!(pool.statistics().retries.succeeded, 1);
    let failures: Vec<_> = (pool.statistics().nodes.iter())
        .map(|node| (node.breaker.totals.failures, node.breaker.totals.successes))
        .collect();
    assert!(
        failures == [(1, 0), (0, 1)] || failures == [(0, 1), (1, 0)],
        "{failures:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_is_refused_only_when_the_breakers_of_all_nodes_are_open() {
    let (_, pool) = pool_of::<2>(|builder| builder);
    let mut failures = 0;
    let error = loop {
        let result = pool
            .run(async |_| Err::<(), _>(ScriptedError::new(ErrorClass::Transient)))
            .await;
        let error = result.unwrap_err();
        if error.kind() != ErrorKind::Operation {
            break error;
        }
        failures += 1;
    };
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(failures, 10, "five at each node");
    assert!(!pool.ready().ready);
    assert_eq!(pool.ready().reasons.len(), 2, "{}", pool.ready());
}

#[tokio::test(start_paused = true)]
async fn writes_go_to_the_primary_and_reads_to_the_replicas_and_a_failover_is_followed() {
    // Which script is the primary; asked over a connection, as `pg_is_in_recovery()` is.
    let first_leads = Arc::new(AtomicBool::new(true));
    let leads = first_leads.clone();
    let scripts = [Script::new(), Script::new()];
    let pool = Pool::builder()
        .endpoint(Endpoint::new("a", scripts[0].manager()).role(Role::Primary))
        .endpoint(Endpoint::new("b", scripts[1].manager()).role(Role::Replica))
        .probe(move |connection| {
            let first = connection.dirt != 2;
            let primary = leads.load(SeqCst) == first;
            Box::pin(async move {
                let role = if primary {
                    Role::Primary
                } else {
                    Role::Replica
                };
                Report::up().with_role(role)
            })
        })
        .build()
        .unwrap();
    // Marks the connections of `b`, so that the probe knows where it is.
    let read = CallOptions::new().read_only();
    let mut held: Vec<_> = Vec::new();
    for _ in 0..10 {
        let mut guard = pool.get_with(read.clone()).await.unwrap();
        guard.dirt = 2;
        held.push(guard);
    }
    drop(held);
    let written = calls(&pool, 50, &CallOptions::new()).await;
    assert_eq!(written.keys().collect::<Vec<_>>(), ["a"]);
    let served = calls(&pool, 50, &read).await;
    assert_eq!(served.keys().collect::<Vec<_>>(), ["b"]);
    // The roles change places; probes find out.
    first_leads.store(false, SeqCst);
    pass(Duration::from_secs(40)).await;
    let written = calls(&pool, 50, &CallOptions::new()).await;
    assert_eq!(written.keys().collect::<Vec<_>>(), ["b"]);
    // With no replica left, reads go to the primary.
    pool.remove("a", ms(10)).await.unwrap();
    let served = calls(&pool, 10, &read).await;
    assert_eq!(served.keys().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_lies_is_outranked_by_real_calls() {
    // It calls every node dead, while they serve.
    let (_, pool) = pool_of::<3>(|builder| {
        builder.probe(|_| Box::pin(async { Report::down(Failure::Status) }))
    });
    for _ in 0..2000 {
        pool.run(async |_| Ok(())).await.unwrap();
        pass(ms(20)).await;
    }
    let nodes = calls(&pool, 300, &CallOptions::new()).await;
    assert_eq!(nodes.len(), 3, "{nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn after_several_outages_nodes_that_serve_are_back_within_five_seconds() {
    let (scripts, pool) = pool_of::<3>(|builder| builder);
    let gone = AtomicBool::new(false);
    let call = async || {
        let failed = gone.load(SeqCst);
        let result = pool.run(async |_| match failed {
            true => Err(ScriptedError::new(ErrorClass::Broken)),
            false => Ok(()),
        });
        let _ = result.await;
        pass(ms(5)).await;
    };
    for span in [ms(6000), ms(4000), ms(4000), ms(4000)] {
        for (is_gone, span) in [(true, span), (false, ms(5000))] {
            gone.store(is_gone, SeqCst);
            for script in &scripts {
                let step = Step::Fail(ErrorClass::Broken);
                script
                    .connect
                    .otherwise(if is_gone { step } else { Step::Ok });
            }
            let until = support::now() + span;
            while support::now() < until {
                call().await;
            }
        }
        for name in ["a", "b", "c"] {
            assert!(standing(&pool, name).serves(), "{:?}", pool.state());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_down_and_remains_alone_is_seen_to_be_back() {
    let (scripts, pool) = pool_of::<2>(|builder| builder);
    let step = Step::Fail(ErrorClass::Transient);
    scripts[0].connect.otherwise(step);
    pool.run(async |_| Ok(())).await.unwrap();
    pass(Duration::from_secs(40)).await;
    assert_eq!(standing(&pool, "a"), Standing::Down);
    pool.remove("b", ms(10)).await.unwrap();
    scripts[0].connect.otherwise(Step::Ok);
    pass(Duration::from_secs(10)).await;
    assert_eq!(standing(&pool, "a"), Standing::Good);
    // There is nothing to ask for any more.
    let asked = || scripts[0].checks();
    pool.run(async |_| Ok(())).await.unwrap();
    pass(Duration::from_secs(5)).await;
    let before = asked();
    pass(Duration::from_secs(50)).await;
    assert!(asked() <= before + 1, "but by keepalive");
}

#[tokio::test(start_paused = true)]
async fn nodes_come_and_go_while_calls_run() {
    let (_, pool) = pool_of::<1>(|builder| builder);
    let runner = tokio::spawn({
        let pool = pool.clone();
        async move {
            for _ in 0..1000 {
                pool.run(async |_| {
                    tokio::task::yield_now().await;
                    Ok(())
                })
                .await
                .unwrap();
                pass(ms(1)).await;
            }
        }
    });
    let scripts = [Script::new(), Script::new()];
    pass(ms(100)).await;
    pool.add(Endpoint::new("b", scripts[0].manager())).unwrap();
    let taken = pool
        .add(Endpoint::new("b", scripts[1].manager()))
        .unwrap_err();
    assert!(
        taken.to_string().contains("only node of its name"),
        "{taken}"
    );
    pass(ms(300)).await;
    assert!(pool.remove("a", ms(100)).await.unwrap().is_clean());
    assert!(pool.remove("a", ms(100)).await.is_none());
    pass(ms(100)).await;
    assert_eq!(pool.state().nodes.len(), 1);
    pool.add(Endpoint::new("a", scripts[1].manager()).weight(3))
        .unwrap();
    runner.await.unwrap();
    let nodes = calls(&pool, 300, &CallOptions::new()).await;
    assert_eq!(nodes.len(), 2, "{nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_plugged_part_costs_that_run_alone() {
    let ticks = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = ticks.clone();
    let (scripts, pool) = pool_of::<2>(|builder| {
        builder
            .on_tick("wild", |_, _| panic!("a user's panic"))
            .on_tick("tame", move |_, state| {
                assert_eq!(state.nodes.len(), 2);
                counted.fetch_add(1, SeqCst);
            })
            .probe(|_| panic!("another"))
    });
    drop(pool.get().await.unwrap());
    pass(Duration::from_secs(2)).await;
    assert!(
        (8..=11).contains(&ticks.load(SeqCst)),
        "{ticks:?} ticks in 2 s"
    );
    assert!(pool.statistics().panics >= ticks.load(SeqCst));
    pool.run(async |_| Ok(())).await.unwrap();
    // It stops with the pool.
    pool.close(ms(10)).await;
    pass(ms(500)).await;
    let at_the_end = ticks.load(SeqCst);
    pass(Duration::from_secs(2)).await;
    assert_eq!(ticks.load(SeqCst), at_the_end);
    drop(pool);
    pass(Duration::from_secs(1)).await;
    assert_eq!(scripts.iter().map(|script| script.live()).sum::<usize>(), 0);
}

#[tokio::test(start_paused = true)]
async fn nodes_are_looked_up_and_a_bad_answer_changes_nothing() {
    let scripts = Arc::new([Script::new(), Script::new(), Script::new()]);
    let answer = Arc::new(std::sync::Mutex::new(Ok(vec![0, 1])));
    let (known, told) = (scripts.clone(), answer.clone());
    let endpoint = move |n: &usize| Endpoint::new(format!("n{n}"), known[*n].manager());
    let pool = Pool::builder()
        .endpoint(endpoint(&0))
        .discover(Duration::from_secs(30), move || {
            let answer = told.lock().unwrap().clone();
            let endpoint = endpoint.clone();
            async move {
                let found: Result<Vec<usize>, &str> = answer;
                if found == Ok(vec![99]) {
                    panic!("a user's panic");
                }
                Ok::<_, &str>(found?.iter().map(endpoint).collect::<Vec<_>>())
            }
        })
        .build()
        .unwrap();
    let names = || -> Vec<_> {
        let state = pool.state();
        state
            .nodes
            .iter()
            .map(|node| node.name.to_string())
            .collect()
    };
    drop(pool.get().await.unwrap());
    pass(Duration::from_secs(20)).await;
    assert_eq!(names(), ["n0"]);
    pass(Duration::from_secs(15)).await;
    assert_eq!(names(), ["n0", "n1"]);
    for bad in [Err("name server is down"), Ok(vec![]), Ok(vec![99])] {
        *answer.lock().unwrap() = bad;
        pass(Duration::from_secs(35)).await;
        assert_eq!(names(), ["n0", "n1"]);
    }
    // A node that cannot be connected to has the others looked up at once.
    *answer.lock().unwrap() = Ok(vec![1, 2]);
    scripts[0]
        .connect
        .otherwise(Step::Fail(ErrorClass::Transient));
    pool.clear();
    for _ in 0..300 {
        pool.run(async |_| Ok(())).await.unwrap();
        pass(ms(10)).await;
    }
    assert_eq!(names(), ["n1", "n2"]);
    pool.run(async |_| Ok(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_acquire_is_one_for_all_nodes() {
    let (scripts, pool) = pool_of::<4>(|builder| {
        builder.configure(|config| config.pool.acquire_timeout = Some(Duration::from_secs(2)))
    });
    for script in &scripts {
        script.connect.otherwise(Step::FailAfter(ms(900)));
    }
    let started = tokio::time::Instant::now();
    pool.get().await.unwrap_err();
    assert!(
        started.elapsed() <= Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_connects_hang_is_left_by_callers_in_a_hurry() {
    let (scripts, pool) = pool_of::<2>(|builder| builder);
    scripts[0].connect.otherwise(Step::Hang);
    let mut failed = 0;
    for _ in 0..100 {
        let options = CallOptions::new().timeout(ms(50));
        failed += u32::from(pool.run_with(options, async |_| Ok(())).await.is_err());
        pass(ms(10)).await;
    }
    assert!(failed <= 10, "{failed} of 100 calls failed");
    assert_eq!(standing(&pool, "a"), Standing::Failing);
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_comes_first() {
    let (own, other) = (Script::new(), Script::new());
    let pool = Pool::builder()
        .zone("here")
        .endpoint(Endpoint::new("own", own.manager()).zone("here"))
        .endpoint(Endpoint::new("other", other.manager()).zone("there"))
        .build()
        .unwrap();
    let nodes = calls(&pool, 100, &CallOptions::new()).await;
    assert!(nodes["own"] >= 95, "{nodes:?}");
    own.connect.otherwise(Step::Fail(ErrorClass::Transient));
    pool.clear();
    let nodes = calls(&pool, 100, &CallOptions::new()).await;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["other"]);
}
