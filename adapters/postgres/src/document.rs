//! How a [`Config`] looks in a serde format.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::config::{
    Config, DEFAULT_PORT, Host, Keepalive, Pooler, Reset, SslMode, TargetSessionAttrs,
};
use crate::rules::ConfigErrors;
use crate::{Password, span};

/// The fields of [`Config`], each optional, and `url` for a start.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Document {
    url: Option<Password>,
    hosts: Option<Vec<Server>>,
    user: Option<String>,
    password: Option<Password>,
    database: Option<String>,
    application_name: Option<String>,
    options: Option<String>,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<PathBuf>,
    target_session_attrs: Option<TargetSessionAttrs>,
    connect_timeout: Option<Span>,
    statement_timeout: Option<Span>,
    keepalive: Option<Probes>,
    tcp_user_timeout: Option<Span>,
    statement_cache: Option<usize>,
    reset: Option<Reset>,
    pooler: Option<Pooler>,
    validation_query: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    host: String,
    #[serde(default = "default_port")]
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probes {
    idle: Span,
    interval: Span,
    count: u32,
}

struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // No unit is no number of zero seconds, but an error.
        let span = span::parse(&text, Duration::ZERO).filter(|span| !span.is_zero());
        span.map(Self)
            .ok_or_else(|| de::Error::custom(format_args!("{text:?} {}", span::RULE)))
    }
}

impl TryFrom<Document> for Config {
    type Error = ConfigErrors;

    fn try_from(document: Document) -> Result<Self, ConfigErrors> {
        let mut config = match &document.url {
            Some(url) => Self::from_url(url.reveal())?,
            None => Self::empty(),
        };
        if let Some(hosts) = document.hosts {
            let hosts = hosts.into_iter();
            config.hosts = hosts.map(|it| Host::new(it.host, it.port)).collect();
        }
        let span = |span: Option<Span>| span.map(|Span(duration)| duration);
        let keepalive = document
            .keepalive
            .map(|it| Keepalive::new(it.idle.0, it.interval.0, it.count));
        config.user = document.user.unwrap_or(config.user);
        config.password = document.password.or(config.password);
        config.database = document.database.or(config.database);
        config.application_name = document.application_name.or(config.application_name);
        config.options = document.options.or(config.options);
        config.ssl_mode = document.ssl_mode.or(config.ssl_mode);
        config.ssl_root_cert = document.ssl_root_cert.or(config.ssl_root_cert);
        config.target_session_attrs = document
            .target_session_attrs
            .unwrap_or(config.target_session_attrs);
        config.connect_timeout = span(document.connect_timeout).or(config.connect_timeout);
        config.statement_timeout = span(document.statement_timeout).or(config.statement_timeout);
        config.keepalive = keepalive.or(config.keepalive);
        config.tcp_user_timeout = span(document.tcp_user_timeout).or(config.tcp_user_timeout);
        config.statement_cache = document.statement_cache.unwrap_or(config.statement_cache);
        config.reset = document.reset.unwrap_or(config.reset);
        config.pooler = document.pooler.unwrap_or(config.pooler);
        config.validation_query = document.validation_query.or(config.validation_query);
        config.validate()?;
        Ok(config)
    }
}

fn default_port() -> u16 {
    DEFAULT_PORT
}
