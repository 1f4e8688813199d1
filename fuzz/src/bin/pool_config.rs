//! Any configuration is refused by name or gives a pool that works.
#![no_main]

use std::time::Duration;

use pool_core::testing::Script;
use pool_core::{Check, Config, Pool, WhenSuspended};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let config = config(&mut bytes.iter().copied());
    let valid = config.validate();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime can be built").block_on(async {
        // A large pool is as good as a small one, and takes long to build.
        if valid.is_ok() && config.max_size > LARGE {
            return;
        }
        let script = Script::new();
        match Pool::builder(script.manager()).config(config).build() {
            Err(errors) => {
                assert_eq!(valid, Err(errors.clone()), "build and validate agree");
                assert!(!errors.violations().is_empty());
                for violation in errors.violations() {
                    assert!(errors.to_string().contains(violation.field));
                }
            }
            Ok(pool) => {
                assert_eq!(valid, Ok(()), "build and validate agree");
                let lent = pool.get().await.expect("the server is well");
                pool.audit().expect("the books balance");
                drop(lent);
                let report = pool.close(Duration::from_secs(1)).await;
                assert!(report.is_clean(), "{report}");
                assert_eq!(script.live(), 0, "a connection outlives its pool");
            }
        }
    });
});

fn config(bytes: &mut impl Iterator<Item = u8>) -> Config {
    let mut config = Config::new(number(bytes));
    config.min_idle = number(bytes);
    config.acquire_timeout = some(bytes);
    config.wait_timeout = some(bytes);
    config.connect_timeout = span(bytes);
    config.validate_timeout = span(bytes);
    config.reset_timeout = span(bytes);
    config.close_timeout = span(bytes);
    config.check = match bytes.next().unwrap_or(0) % 3 {
        0 => Check::Always,
        1 => Check::Never,
        _ => Check::IdleFor(span(bytes)),
    };
    config.keepalive = some(bytes);
    config.idle_timeout = some(bytes);
    config.max_lifetime = some(bytes);
    config.lifetime_jitter = match bytes.next().unwrap_or(0) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => -0.0,
        byte => f64::from(byte) / 300.0 - 0.1,
    };
    config.max_uses = (number(bytes) as u64).checked_sub(1);
    config.max_connecting = number(bytes);
    config.connect_rate = u32::try_from(number(bytes)).ok();
    config.max_waiters = number(bytes);
    config.handoff_grace = span(bytes);
    config.sweep_after = number(bytes) as u32;
    config.leak_report = some(bytes);
    config.when_suspended = match bytes.next().unwrap_or(0) % 2 {
        0 => WhenSuspended::Wait,
        _ => WhenSuspended::Refuse,
    };
    config
}

/// Most often a small number; also those at and beside the limits.
fn number(bytes: &mut impl Iterator<Item = u8>) -> usize {
    match bytes.next().unwrap_or(0) {
        byte @ 0..=199 => usize::from(byte) / 8,
        byte @ 200..=239 => (1 << (byte - 200)) - 1,
        byte => [
            1_000_000,
            1_000_001,
            1_000_000_000,
            1_000_000_001,
            usize::MAX,
        ][usize::from(byte) % 5],
    }
}

fn span(bytes: &mut impl Iterator<Item = u8>) -> Duration {
    match bytes.next().unwrap_or(0) {
        0 => Duration::ZERO,
        1 => Duration::MAX,
        2 => Duration::from_nanos(1),
        3 => Duration::from_secs(u64::from(u32::MAX)),
        byte @ 4..=63 => Duration::from_nanos(1 << byte),
        byte => Duration::from_millis(u64::from(byte)),
    }
}

fn some(bytes: &mut impl Iterator<Item = u8>) -> Option<Duration> {
    (bytes.next().unwrap_or(0) % 3 > 0).then(|| span(bytes))
}

const LARGE: usize = 4096;
