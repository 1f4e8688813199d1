//! Any text is refused by name or keeps the rules, and a password is never shown.
//!
//! Input: lines. The first two surround the password in the URL, the third is the rest of the URL,
//! and what follows is a document, into which the password is put.
#![no_main]

use std::fmt::{Debug, Display};

use pool_postgres::Config;
use serde_json::{Map, Value};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (before, after, rest, document) = (next(), next(), next(), next());
    if text.contains(PASSWORD) {
        return;
    }
    let _ = keeps_rules(Config::from_url(rest));
    // With an `@` or a whole host before it, the word is no part of the password.
    if !before.contains('@') {
        let url = format!("postgres://role:{before}{PASSWORD}{after}@{rest}");
        hides(keeps_rules(Config::from_url(&url)));
    }
    let _ = keeps_rules(serde_json::from_str::<Config>(document));
    if let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(document) {
        fields.insert("password".into(), PASSWORD.into());
        hides(keeps_rules(serde_json::from_value(fields.into())));
    }
});

fn keeps_rules<E>(result: Result<Config, E>) -> Result<Config, E> {
    if let Ok(config) = &result {
        assert_eq!(config.validate(), Ok(()), "{config:?}");
    }
    result
}

fn hides<E: Debug + Display>(result: Result<Config, E>) {
    let shown = match &result {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error:?} {error}"),
    };
    assert!(!shown.contains(PASSWORD), "{shown}");
}

const PASSWORD: &str = "canary";
