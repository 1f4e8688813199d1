//! The rules that a [`Config`] must keep.

use std::fmt;
use std::time::Duration;

use crate::config::{Config, Host, Pooler, Reset};
use crate::readonly;

/// Checks every rule that needs no look outside.
pub(crate) fn check(config: &Config) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::new();
    check_hosts(config, &mut errors);
    check_texts(config, &mut errors);
    check_spans(config, &mut errors);
    errors.rule(
        config.statement_cache <= MOST_STATEMENTS,
        "statement_cache",
        &config.statement_cache,
        "must be at most 100000",
    );
    if let Some(sql) = &config.validation_query
        && let Some(objection) = readonly::objection(sql)
    {
        errors.push("validation_query", format!("{sql:?}"), objection);
    }
    check_pooler(config, &mut errors);
    errors.or(())
}

fn check_hosts(config: &Config, errors: &mut ConfigErrors) {
    let hosts = &config.hosts;
    errors.rule(!hosts.is_empty(), "hosts", hosts, "must name a server");
    for host in hosts {
        let fits = match host {
            Host::Tcp { host, .. } => !host.is_empty() && !host.contains('@'),
            Host::Unix { folder, .. } => folder.is_absolute(),
        };
        if !fits {
            // Not the value: it may be a piece of a password.
            errors.push("hosts", "..".into(), HOST);
        }
        let (Host::Tcp { port, .. } | Host::Unix { port, .. }) = host;
        errors.rule(*port > 0, "port", port, "must not be 0");
    }
}

fn check_texts(config: &Config, errors: &mut ConfigErrors) {
    let user = &config.user;
    errors.rule(!user.is_empty(), "user", user, "must name a role");
    let texts = [
        ("user", Some(user)),
        ("database", config.database.as_ref()),
        ("application_name", config.application_name.as_ref()),
        ("options", config.options.as_ref()),
    ];
    for (field, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            // Not the value: it may be a piece of a password.
            errors.push(field, "..".into(), "must not contain a zero byte");
        }
    }
}

fn check_spans(config: &Config, errors: &mut ConfigErrors) {
    let (millisecond, second) = (Duration::from_millis(1), Duration::from_secs(1));
    let keepalive = config.keepalive;
    let spans = [
        ("connect_timeout", config.connect_timeout, millisecond),
        ("statement_timeout", config.statement_timeout, millisecond),
        ("tcp_user_timeout", config.tcp_user_timeout, millisecond),
        ("keepalive.idle", keepalive.map(|it| it.idle), second),
        (
            "keepalive.interval",
            keepalive.map(|it| it.interval),
            second,
        ),
    ];
    for (field, span, least) in spans {
        let fits = span.is_none_or(|span| (least..=LONGEST).contains(&span));
        errors.rule(fits, field, &span, SPAN);
    }
    let count = keepalive.map(|it| it.count);
    let fits = count.is_none_or(|count| (1..=127).contains(&count));
    errors.rule(fits, "keepalive.count", &count, "must be from 1 to 127");
}

fn check_pooler(config: &Config, errors: &mut ConfigErrors) {
    let (reset, limit) = (&config.reset, &config.statement_timeout);
    if config.pooler == Pooler::Transaction {
        errors.rule(*reset != Reset::Discard, "reset", reset, TRANSACTION_RESET);
        errors.rule(
            limit.is_none(),
            "statement_timeout",
            limit,
            TRANSACTION_LIMIT,
        );
    }
    if config.pooler != Pooler::Direct {
        let options = &config.options;
        errors.rule(options.is_none(), "options", options, POOLER_OPTIONS);
    }
}

/// One setting that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The name of the field.
    pub field: String,
    /// Its value; `..` where that may hold a piece of a password.
    pub value: String,
    /// The rule that it breaks, as an instruction.
    pub rule: &'static str,
}

/// Every setting that breaks a rule; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Violation>);

impl ConfigErrors {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// The violations, in the order in which they were found.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }

    pub(crate) fn push(&mut self, field: impl Into<String>, value: String, rule: &'static str) {
        let field = field.into();
        self.0.push(Violation { field, value, rule });
    }

    fn rule(&mut self, kept: bool, field: &str, value: &dyn fmt::Debug, rule: &'static str) {
        if !kept {
            self.push(field, format!("{value:?}"), rule);
        }
    }

    /// Adds those of another check; what is found already is not repeated.
    pub(crate) fn extend(&mut self, result: Result<(), Self>) {
        let others = result.err().map(|errors| errors.0).unwrap_or_default();
        for other in others {
            if self.0.iter().all(|own| own.field != other.field) {
                self.0.push(other);
            }
        }
    }

    /// These errors if there are any, else `value`.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid PostgreSQL configuration: ")?;
        for (i, Violation { field, value, rule }) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{field} = {value}: {rule}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

const HOST: &str = "must be a host name, an IP address or the absolute path of a socket's folder; \
    write `@` in a password as `%40`";
const SPAN: &str = "must be at least 1 ms (keepalive: 1 s) and at most 24 days; leave it out for no \
    limit";
const TRANSACTION_RESET: &str = "must be `rollback` or `none` behind a transaction pooler, whose \
    sessions are everybody's";
const TRANSACTION_LIMIT: &str = "cannot be set behind a transaction pooler; use ALTER ROLE .. SET \
    statement_timeout";
const POOLER_OPTIONS: &str = "are refused by poolers; use ALTER ROLE .. SET";

/// What fits into the server's 32 bit milliseconds.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

const MOST_STATEMENTS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keepalive;

    #[test]
    fn the_defaults_keep_every_rule() {
        assert_eq!(check(&Config::new("db.example", "app")), Ok(()));
        assert_eq!(check(&Config::new("/run/pg", "app")), Ok(()));
    }

    #[test]
    fn every_violation_is_named_at_once() {
        let config = Config::new("", "")
            .port(0)
            .database("a\0b")
            .options("-c a=b")
            .connect_timeout(Duration::ZERO)
            .statement_timeout(Duration::MAX)
            .keepalive(Keepalive::new(Duration::from_millis(1), Duration::MAX, 0))
            .statement_cache(usize::MAX)
            .validation_query("DROP TABLE t")
            .reset(Reset::Discard)
            .pooler(Pooler::Transaction);
        let errors = check(&config).unwrap_err();
        let fields: Vec<_> = errors
            .violations()
            .iter()
            .map(|it| it.field.as_str())
            .collect();
        assert_eq!(
            fields,
            [
                "hosts",
                "port",
                "user",
                "database",
                "connect_timeout",
                "statement_timeout",
                "keepalive.idle",
                "keepalive.interval",
                "keepalive.count",
                "statement_cache",
                "validation_query",
                "reset",
                "statement_timeout",
                "options",
            ]
        );
        assert!(errors.to_string().contains("port = 0: must not be 0; user"));
    }
}
