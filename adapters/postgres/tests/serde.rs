//! A configuration from a serde format.
#![cfg(feature = "serde")]

use std::time::Duration;

use pool_postgres::{Config, Pooler, Reset, SslMode, TargetSessionAttrs};

#[test]
fn every_field_can_be_given_and_goes_over_the_url() {
    let config: Config = serde_json::from_str(
        r#"{
            "url": "postgres://app:secret@first/shop?statement_timeout=5s",
            "hosts": [{"host": "a.example", "port": 6000}, {"host": "/run/pg"}],
            "user": "other", "password": "canary", "database": "db",
            "application_name": "name", "ssl_mode": "verify-ca", "ssl_root_cert": "/ca.pem",
            "target_session_attrs": "read-write", "connect_timeout": "2s",
            "statement_timeout": "250ms", "tcp_user_timeout": "15s", "statement_cache": 3,
            "keepalive": {"idle": "1min", "interval": "5s", "count": 2},
            "reset": "discard", "pooler": "session", "validation_query": "SELECT 1"
        }"#,
    )
    .unwrap();
    let hosts: Vec<String> = config.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a.example:6000", "/run/pg/.s.PGSQL.5432"]);
    assert_eq!(
        (config.user.as_str(), config.database.as_deref()),
        ("other", Some("db"))
    );
    assert_eq!(config.ssl_mode, Some(SslMode::VerifyCa));
    assert_eq!(config.target_session_attrs, TargetSessionAttrs::ReadWrite);
    assert_eq!(config.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(config.statement_timeout, Some(Duration::from_millis(250)));
    assert_eq!(config.tcp_user_timeout, Some(Duration::from_secs(15)));
    assert_eq!(config.keepalive.unwrap().idle, Duration::from_secs(60));
    assert_eq!(
        (config.reset, config.pooler),
        (Reset::Discard, Pooler::Session)
    );
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn what_is_left_out_is_as_in_the_builder() {
    let json = r#"{"hosts": [{"host": "db.example"}], "user": "app"}"#;
    let config: Config = serde_json::from_str(json).unwrap();
    assert_eq!(config, Config::new("db.example", "app"));
}

#[test]
fn errors_name_the_field_and_the_rule_and_no_password() {
    for (json, says) in [
        (
            r#"{"url": "postgres://app:canary@h/d", "connect_timeout": "5"}"#,
            "ms, s, min or h",
        ),
        (
            r#"{"url": "postgres://app:canary@h/d", "colour": 1}"#,
            "colour",
        ),
        (r#"{"url": "postgres://app:canary@h:x/d"}"#, "port"),
        (r#"{"password": "canary", "user": "app"}"#, "hosts"),
        (
            r#"{"url": "postgres://app:canary@h/d", "pooler": "transaction", "reset": "discard"}"#,
            "transaction pooler",
        ),
        (
            r#"{"url": "postgres://app:canary@h/d", "validation_query": "DELETE FROM t"}"#,
            "validation_query",
        ),
    ] {
        let error = serde_json::from_str::<Config>(json).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
