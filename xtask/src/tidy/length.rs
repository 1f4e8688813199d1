//! Files and functions that fit in a head.

use super::source::{Source, is_code};

/// Fewer than 400 lines of code in a file, at most 600 in a test; unit tests at its end are free.
pub(super) fn files(source: &Source<'_>) -> Vec<String> {
    if !source.is_rust() {
        return vec![];
    }
    let limit = if source.is_test() { TEST_FILE } else { FILE };
    let count = source
        .before_tests()
        .filter(|(_, line)| is_code(line))
        .count();
    if count <= limit {
        return vec![];
    }
    let problem = format!("{count} lines of code, more than {limit}");
    vec![source.at(
        1,
        &problem,
        "split it by noun: one type and its decisions per file",
    )]
}

/// Fewer than 70 lines in a function.
pub(super) fn functions(source: &Source<'_>) -> Vec<String> {
    if !source.is_rust() {
        return vec![];
    }
    let lines: Vec<_> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(indent) = function_indent(line) else {
            continue;
        };
        // rustfmt puts the closing brace below the `fn`; a `;` there ends a mere signature.
        let end = lines[start..].iter().position(|line| {
            line.strip_prefix(indent).is_some_and(|rest| {
                rest.starts_with('}') || (!rest.starts_with([' ', ')']) && rest.ends_with(';'))
            })
        });
        let count = end.map_or(0, |end| end + 1);
        if count > FUNCTION {
            let problem = format!("a function of {count} lines, more than {FUNCTION}");
            findings.push(source.at(start + 1, &problem, "name its parts and call them"));
        }
    }
    findings
}

/// The white space before a line that begins a function with a body.
fn function_indent(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let mut words = code.split(' ').skip_while(|word| {
        word.starts_with("pub")
            || matches!(
                *word,
                "in" | "const" | "async" | "unsafe" | "extern" | "\"C\""
            )
    });
    let opens = words.next() == Some("fn") && !code.ends_with(['}', ';']);
    opens.then(|| &line[..line.len() - code.len()])
}

const FILE: usize = 399;
const TEST_FILE: usize = 600;
const FUNCTION: usize = 69;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn source<'a>(path: &'a str, text: &'a str) -> Source<'a> {
        Source::new(Path::new(path), text)
    }

    #[test]
    fn a_long_file_is_found_and_comments_and_tests_are_free() {
        let code = "use a;\n".repeat(399);
        let free = "// why\n\n#[cfg(test)]\nmod tests {\n";
        assert!(files(&source("a/src/b.rs", &format!("{code}{free}{code}"))).is_empty());
        let long = code + "use b;\n";
        assert!(files(&source("a/src/b.rs", &long))[0].contains("400 lines"));
        assert!(files(&source("a/tests/b.rs", &long)).is_empty());
        assert_eq!(files(&source("a/tests/b.rs", &long.repeat(2))).len(), 1);
    }

    #[test]
    fn a_long_function_is_found() {
        let function = |lines| {
            let body = "        x();\n".repeat(lines);
            format!(
                "impl A {{\n    pub(crate) async fn f(\n        a: u8,\n    ) {{\n{body}    }}\n}}\n"
            )
        };
        assert!(functions(&source("b.rs", &function(65))).is_empty());
        let found = functions(&source("b.rs", &function(66)));
        assert!(
            found[0].starts_with("b.rs:2: a function of 70 lines"),
            "{found:?}"
        );
    }

    #[test]
    fn a_signature_alone_does_not_reach_for_the_next_brace() {
        let text = format!(
            "trait A {{\n    fn f(\n        a: u8,\n    );\n{}}}\n",
            "    fn g();\n".repeat(80)
        );
        assert!(functions(&source("b.rs", &text)).is_empty());
    }
}
