//! Settings in any serde format.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::loaded::is_number;
use super::sources::Value;
use super::{Config, ConfigErrors, Origin, Sources, Violation};

/// The settings of a document, unread and unjudged, for [`Sources::document`]; so that everything
/// that is wrong in several documents is named at once.
///
/// ```
/// use pool_facade::config::{Document, Sources};
///
/// let document: Document = serde_json::from_str(
///     r#"{ "max_size": 30, "idle_timeout": null, "breaker": { "open_time": "5s" } }"#,
/// )?;
/// let loaded = Sources::new().document("pool.json", document).load()?;
/// assert_eq!(loaded.config.pool.max_size, 30);
///
/// let document: Document = serde_json::from_str(r#"{ "max_size": 0, "keepalive": 30 }"#)?;
/// let errors = Sources::new().document("pool.json", document).load().unwrap_err();
/// assert_eq!(errors.violations().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Document(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entries = Vec::new();
        let section = Node {
            path: String::new(),
            entries: &mut entries,
        };
        section.deserialize(deserializer)?;
        Ok(Self(entries))
    }
}

impl fmt::Debug for Document {
    /// Without values: a URL has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.0.iter().map(|(path, _)| path);
        f.debug_list().entries(paths).finish()
    }
}

/// A value or a section, whose settings are added under their full names.
struct Node<'a> {
    path: String,
    entries: &'a mut Vec<(String, Value)>,
}

impl Node<'_> {
    fn add(self, value: Value) {
        self.entries.push((self.path, value));
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting or a section of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key
            } else {
                format!("{}.{key}", self.path)
            };
            if self.entries.iter().any(|(known, _)| *known == path) {
                self.entries
                    .push((path, Value::Wrong("must be given once")));
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            map.next_value_seed(Node {
                path,
                entries: self.entries,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.add(Value::Wrong("must not be a list"));
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.add(Value::Text(text.into()));
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.add(Value::Text(number.to_string()));
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.add(Value::Text(number.to_string()));
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.add(Value::Text(number.to_string()));
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.add(Value::Text(value.to_string()));
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_str("none")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Deserialize<'de> for Config {
    /// Reads the settings over the defaults; the message names everything that is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Document::deserialize(deserializer)?;
        let loaded = Sources::new().document("the document", document).load();
        let loaded = loaded.map_err(D::Error::custom)?;
        if loaded.url().is_none() {
            return Ok(loaded.config);
        }
        // It would be lost.
        let violation = Violation {
            field: "url".into(),
            value: "..".into(),
            rule: "must be read by Sources, which gives it back".into(),
            origin: Some(Origin::Document("the document".into())),
        };
        let errors = ConfigErrors::unless_empty(vec![violation]);
        errors.map(|()| loaded.config).map_err(D::Error::custom)
    }
}

impl Serialize for Config {
    /// Writes every setting, in sections.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = self.texts();
        let texts = texts.iter().map(|it| (it.path, it.text.as_str()));
        Section(texts.collect()).serialize(serializer)
    }
}

/// Settings by what is left of their names within the section; those of one section are adjacent.
struct Section<'a>(Vec<(&'a str, &'a str)>);

impl Serialize for Section<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for settings in self
            .0
            .chunk_by(|a, b| section(a.0).is_some() && section(a.0) == section(b.0))
        {
            let (path, text) = settings[0];
            match section(path) {
                None => map.serialize_entry(path, &Scalar(text))?,
                Some(name) => {
                    let inner = settings
                        .iter()
                        .map(|(path, text)| (&path[name.len() + 1..], *text));
                    map.serialize_entry(name, &Self(inner.collect()))?;
                }
            }
        }
        map.end()
    }
}

fn section(path: &str) -> Option<&str> {
    path.split_once('.').map(|(name, _)| name)
}

struct Scalar<'a>(&'a str);

impl Serialize for Scalar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = is_number(self.0);
        if let Some(number) = self.0.parse().ok().filter(|_| number) {
            serializer.serialize_i64(number)
        } else if let Some(number) = self.0.parse().ok().filter(|_| number) {
            serializer.serialize_f64(number)
        } else {
            serializer.serialize_str(self.0)
        }
    }
}
