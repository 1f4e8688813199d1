//! `postgres://` URLs.

use std::str::FromStr;
use std::time::Duration;

use crate::config::{
    Config, DEFAULT_PORT, Host, Keepalive, Pooler, Reset, SslMode, TargetSessionAttrs,
};
use crate::rules::ConfigErrors;
use crate::span;

/// Reads a URL; the rules are at [`Config::from_url`].
pub(crate) fn parse(text: &str) -> Result<Config, ConfigErrors> {
    let mut errors = ConfigErrors::new();
    let rest = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest else {
        errors.push("url", "..".into(), "must begin with `postgres://`");
        return Err(errors);
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') {
        // The question mark belongs to a password, and what follows must not be shown.
        errors.push("url", "..".into(), QUESTION);
        return Err(errors);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The first `@` ends the credentials, as in libpq; a second one is found in the host.
    let (credentials, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let mut draft = Draft {
        config: Config::empty(),
        hosts: Vec::new(),
        ports: Vec::new(),
        errors,
    };
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (credentials, None),
    };
    draft.set_encoded("user", user);
    if let Some(password) = password {
        draft.set_encoded("password", password);
    }
    if !path.is_empty() {
        draft.set_encoded("dbname", path);
    }
    for host in hosts.split(',').filter(|_| !hosts.is_empty()) {
        draft.add_host(host);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        draft.set_encoded(name, value);
    }
    draft.finish()
}

struct Draft {
    config: Config,
    hosts: Vec<String>,
    ports: Vec<Option<u16>>,
    errors: ConfigErrors,
}

impl Draft {
    /// Adds `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
    fn add_host(&mut self, text: &str) {
        let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let Some(host) = decode(host) else {
            return self.refuse("hosts", ENCODING);
        };
        let port = match port.map(u16::from_str) {
            None => None,
            Some(Ok(port)) => Some(port),
            // Not the value: it may be a piece of a password with a slash or colon in it.
            Some(Err(_)) => return self.refuse("port", PORT),
        };
        self.hosts.push(host);
        self.ports.push(port);
    }

    fn set_encoded(&mut self, name: &str, value: &str) {
        match decode(value) {
            Some(value) => self.set(name, value),
            None => self.refuse(name, ENCODING),
        }
    }

    fn set(&mut self, name: &str, value: String) {
        let second = Duration::from_secs(1);
        let millisecond = Duration::from_millis(1);
        match name {
            "user" => self.config.user = value,
            "password" => self.config.password = Some(value.into()),
            "dbname" => self.config.database = Some(value),
            "application_name" => self.config.application_name = Some(value),
            "options" => self.config.options = Some(value),
            "sslrootcert" => self.config.ssl_root_cert = Some(value.into()),
            "validation_query" => self.config.validation_query = Some(value),
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => match value.split(',').map(|port| port.parse().ok()).collect() {
                Some(ports) => self.ports = Vec::into_iter(ports).map(Some).collect(),
                None => self.refuse(name, PORT),
            },
            "sslmode" => {
                let mode = self.pick(name, &value, &SSL_MODES, SSL_RULE);
                self.config.ssl_mode = mode.or(self.config.ssl_mode);
            }
            "target_session_attrs" => {
                let rule = "must be any, read-write or read-only";
                if let Some(attributes) = self.pick(name, &value, &ATTRIBUTES, rule) {
                    self.config.target_session_attrs = attributes;
                }
            }
            "reset" => {
                let rule = "must be none, rollback or discard";
                if let Some(reset) = self.pick(name, &value, &RESETS, rule) {
                    self.config.reset = reset;
                }
            }
            "pooler" => {
                let rule = "must be direct, session or transaction";
                if let Some(pooler) = self.pick(name, &value, &POOLERS, rule) {
                    self.config.pooler = pooler;
                }
            }
            "connect_timeout" => self.config.connect_timeout = self.span(name, &value, second),
            "statement_timeout" => {
                self.config.statement_timeout = self.span(name, &value, millisecond);
            }
            "tcp_user_timeout" => {
                self.config.tcp_user_timeout = self.span(name, &value, millisecond);
            }
            "statement_cache" => match value.parse() {
                Ok(statements) => self.config.statement_cache = statements,
                Err(_) => self.refuse_value(name, value, "must be a number"),
            },
            "keepalives" | "keepalives_idle" | "keepalives_interval" | "keepalives_count" => {
                self.set_keepalive(name, value);
            }
            _ => self.refuse(name, "is not known; see `Config::from_url` for the names"),
        }
    }

    fn set_keepalive(&mut self, name: &str, value: String) {
        let mut keepalive = self.config.keepalive.unwrap_or_default();
        let (second, rule) = (Duration::from_secs(1), "must be a number");
        match name {
            "keepalives" => match value.as_str() {
                "0" => self.config.keepalive = None,
                "1" => self.config.keepalive = Some(keepalive),
                _ => self.refuse_value(name, value, "must be 0 or 1"),
            },
            "keepalives_count" => match value.parse() {
                Ok(count) => self.config.keepalive = Some(Keepalive { count, ..keepalive }),
                Err(_) => self.refuse_value(name, value, rule),
            },
            _ => {
                let Some(span) = self.span(name, &value, second) else {
                    return;
                };
                if name == "keepalives_idle" {
                    keepalive.idle = span;
                } else {
                    keepalive.interval = span;
                }
                self.config.keepalive = Some(keepalive);
            }
        }
    }

    /// A duration; zero means none, as in libpq and the server.
    fn span(&mut self, name: &str, value: &str, unit: Duration) -> Option<Duration> {
        let span = span::parse(value, unit);
        if span.is_none() {
            self.refuse_value(name, value.into(), span::RULE);
        }
        span.filter(|span| !span.is_zero())
    }

    fn pick<T: Copy>(
        &mut self,
        name: &str,
        value: &str,
        choices: &[(&str, T)],
        rule: &'static str,
    ) -> Option<T> {
        let choice = choices.iter().find(|(word, _)| *word == value);
        if choice.is_none() {
            self.refuse_value(name, value.into(), rule);
        }
        choice.map(|(_, choice)| *choice)
    }

    /// Without the value, which may hold a piece of a password.
    fn refuse(&mut self, name: &str, rule: &'static str) {
        self.errors.push(name, "..".into(), rule);
    }

    fn refuse_value(&mut self, name: &str, value: String, rule: &'static str) {
        self.errors.push(name, value, rule);
    }

    fn finish(mut self) -> Result<Config, ConfigErrors> {
        let several = self.ports.len() > 1;
        if several && self.ports.len() != self.hosts.len() {
            self.refuse("port", "must be one for all hosts, or one for each");
        }
        let one = self.ports.first().copied().flatten();
        let ports = (0..).map(|i| match self.ports.get(i) {
            Some(port) => *port,
            None if several => None,
            None => one,
        });
        self.config.hosts = std::mem::take(&mut self.hosts)
            .into_iter()
            .zip(ports)
            .map(|(host, port)| Host::new(host, port.unwrap_or(DEFAULT_PORT)))
            .collect();
        self.errors.extend(self.config.validate());
        self.errors.or(self.config)
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(if byte == b'%' {
            let (code, after) = rest.split_at_checked(2)?;
            rest = after;
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(code[0])? * 16 + digit(code[1])?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

const QUESTION: &str = "must have `?` in a password as `%3F`, and `@` after the host as `%40`";
const ENCODING: &str = "must be UTF-8 in percent-encoding; write `%` as `%25`";
const PORT: &str = "must be a number up to 65535; in a password write `@` as `%40`, `:` as `%3A` \
    and `/` as `%2F`";
const SSL_RULE: &str = "must be disable, prefer, require, verify-ca or verify-full";
const SSL_MODES: [(&str, SslMode); 5] = [
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];
const ATTRIBUTES: [(&str, TargetSessionAttrs); 3] = [
    ("any", TargetSessionAttrs::Any),
    ("read-write", TargetSessionAttrs::ReadWrite),
    ("read-only", TargetSessionAttrs::ReadOnly),
];
const RESETS: [(&str, Reset); 3] = [
    ("none", Reset::None),
    ("rollback", Reset::Rollback),
    ("discard", Reset::Discard),
];
const POOLERS: [(&str, Pooler); 3] = [
    ("direct", Pooler::Direct),
    ("session", Pooler::Session),
    ("transaction", Pooler::Transaction),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        let errors = parse(text).unwrap_err();
        let violations = errors.violations().iter();
        violations
            .map(|violation| violation.field.clone())
            .collect()
    }

    #[test]
    fn every_part_of_a_url_is_understood() {
        let config = parse(
            "postgresql://us%40er:p%2Fw@a.example:1,[::1]:2,c/da%20ta?sslmode=verify-ca\
             &sslrootcert=/ca.pem&application_name=x&connect_timeout=2&statement_timeout=250\
             &target_session_attrs=read-write&keepalives_idle=7&keepalives_count=2\
             &tcp_user_timeout=0&options=-c%20a=b&reset=discard&statement_cache=3\
             &validation_query=SELECT%201",
        )
        .unwrap();
        let hosts = vec![
            Host::new("a.example", 1),
            Host::new("::1", 2),
            Host::new("c", 5432),
        ];
        assert_eq!(config.hosts, hosts);
        assert_eq!(config.user, "us@er");
        assert_eq!(config.password.as_ref().unwrap().reveal(), "p/w");
        assert_eq!(config.database.as_deref(), Some("da ta"));
        assert_eq!(config.ssl_mode, Some(SslMode::VerifyCa));
        assert_eq!(config.connect_timeout, Some(Duration::from_secs(2)));
        assert_eq!(config.statement_timeout, Some(Duration::from_millis(250)));
        let keepalive = config.keepalive.unwrap();
        assert_eq!(
            (keepalive.idle, keepalive.count),
            (Duration::from_secs(7), 2)
        );
        assert_eq!(config.tcp_user_timeout, None);
        assert_eq!((config.reset, config.statement_cache), (Reset::Discard, 3));
        assert_eq!(config.options.as_deref(), Some("-c a=b"));
    }

    #[test]
    fn a_socket_is_a_host_with_a_slash() {
        for text in [
            "postgres://u@%2Frun%2Fpg:7/d",
            "postgres://u@/d?host=/run/pg&port=7",
        ] {
            assert_eq!(
                parse(text).unwrap().hosts,
                [Host::new("/run/pg", 7)],
                "{text}"
            );
        }
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        assert_eq!(fields("mysql://h"), ["url"]);
        assert_eq!(
            fields("postgres://h:0?sslmode=on&colour=red&statement_timeout=1d&keepalives=2"),
            [
                "sslmode",
                "colour",
                "statement_timeout",
                "keepalives",
                "port",
                "user"
            ]
        );
        assert_eq!(fields("postgres://u@?reset=all"), ["reset", "hosts"]);
        assert_eq!(fields("postgres://u@a:1,b:2/d?port=1,2,3"), ["port"]);
    }

    #[test]
    fn a_password_that_breaks_the_url_is_not_repeated() {
        for password in [
            "canary",
            "cana/ry",
            "c@nary",
            "canary@x",
            "canary?x",
            "cana:ry",
            "can%ary",
            "cana,ry",
            "c@n?ary",
            "ca?na=ry",
            "12/canary",
            "/cana%00ry",
            "?canary&x",
            "canary#",
        ] {
            for port in ["", ":5432", ":x"] {
                let result = parse(&format!("postgres://app:{password}@host{port}/db?reset=x"));
                let text = format!("{result:?} {}", result.as_ref().unwrap_err());
                for piece in ["cana", "nary", "ary", "ca?"] {
                    assert!(!text.contains(piece), "{password}: {text}");
                }
            }
        }
    }
}
