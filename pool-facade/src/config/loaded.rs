//! The outcome of merging sources.

use std::collections::BTreeMap;
use std::fmt;

use super::rules::covers;
use super::sources::Origin;
use super::{Config, url};

/// The settings in effect, and where each comes from.
///
/// `Display` prints all of them as a TOML document, with the origin of each in a comment and
/// without the secrets of the URL: log it once at the start.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    url: Option<String>,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    pub(super) fn new(
        config: Config,
        url: Option<String>,
        origins: BTreeMap<&'static str, Origin>,
    ) -> Self {
        Self {
            config,
            url,
            origins,
        }
    }

    /// The URL for the driver, without the pool's parameters, if there was one. It may hold a
    /// password.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where a setting comes from, by its name.
    pub fn origin(&self, field: &str) -> Option<&Origin> {
        let found = self.origins.iter().find(|it| covers(it.0, field));
        found.map(|(_, origin)| origin)
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.url {
            // In a comment: what is shown of it is of no use to a reader of settings.
            writeln!(f, "# url = {}", toml_value(&url::redact(url)))?;
        }
        for it in self.config.texts() {
            write!(f, "{} = {}", it.path, toml_value(&it.text))?;
            match self.origins.get(it.path) {
                Some(origin) if *origin != Origin::Default => writeln!(f, " # {origin}")?,
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Loaded {
    /// Without the secrets of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("url", &self.url.as_deref().map(url::redact))
            .field("origins", &self.origins)
            .finish()
    }
}

/// A number as it is, everything else in quotes.
pub(super) fn toml_value(text: &str) -> String {
    if is_number(text) {
        return text.into();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether this is a number that every format can hold and give back unchanged.
pub(super) fn is_number(text: &str) -> bool {
    if text.contains('.') {
        let number = text.parse::<f64>();
        return number.is_ok_and(|number| number.to_string() == text);
    }
    let number = text.parse::<i64>();
    number.is_ok_and(|number| number.to_string() == text)
}
