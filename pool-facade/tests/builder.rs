//! What the builder makes of what it is given.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use pool_core::testing::{Script, Scripted, ScriptedError};
use pool_core::{ErrorClass, Verdict};
use pool_facade::{Builder, Config, Endpoint, ErrorKind, Pool, pool_core};
use support::{ms, settle};

fn seven_waiters(config: &mut Config) {
    config.pool.max_waiters = 7;
}

#[test]
fn limits_follow_the_size_unless_they_were_set() {
    let sizes = |set: fn(Builder<Scripted>) -> Builder<Scripted>| {
        let builder = Pool::builder().node("db", Script::new().manager());
        let config = set(builder).build().unwrap().config();
        let pool = &config.pool;
        (pool.max_size, pool.max_connecting, pool.max_waiters)
    };
    for size in [1, 5, 10, 100] {
        let core = pool_core::Pool::builder(Script::new().manager()).max_size(size);
        let core = core.build().unwrap().config();
        let ours = Pool::builder()
            .node("db", Script::new().manager())
            .max_size(2)
            .max_size(size);
        assert_eq!(ours.build().unwrap().config().pool, core, "{size}");
    }
    assert_eq!(
        sizes(|it| it.configure(seven_waiters).max_size(100)),
        (100, 8, 7)
    );
    assert_eq!(
        sizes(|it| it.max_size(100).configure(seven_waiters)),
        (100, 8, 7)
    );
    // What comes as a whole was meant as a whole, as in `pool_core`.
    assert_eq!(
        sizes(|it| it.config(Config::default()).max_size(100)),
        (100, 8, 1024)
    );
    assert_eq!(
        sizes(|it| it.max_size(100).config(Config::default())),
        (10, 8, 1024)
    );
}

#[tokio::test(start_paused = true)]
async fn hooks_see_the_connections_of_every_node_of_those_added_later_too() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let write = |what: &'static str| {
        let log = log.clone();
        move |id: u64| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push((what, id));
        }
    };
    let (connected, lent, returned) = (write("connected"), write("lent"), write("returned"));
    let scripts = [Script::new(), Script::new()];
    let pool = Pool::builder()
        .node("a", scripts[0].manager())
        .after_connect(move |connection, info| {
            connected(info.id);
            Box::pin(async move {
                connection.dirt = 7;
                Ok(())
            })
        })
        .on_checkout(move |connection, info| {
            assert_eq!(connection.dirt, 7);
            lent(info.uses);
            Verdict::Keep
        })
        .on_return(move |_, info| {
            returned(info.uses);
            Verdict::Discard
        })
        .build()
        .unwrap();
    let entries = || std::mem::take(&mut *log.lock().unwrap());
    let guard = pool.get().await.unwrap();
    drop(guard);
    let _kept = pool.get().await.unwrap();
    settle().await;
    let seen = entries();
    for what in ["connected", "lent"] {
        assert_eq!(seen.iter().filter(|it| it.0 == what).count(), 2, "{seen:?}");
    }
    assert_eq!(scripts[0].live(), 1, "what is discarded is closed");
    pool.add(Endpoint::new("b", scripts[1].manager())).unwrap();
    pool.remove("a", ms(0)).await.unwrap();
    pool.run(async |_| Ok(())).await.unwrap();
    settle().await;
    let names: Vec<_> = entries().into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["connected", "lent", "returned"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_after_connecting_is_a_failure_to_connect() {
    let pool = Pool::builder()
        .node("a", Script::new().manager())
        .after_connect(|_, _| Box::pin(async { Err(ScriptedError::new(ErrorClass::Permanent)) }))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}

#[test]
fn nodes_are_looked_up_in_spans_of_which_the_clock_knows_the_end() {
    let looked_up_every = |every| {
        let nodes = async || Ok::<_, String>(Vec::new());
        let builder = Pool::builder().node("a", Script::new().manager());
        builder.discover(every, nodes).build().map(drop)
    };
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    for every in [Duration::from_nanos(1), century] {
        looked_up_every(every).unwrap();
    }
    for every in [
        Duration::ZERO,
        century + Duration::from_nanos(1),
        Duration::MAX,
    ] {
        let errors = looked_up_every(every).unwrap_err();
        let [violation] = errors.violations() else {
            panic!("{errors}");
        };
        assert_eq!(violation.field, "discover");
        let rule = "must be above zero and at most 100 years; no limit is none, where allowed";
        assert_eq!(violation.rule, rule);
    }
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let nodes = async || Ok::<_, String>(Vec::new());
    let builder = Pool::<Scripted>::builder().max_size(0);
    let builder = builder.discover(Duration::ZERO, nodes);
    let errors = builder.build().unwrap_err();
    let fields: Vec<_> = errors.violations().iter().map(|it| &*it.field).collect();
    assert_eq!(fields, ["max_size", "node", "discover"], "{errors}");
}
