//! Where settings come from, and who wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::fields::Visitor;
use super::rules::{ConfigErrors, Violation, covers};
use super::setting::Setting;
use super::{Config, Loaded, rules, url};

/// Collects settings from several places and merges them.
///
/// Who wins does not depend on the order of the calls. From the weakest to the strongest:
///
/// 1. the defaults, or the preset that a `preset` setting names, or what [`base`](Self::base)
///    was given;
/// 2. documents, a later one over an earlier one;
/// 3. parameters of the URL;
/// 4. environment variables;
/// 5. what the builder's own methods set after the result was given to it.
///
/// Nothing is read or judged before [`load`](Self::load), which names everything that is wrong.
///
/// ```
/// use pool_facade::config::Sources;
///
/// let environment = [
///     ("SHOP__URL", "postgres://app:secret@db/shop?sslmode=require&pool_max_size=30"),
///     ("SHOP__PRESET", "guide"),
///     ("SHOP__IDLE_TIMEOUT", "none"),
///     ("SHOP__BREAKER__OPEN_TIME", "5s"),
/// ];
/// let loaded = Sources::new().variables("SHOP", environment).load()?;
/// assert_eq!(loaded.config.pool.max_size, 30);
/// assert_eq!(loaded.config.pool.min_idle, 3);
/// // What is left of the URL is for the driver; it is not printed.
/// assert_eq!(loaded.url(), Some("postgres://app:secret@db/shop?sslmode=require"));
/// let effective = loaded.to_string();
/// assert!(effective.contains("max_size = 30 # URL parameter pool_max_size\n"));
/// assert!(!effective.contains("secret"));
/// # Ok::<(), pool_facade::ConfigErrors>(())
/// ```
#[derive(Default)]
#[must_use = "sources do nothing until they are loaded"]
pub struct Sources {
    base: Option<Config>,
    entries: Vec<Entry>,
}

/// A setting that some source has.
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What a source has for a setting.
pub(super) enum Value {
    Text(String),
    /// Something that cannot be a setting, and what must be instead.
    Wrong(&'static str),
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The value that the sources were merged into.
    Base,
    /// A preset that some source named.
    Preset(&'static str),
    /// A document, by the name that it was given under.
    Document(String),
    /// A parameter of the URL, by its name.
    Url(String),
    /// A variable of the environment, by its name.
    Environment(String),
}

impl Sources {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from `config` rather than from the defaults. A `preset` in any source replaces it.
    pub fn base(mut self, config: Config) -> Self {
        self.base = Some(config);
        self
    }

    /// Adds a document, under a name for messages, such as that of its file.
    #[cfg(feature = "serde")]
    pub fn document(mut self, name: impl Into<String>, document: super::Document) -> Self {
        let origin = Origin::Document(name.into());
        let entries = document.0.into_iter().map(|(path, value)| Entry {
            path,
            value,
            origin: origin.clone(),
        });
        self.entries.extend(entries);
        self
    }

    /// Adds the parameters of a URL that begin with `pool_`, such as `pool_max_size=20` or
    /// `pool_retry.max_attempts=2`. The URL without them is found in [`Loaded::url`].
    ///
    /// A document or the environment may hold a URL too, as `url`; of several only the strongest
    /// is read.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.entries.push(Entry {
            path: URL.into(),
            value: Value::Text(url.into()),
            origin: Origin::Url("url".into()),
        });
        self
    }

    /// Adds the variables of the environment that begin with `prefix` and two underscores, such as
    /// `SHOP__MAX_SIZE` or `SHOP__BREAKER__OPEN_TIME` for the prefix `SHOP`. All of them must be
    /// settings, so what a driver reads from the environment needs another prefix.
    pub fn environment(self, prefix: &str) -> Self {
        self.variables(prefix, std::env::vars_os())
    }

    /// The same with variables of your own.
    pub fn variables<N, V>(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        for (name, value) in variables {
            let Ok(name) = name.into().into_string() else {
                continue;
            };
            let rest = name.strip_prefix(prefix);
            let Some(path) = rest.and_then(|rest| rest.strip_prefix("__")) else {
                continue;
            };
            let value = value.into().into_string();
            self.entries.push(Entry {
                path: path.to_lowercase().replace("__", "."),
                value: value.map_or(Value::Wrong("must be UTF-8"), Value::Text),
                origin: Origin::Environment(name),
            });
        }
        self
    }

    /// Merges everything.
    ///
    /// # Errors
    ///
    /// Every name that is not known, every text that cannot be read and every broken rule, at
    /// once.
    pub fn load(mut self) -> Result<Loaded, ConfigErrors> {
        self.entries.sort_by_key(|entry| entry.origin.rank());
        let mut violations = Vec::new();
        let url = self.take_last(URL).and_then(|entry| {
            let text = read::<String>(&entry, &mut violations)?;
            let (rest, parameters) = url::split(&text);
            self.entries.extend(parameters);
            self.entries.sort_by_key(|entry| entry.origin.rank());
            Some(rest)
        });
        let (mut config, origin) = self.choose_base(&mut violations);
        let texts = config.texts();
        let mut origins: BTreeMap<_, _> =
            texts.iter().map(|it| (it.path, origin.clone())).collect();
        for entry in &self.entries {
            let mut write = Write {
                entry,
                path: None,
                violations: &mut violations,
            };
            config.visit(&mut write);
            match write.path {
                Some(path) => drop(origins.insert(path, entry.origin.clone())),
                None => violations.push(unknown(entry, origins.keys().copied())),
            }
        }
        follow_size(&mut config, &self.entries);
        violations.extend(rules::check(&config).into_iter().map(|mut violation| {
            let origin = origins.iter().find(|it| covers(it.0, &violation.field));
            violation.origin = origin.map(|(_, origin)| origin.clone());
            violation
        }));
        ConfigErrors::unless_empty(violations)?;
        Ok(Loaded::new(config, url, origins))
    }

    /// Removes every entry of this path; the strongest is the answer.
    fn take_last(&mut self, path: &str) -> Option<Entry> {
        let mut last = None;
        let entries = std::mem::take(&mut self.entries);
        for entry in entries {
            if entry.path == path {
                last = Some(entry);
            } else {
                self.entries.push(entry);
            }
        }
        last
    }

    fn choose_base(&mut self, violations: &mut Vec<Violation>) -> (Config, Origin) {
        let named = self.take_last("preset").and_then(|entry| {
            let name = read::<String>(&entry, violations)?;
            let preset = Config::preset(&name);
            if preset.is_none() {
                violations.push(entry.violation("must be guide, vector_search or vault"));
            }
            preset
        });
        let base = self.base.take();
        named
            .map(|(name, config)| (config, Origin::Preset(name)))
            .or_else(|| base.map(|config| (config, Origin::Base)))
            .unwrap_or_else(|| (Config::default(), Origin::Default))
    }
}

