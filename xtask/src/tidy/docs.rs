//! What each module says of itself, and examples that run.

use super::source::Source;

/// Each module begins with a line of documentation that can stand alone.
pub(super) fn modules(source: &Source<'_>) -> Vec<String> {
    if !source.is_rust() {
        return vec![];
    }
    let mut lines = source
        .text
        .lines()
        .skip_while(|line| line.starts_with("#!["));
    let Some(first) = lines.next().and_then(|line| line.strip_prefix("//!")) else {
        return vec![source.at(1, "has no documentation", "begin with `//! What this is.`")];
    };
    let goes_on = lines
        .next()
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|it| !it.trim().is_empty());
    let ends = |line: &str| line.contains(". ") || line.ends_with(['.', ':', '?', '!']);
    if goes_on && !ends(first) {
        let fix = "shorten the first sentence to one line, and leave the rest to the next";
        return vec![source.at(1, "the first sentence does not fit its line", fix)];
    }
    vec![]
}

/// No example in the documentation is kept from the compiler.
pub(super) fn ignored_examples(source: &Source<'_>) -> Vec<String> {
    let fence = |line: &str| {
        let line = line
            .trim_start()
            .trim_start_matches("//!")
            .trim_start_matches("///");
        line.trim_start().strip_prefix("```").is_some_and(|info| {
            info.split([',', ' '])
                .any(|word| word == "ignore" || word.starts_with("ignore-"))
        })
    };
    source
        .lines()
        .filter(|(_, line)| fence(line))
        .map(|(number, _)| {
            let fix = "make it compile; `no_run` where it needs a live server, `text` if no Rust";
            source.at(number, "an example that nobody compiles", fix)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn modules_in(text: &str) -> usize {
        modules(&Source::new(Path::new("a.rs"), text)).len()
    }

    #[test]
    fn a_module_without_documentation_is_found() {
        assert_eq!(modules_in("use a;\n"), 1);
        assert_eq!(modules_in("//! A thing.\nuse a;\n"), 0);
        assert_eq!(modules_in("#![cfg(loom)]\n//! A thing.\nuse a;\n"), 0);
    }

    #[test]
    fn a_first_sentence_that_runs_on_is_found() {
        assert_eq!(modules_in("//! A thing that\n//! goes on.\n"), 1);
        assert_eq!(modules_in("//! A thing.\n//! More of it.\n"), 0);
        assert_eq!(modules_in("//! A thing. More\n//! of it.\n"), 0);
        assert_eq!(modules_in("//! A thing\n//!\n//! More of it.\n"), 0);
    }

    #[test]
    fn an_ignored_example_is_found() {
        let find = |text| ignored_examples(&Source::new(Path::new("a.rs"), text)).len();
        assert_eq!(find("/// ```ignore\n/// ```\n"), 1);
        assert_eq!(find("    //! ```rust,ignore\n"), 1);
        assert_eq!(find("```ignore-x86_64\n"), 1);
        assert_eq!(find("/// ```no_run\n/// ```text\n/// ignore\n"), 0);
    }
}
