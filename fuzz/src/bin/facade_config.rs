//! Any document, URL and environment are refused by name or keep the rules.
//!
//! What is accepted reads back from its own text.
//!
//! Input: lines. The first is a URL, those with `=` up to an empty one are variables, and what
//! follows is a document.
#![no_main]

use pool_facade::config::{Document, Sources};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (head, document) = text.split_once("\n\n").unwrap_or((text, ""));
    let (url, variables) = head.split_once('\n').unwrap_or((head, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("P__{name}"), value));
    let mut sources = Sources::new().url(url).variables("P", variables);
    if let Ok(document) = toml::from_str::<Document>(document) {
        sources = sources.document("document", document);
    }
    match sources.load() {
        Err(errors) => {
            for violation in errors.violations() {
                assert!(errors.to_string().contains(&*violation.field), "{errors}");
            }
        }
        Ok(loaded) => {
            assert_eq!(loaded.config.validate(), Ok(()), "{loaded}");
            let text = loaded.config.to_string();
            let document = toml::from_str(&text).expect("the text is a document");
            let again = Sources::new().document("text", document).load();
            assert_eq!(again.expect("the text is good").config, loaded.config);
        }
    }
});