/// Two limits follow the size unless somebody set them.
fn follow_size(config: &mut Config, entries: &[Entry]) {
    let sets = |path: &str| entries.iter().any(|entry| entry.path == path);
    if !sets("max_size") {
        return;
    }
    let defaults = pool_core::Config::new(config.pool.max_size);
    if !sets("max_connecting") {
        config.pool.max_connecting = defaults.max_connecting;
    }
    if !sets("max_waiters") {
        config.pool.max_waiters = defaults.max_waiters;
    }
}

/// Writes one entry to the setting of its name.
struct Write<'a> {
    entry: &'a Entry,
    path: Option<&'static str>,
    violations: &'a mut Vec<Violation>,
}

impl Visitor for Write<'_> {
    fn visit<T: Setting>(&mut self, path: &'static str, _live: bool, value: &mut T) {
        if path != self.entry.path {
            return;
        }
        self.path = Some(path);
        if let Some(read) = read(self.entry, self.violations) {
            *value = read;
        }
    }
}

/// The value of an entry, unless it is wrong.
fn read<T: Setting>(entry: &Entry, violations: &mut Vec<Violation>) -> Option<T> {
    let read = match &entry.value {
        Value::Text(text) => T::parse(text),
        Value::Wrong(rule) => Err(*rule),
    };
    read.map_err(|rule| violations.push(entry.violation(rule)))
        .ok()
}

/// Without the value, which may be a secret under a mistyped name.
fn unknown(entry: &Entry, mut paths: impl Iterator<Item = &'static str>) -> Violation {
    let meant = paths.find(|path| {
        let rest = path.strip_suffix(&entry.path);
        rest.is_some_and(|rest| rest.ends_with('.'))
    });
    Violation {
        field: shorten(&entry.path),
        value: "..".into(),
        rule: meant.map_or_else(
            || "is not the name of a setting".into(),
            |path| format!("is not the name of a setting; {path} is one"),
        ),
        origin: Some(entry.origin.clone()),
    }
}

/// What a message shows of a text from outside.
fn shorten(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(60).collect();
    if shown.len() < text.len() {
        shown.push_str("..");
    }
    shown
}

impl Entry {
    fn violation(&self, rule: &str) -> Violation {
        let value = match &self.value {
            _ if self.path == URL => "..".into(),
            Value::Text(text) => shorten(text),
            Value::Wrong(_) => "..".into(),
        };
        Violation {
            field: self.path.clone(),
            value,
            rule: rule.into(),
            origin: Some(self.origin.clone()),
        }
    }
}

impl Origin {
    /// Who wins: the greater one.
    const fn rank(&self) -> u8 {
        match self {
            Self::Default | Self::Base | Self::Preset(_) => 0,
            Self::Document(_) => 1,
            Self::Url(_) => 2,
            Self::Environment(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::Base => f.write_str("the base"),
            Self::Preset(name) => write!(f, "the preset {name}"),
            Self::Document(name) => write!(f, "{}", shorten(name)),
            Self::Url(parameter) => write!(f, "URL parameter {}", shorten(parameter)),
            Self::Environment(variable) => {
                write!(f, "environment variable {}", shorten(variable))
            }
        }
    }
}

impl fmt::Debug for Sources {
    /// Without values: a URL has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.entries.iter().map(|entry| &entry.path);
        f.debug_list().entries(paths).finish()
    }
}

const URL: &str = "url";
