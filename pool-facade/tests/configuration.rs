//! Settings from every source: what is printed reads back, and what is wrong is named at once.
#![cfg(feature = "serde")]

use std::time::Duration;

use backoff::{Jitter, Ratio};
use breaker::{Mode, OpenTime, Window};
use pool_core::{Check, WhenSuspended};
use pool_facade::Config;
use pool_facade::config::{BreakerConfig, Document, Origin, RetryConfig, Sources, Violation};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

/// A value that keeps every rule, with every setting other than by default now and then.
fn configs() -> impl Strategy<Value = Config> {
    (pools(), retries(), breakers(), spans()).prop_map(|(pool, retry, breaker, grace)| {
        let mut config = Config::default();
        config.pool = pool;
        config.retry = retry;
        config.breaker = breaker;
        config.close_grace = grace;
        config
    })
}

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1..1_000_000_000u64).prop_map(Duration::from_nanos),
        (1..100_000u64).prop_map(Duration::from_millis),
        (1..3_000_000_000u64).prop_map(Duration::from_secs),
    ]
}

fn shares() -> impl Strategy<Value = f64> {
    (11..1000u32).prop_map(|thousandths| f64::from(thousandths) / 1000.0)
}

fn pools() -> impl Strategy<Value = pool_core::Config> {
    let times = (
        option::of(spans()),
        option::of(spans()),
        spans(),
        option::of(spans()),
        option::of(spans()),
        prop_oneof![
            Just(Check::Always),
            Just(Check::Never),
            spans().prop_map(Check::IdleFor)
        ],
    );
    let numbers = (
        1..=1_000_000usize,
        any::<prop::sample::Index>(),
        0..=1_000_000_000usize,
        option::of(1..=u64::MAX),
        option::of(1..=u32::MAX),
        shares(),
    );
    let name = "(?s).{0,12}";
    (times, numbers, name, any::<bool>()).prop_map(|(times, numbers, name, refuse)| {
        let mut pool = pool_core::Config::new(numbers.0);
        pool.name = name;
        pool.min_idle = numbers.1.index(numbers.0 + 1);
        pool.max_waiters = numbers.2;
        pool.max_uses = numbers.3;
        pool.connect_rate = numbers.4;
        pool.lifetime_jitter = numbers.5 / 2.0;
        pool.acquire_timeout = times.0;
        pool.wait_timeout = times.1;
        pool.connect_timeout = times.2;
        pool.keepalive = times.3;
        pool.leak_report = times.4;
        pool.check = times.5;
        if refuse {
            pool.when_suspended = WhenSuspended::Refuse;
        }
        pool
    })
}

fn retries() -> impl Strategy<Value = RetryConfig> {
    let jitters = prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        (0..=100u32).prop_map(|percent| Jitter::PlusMinus(Ratio::percent(percent))),
        (1..=7u32).prop_map(|one| Jitter::PlusMinus(Ratio::new(one, 7))),
    ];
    (1..=u32::MAX, spans(), spans(), jitters, 2..=u32::MAX).prop_map(
        |(attempts, one, other, jitter, capacity)| {
            let mut retry = RetryConfig::default();
            retry.max_attempts = attempts;
            retry.initial_delay = one.min(other);
            retry.max_delay = one.max(other);
            retry.jitter = jitter;
            retry.budget.capacity = capacity;
            retry
        },
    )
}

fn breakers() -> impl Strategy<Value = BreakerConfig> {
    let windows = prop_oneof![
        (1..=3600u32, spans()).prop_map(|(buckets, width)| Window::Time { buckets, width }),
        (10..=1_000_000u32).prop_map(|calls| Window::Count { calls }),
    ];
    let times = prop_oneof![
        spans().prop_map(OpenTime::Constant),
        (spans(), spans()).prop_map(|(one, other)| OpenTime::Exponential {
            first: one.min(other),
            max: one.max(other)
        }),
    ];
    let slow = option::of((spans(), option::of(shares())));
    let mode = prop_oneof![Just(Mode::MetricsOnly), Just(Mode::ForcedOpen)];
    (windows, times, option::of(1..=u32::MAX), slow, mode).prop_map(
        |(window, open_time, consecutive, slow, mode)| {
            let mut breaker = BreakerConfig::default();
            breaker.window = window;
            breaker.open_time = open_time;
            breaker.consecutive = consecutive;
            breaker.mode = mode;
            if let Some((threshold, open)) = slow {
                breaker.slow.threshold = Some(threshold);
                breaker.slow.open = open;
                breaker.degraded.enter = None;
            }
            breaker
        },
    )
}

