//! Settings that others have found good, with exactly their numbers.

use std::time::Duration;

use backoff::{Jitter, Ratio};

use super::{BreakerConfig, Config};

impl Config {
    /// The numbers of a widely used guide to PostgreSQL pools: 3 to 20 connections, 20 s to
    /// connect, replaced after 30 min, closed after 3 min idle, checked every 30 s within 5 s; five
    /// attempts from 0.2 s to 10 s apart, plus or minus a tenth; a breaker that opens after 5
    /// failures in a row for 30 s and closes after 2 successes.
    ///
    /// What the guide leaves open is at its default; so there is a retry budget, which the guide
    /// does not know. Log the metrics every 300 s to follow it there too. Its sizing by utilisation
    /// is no setting yet.
    pub fn guide() -> Self {
        let mut config = Self::sized(3, 20);
        config.pool.connect_timeout = Duration::from_secs(20);
        config.pool.max_lifetime = Some(Duration::from_secs(1800));
        config.pool.idle_timeout = Some(Duration::from_secs(180));
        config.pool.keepalive = Some(Duration::from_secs(30));
        config.pool.validate_timeout = Duration::from_secs(5);
        config.health.interval = Some(Duration::from_secs(30));
        config.retry.max_attempts = 5;
        config.retry.initial_delay = Duration::from_millis(200);
        config.retry.max_delay = Duration::from_secs(10);
        config.retry.jitter = Jitter::PlusMinus(Ratio::percent(10));
        config.breaker = BreakerConfig::classic(5, Duration::from_secs(30), 2);
        config
    }

    /// The numbers of a study of vector searches in PostgreSQL: 20 to 100 connections, 10 s to
    /// connect, a warning at 70 % of them in use and critical at 90 %.
    ///
    /// The study goes on at the connection, so with `pool-postgres` set a `statement_timeout` of
    /// 300 s; its 64 prepared statements and its keepalive (60 s, 30 s, 3 times) are the defaults
    /// there. By number of vectors it takes 50 connections below 1 000, 100 up to 100 000, and 150
    /// of which 30 stay open above. More connections than the server has cores do not make a
    /// search that is in memory any faster: measure before you go up.
    pub fn vector_search() -> Self {
        let mut config = Self::sized(20, 100);
        config.pool.connect_timeout = Duration::from_secs(10);
        config.health.warning_percent = 70;
        config.health.critical_percent = 90;
        config
    }

    /// The numbers of a pool for Vault over HTTP: 10 connections and 5 more when those are in use,
    /// 30 s for a whole acquire of which 5 s may be waiting in line, closed after 5 min idle, health
    /// asked every 60 s.
    pub fn vault() -> Self {
        let mut config = Self::sized(10, 15);
        config.pool.acquire_timeout = Some(Duration::from_secs(30));
        config.pool.wait_timeout = Some(Duration::from_secs(5));
        config.pool.idle_timeout = Some(Duration::from_secs(300));
        config.pool.keepalive = Some(Duration::from_secs(60));
        config.health.interval = Some(Duration::from_secs(60));
        config
    }

    /// A preset by the name of its method.
    pub(super) fn preset(name: &str) -> Option<(&'static str, Self)> {
        match name {
            "guide" => Some(("guide", Self::guide())),
            "vector_search" => Some(("vector_search", Self::vector_search())),
            "vault" => Some(("vault", Self::vault())),
            _ => None,
        }
    }

    fn sized(min_idle: usize, max_size: usize) -> Self {
        let mut config = Self {
            pool: pool_core::Config::new(max_size),
            ..Self::default()
        };
        config.pool.min_idle = min_idle;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of the sources, written down from them and not from the code above.
    const GUIDE: [(&str, &str); 16] = [
        ("min_idle", "3"),
        ("max_size", "20"),
        ("connect_timeout", "20s"),
        ("max_lifetime", "30m"),
        ("idle_timeout", "3m"),
        ("keepalive", "30s"),
        ("health.interval", "30s"),
        ("validate_timeout", "5s"),
        ("retry.max_attempts", "5"),
        ("retry.initial_delay", "200ms"),
        ("retry.max_delay", "10s"),
        ("retry.jitter", "10%"),
        ("breaker.consecutive", "5"),
        ("breaker.open_time", "30s"),
        ("breaker.half_open.probes", "2"),
        ("breaker.half_open.successes", "2"),
    ];
    const VECTOR_SEARCH: [(&str, &str); 5] = [
        ("max_size", "100"),
        ("min_idle", "20"),
        ("connect_timeout", "10s"),
        ("health.warning_percent", "70"),
        ("health.critical_percent", "90"),
    ];
    const VAULT: [(&str, &str); 7] = [
        ("min_idle", "10"),
        ("max_size", "15"),
        ("acquire_timeout", "30s"),
        ("wait_timeout", "5s"),
        ("idle_timeout", "5m"),
        ("keepalive", "1m"),
        ("health.interval", "1m"),
    ];
    /// What the textbook breaker of the guide switches off or takes from its failures.
    const TEXTBOOK: [(&str, &str); 4] = [
        ("breaker.window", "5 calls"),
        ("breaker.minimum_calls", "5"),
        ("breaker.failure_rate", "none"),
        ("breaker.degraded.enter", "none"),
    ];
    /// What follows the size.
    const FOLLOWING: [&str; 2] = ["max_connecting", "max_waiters"];

    #[test]
    fn each_preset_has_exactly_the_numbers_of_its_source() {
        let guide = [&GUIDE[..], &TEXTBOOK].concat();
        for (name, table) in [
            ("guide", &guide[..]),
            ("vector_search", &VECTOR_SEARCH),
            ("vault", &VAULT),
        ] {
            let (_, preset) = Config::preset(name).unwrap();
            assert_eq!(preset.validate(), Ok(()), "{name}");
            let texts = preset.texts();
            for (field, value) in table {
                let text = texts.iter().find(|it| it.path == *field).unwrap();
                assert_eq!(text.text, *value, "{name}: {field}");
            }
            for (text, default) in texts.iter().zip(Config::default().texts()) {
                let named = table.iter().any(|(field, _)| *field == text.path);
                if !named && !FOLLOWING.contains(&text.path) {
                    assert_eq!(text.text, default.text, "{name}: {}", text.path);
                }
            }
        }
    }

    #[test]
    fn the_delays_of_the_guide_are_its_formula() {
        let policy = Config::guide().retry.policy().unwrap();
        let millis = |attempt| policy.ceiling(attempt).as_millis();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6].map(millis),
            [200, 400, 800, 1600, 3200, 6400, 10_000]
        );
        let longest = policy.delay(2, Duration::ZERO, u64::MAX);
        let shortest = policy.delay(2, Duration::ZERO, 0);
        assert_eq!((shortest.as_millis(), longest.as_millis()), (720, 880));
    }
}
