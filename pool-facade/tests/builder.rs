//! What the builder makes of what it is given.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use pool_core::testing::{Script, Scripted};
use pool_facade::{Builder, Config, Pool, pool_core};

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