/// Every setting of a document, by its full name.
fn flatten(document: &Value, path: &str, settings: &mut Vec<(String, String)>) {
    match document {
        Value::Object(section) => {
            for (name, value) in section {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(value, &path, settings);
            }
        }
        Value::String(text) => settings.push((path.into(), text.clone())),
        other => settings.push((path.into(), other.to_string())),
    }
}

fn settings(config: &Config) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    flatten(
        &serde_json::to_value(config).expect("text and numbers"),
        "",
        &mut settings,
    );
    settings
}

fn variable(path: &str) -> String {
    format!("APP__{}", path.to_uppercase().replace('.', "__"))
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn document(text: &str) -> Document {
    serde_json::from_str(text).expect("the text is a document")
}

fn violations(sources: Sources) -> Vec<Violation> {
    let errors = sources.load().expect_err("a rule is broken");
    errors.violations().to_vec()
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same_settings(config in configs()) {
        prop_assert_eq!(config.validate(), Ok(()));
        prop_assert_eq!(&toml::from_str::<Config>(&config.to_string()).unwrap(), &config);
        let json = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Config>(&json).unwrap(), &config);

        let settings = settings(&config);
        let variables = settings.iter().map(|(path, text)| (variable(path), text));
        let loaded = Sources::new().variables("APP", variables).load().unwrap();
        prop_assert_eq!(&loaded.config, &config);
        prop_assert_eq!(&toml::from_str::<Config>(&loaded.to_string()).unwrap(), &config);

        let parameters: Vec<_> = settings
            .iter()
            .map(|(path, text)| format!("pool_{path}={}", encode(text)))
            .collect();
        let loaded = Sources::new().url(format!("x://h/d?{}", parameters.join("&"))).load();
        let loaded = loaded.unwrap();
        prop_assert_eq!(&loaded.config, &config);
        prop_assert_eq!(loaded.url(), Some("x://h/d"));
        prop_assert_eq!(config.diff_live(&loaded.config), Ok(vec![]));
    }

    #[test]
    fn no_text_at_all_panics(
        which in any::<prop::sample::Index>(),
        value in ".{0,40}",
        name in ".{0,12}",
        url in "(postgres://)?.{0,30}(\\?(pool_)?.{0,20}(=|&|%).{0,10})?",
    ) {
        let settings = settings(&Config::default());
        let (path, _) = &settings[which.index(settings.len())];
        let variables = [(variable(path), &value), (format!("APP__{name}"), &value)];
        let loaded = Sources::new().variables("APP", variables).url(&url).load();
        let _ = format!("{loaded:?} {}", loaded.as_ref().map_or_else(ToString::to_string, ToString::to_string));
        let _ = serde_json::from_str::<Config>(&value);
        let _ = toml::from_str::<Config>(&format!("{path} = {value}"));
        let quoted = serde_json::to_string(&value).unwrap();
        let _ = serde_json::from_str::<Config>(&format!("{{{quoted}: [{quoted}, {{}}, null]}}"));
        let _ = toml::from_str::<Config>(&format!("{path} = {quoted}"));
    }

    #[test]
    fn the_strongest_source_wins_whatever_the_order_of_calls(
        sets in prop::array::uniform5(any::<bool>()),
        mut order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let [base, first, second, url, environment] = sets;
        // Two documents are the one case in which order counts.
        let ours = |it: &usize| *it == 1 || *it == 2;
        let (one, two) = (order.iter().position(ours), order.iter().rposition(ours));
        order[one.unwrap()] = 1;
        order[two.unwrap()] = 2;
        let mut sources = Sources::new();
        for step in order {
            sources = match step {
                0 if base => {
                    let mut config = Config::default();
                    config.pool.max_size = 20;
                    sources.base(config)
                }
                1 if first => sources.document("a.json", document(r#"{"max_size": 21}"#)),
                2 if second => sources.document("b.json", document(r#"{"max_size": 22}"#)),
                3 if url => sources.url("x://h?pool_max_size=23"),
                4 if environment => sources.variables("APP", [("APP__MAX_SIZE", "24")]),
                _ => sources,
            };
        }
        let (size, origin) = match sets {
            [.., true] => (24, Origin::Environment("APP__MAX_SIZE".into())),
            [.., true, _] => (23, Origin::Url("pool_max_size".into())),
            [.., true, _, _] => (22, Origin::Document("b.json".into())),
            [_, true, ..] => (21, Origin::Document("a.json".into())),
            [true, ..] => (20, Origin::Base),
            _ => (10, Origin::Default),
        };
        let loaded = sources.load().unwrap();
        prop_assert_eq!(loaded.config.pool.max_size, size);
        prop_assert_eq!(loaded.origin("max_size"), Some(&origin));
    }
}

#[test]
fn everything_wrong_is_named_at_once_with_its_origin() {
    let text = r#"{"max_size": 0, "keepalive": 30, "nonsense": {"a": 1}, "idle_timeout": [],
        "failure_rate": 0.5, "max_uses": {}, "min_idle": null, "max_waiters": true}"#;
    let variables = [
        ("APP__BREAKER__HALF_OPEN__PROBES", "0"),
        ("APP__RETRY__MAX_ATTEMPTS", "-1"),
        ("APP__PASSWORD", "canary"),
        ("OTHER__MAX_SIZE", "5"),
    ];
    let sources = Sources::new()
        .document("pool.json", document(text))
        .url("x://h?pool_breaker.open_time=2s..1s&pool_retry.budget.deposit=11")
        .variables("APP", variables);
    let found = violations(sources);
    let brief: Vec<_> = found
        .iter()
        .map(|it| (it.field.as_str(), it.value.as_str()))
        .collect();
    assert_eq!(
        brief,
        [
            ("keepalive", "30"),
            ("nonsense.a", ".."),
            ("idle_timeout", ".."),
            ("failure_rate", ".."),
            ("min_idle", "none"),
            ("max_waiters", "true"),
            ("retry.max_attempts", "-1"),
            ("password", ".."),
            ("max_size", "0"),
            ("retry.budget.deposit", "11/1"),
            ("breaker.open_time.max", "1s"),
            ("breaker.half_open.probes", "0"),
            ("breaker.half_open.successes", "2"),
        ]
    );
    let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown[0],
        "keepalive = 30: must be a time with its unit, such as 250ms, 30s or 10m (from pool.json)"
    );
    assert!(shown[3].contains("breaker.failure_rate is one"));
    assert_eq!(
        shown[8],
        "max_size = 0: must be from 1 to 1000000 (from pool.json)"
    );
    assert_eq!(
        shown[10],
        "breaker.open_time.max = 1s: must be at least open_time.first \
         (from URL parameter pool_breaker.open_time)"
    );
    assert!(shown[12].ends_with("(from the defaults)"));
    assert!(!shown.concat().contains("canary"));
}

#[test]
fn no_time_may_be_zero() {
    let settings = settings(&Config::default());
    let mut times = 0;
    for (path, _) in &settings {
        // Whatever takes a time takes a century and a half, and then refuses it.
        let with = |text: &str| {
            Sources::new()
                .variables("APP", [(variable(path), text)])
                .load()
        };
        let Err(errors) = with("150years") else {
            continue;
        };
        if errors.to_string().contains("at most 100 years") {
            times += 1;
            for zero in ["0s", "0ms"] {
                let found = with(zero).unwrap_err();
                let violation = found.violations().iter().find(|it| it.field == *path);
                assert_eq!(violation.unwrap().value, "0s");
            }
        }
    }
    assert_eq!(times, 30);
    for (path, text) in [
        ("breaker.window", "10 x 0s"),
        ("breaker.open_time", "0s"),
        ("breaker.open_time", "0s..1s"),
    ] {
        let variables = [(variable(path), text)];
        let found = violations(Sources::new().variables("APP", variables));
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert!(found[0].field.starts_with(path), "{path}: {found:?}");
    }
}

#[test]
fn a_setting_is_given_once_and_a_url_is_not_lost() {
    let text =
        r#"{"max_size": 5, "max_size": 6, "retry": {"jitter": "full"}, "retry.jitter": "none"}"#;
    let found = violations(Sources::new().document("pool.json", document(text)));
    let fields: Vec<_> = found
        .iter()
        .map(|it| (it.field.as_str(), it.rule.as_str()))
        .collect();
    let rule = "must be given once";
    assert_eq!(fields, [("max_size", rule), ("retry.jitter", rule)]);

    let url = r#"{"url": "x://app:canary@h?pool_max_size=5"}"#;
    let error = serde_json::from_str::<Config>(url).unwrap_err().to_string();
    assert!(error.contains("url = ..: must be read by Sources") && !error.contains("canary"));
    let loaded = Sources::new().document("a", document(url)).load().unwrap();
    assert_eq!(loaded.config.pool.max_size, 5);
    assert_eq!(loaded.url(), Some("x://app:canary@h"));
}

#[test]
fn of_several_urls_the_strongest_is_read() {
    let text = r#"{"url": "x://document?pool_max_size=5&pool_min_idle=5"}"#;
    let sources = || {
        let sources = Sources::new().url("x://code?pool_max_size=6");
        sources.document("a", document(text))
    };
    let loaded = sources().load().unwrap();
    assert_eq!(loaded.url(), Some("x://code"));
    assert_eq!(
        (loaded.config.pool.max_size, loaded.config.pool.min_idle),
        (6, 0)
    );
    let loaded = sources()
        .variables("APP", [("APP__URL", "x://environment")])
        .load()
        .unwrap();
    assert_eq!(loaded.url(), Some("x://environment"));
    assert_eq!(loaded.config.pool.max_size, 10);
}

#[test]
fn no_print_shows_the_secrets_of_a_url() {
    let sources = Sources::new()
        .url("postgres://app:canary@db.example/shop?password=canary&pool_max_size=5")
        .document("a", document(r#"{"url": "x://u:canary@h"}"#));
    let before = format!("{sources:?}");
    let loaded = sources.load().unwrap();
    let shown = format!(
        "{before} {loaded} {loaded:?} {:?}",
        loaded.origin("max_size")
    );
    assert!(!shown.contains("canary"), "{shown}");
    assert!(
        shown.contains("# url = \"postgres://..@db.example/..\""),
        "{shown}"
    );
    let wrong = Sources::new().document("a", document(r#"{"url": ["x://u:canary@h"]}"#));
    let shown = format!("{:?}", wrong.load());
    assert!(shown.contains("must not be a list") && !shown.contains("canary"));
}

#[test]
fn limits_that_follow_the_size_follow_it_from_any_source() {
    let load = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied();
        Sources::new()
            .variables("APP", variables)
            .load()
            .unwrap()
            .config
            .pool
    };
    let large = load(&[("APP__MAX_SIZE", "100")]);
    assert_eq!((large.max_connecting, large.max_waiters), (8, 6400));
    let set = load(&[("APP__MAX_SIZE", "100"), ("APP__MAX_WAITERS", "1024")]);
    assert_eq!((set.max_connecting, set.max_waiters), (8, 1024));
    let small = load(&[("APP__MAX_SIZE", "3")]);
    assert_eq!((small.max_connecting, small.max_waiters), (3, 1024));
}

#[test]
fn a_preset_is_named_by_any_source() {
    for (name, preset) in [
        ("guide", Config::guide()),
        ("vector_search", Config::vector_search()),
        ("vault", Config::vault()),
    ] {
        let sources = Sources::new().base(Config::default());
        let loaded = sources
            .variables("APP", [("APP__PRESET", name)])
            .load()
            .unwrap();
        assert_eq!(loaded.config, preset);
        let shown = loaded.to_string();
        assert!(shown.contains(&format!(" # the preset {name}\n")));
    }
    let found = violations(Sources::new().variables("APP", [("APP__PRESET", "gide")]));
    assert_eq!(found[0].rule, "must be guide, vector_search or vault");
}

#[test]
fn a_running_pool_takes_what_can_change_and_refuses_the_rest_at_once() {
    let old = Config::default();
    let mut new = old.clone();
    new.pool.max_size = 20;
    new.retry.jitter = Jitter::None;
    new.breaker.degraded.enter = None;
    let changes = old.diff_live(&new).unwrap();
    let shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "max_size: 10 becomes 20",
            "retry.jitter: full becomes none",
            "breaker.degraded.enter: 0.2 becomes none",
        ]
    );
    new.pool.name = "other".into();
    new.pool.connect_rate = Some(5);
    new.pool.idle_timeout = Some(Duration::ZERO);
    new.connect.jitter = Jitter::Full;
    let errors = old.diff_live(&new).unwrap_err();
    let fields: Vec<_> = errors
        .violations()
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(
        fields,
        ["idle_timeout", "name", "connect_rate", "connect.jitter"]
    );
    assert_eq!(
        errors.violations()[1].to_string(),
        "name = other: must stay pool while the pool runs; build a new pool"
    );
}
