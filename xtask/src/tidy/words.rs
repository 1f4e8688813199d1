//! Words that have no place in the main branch.

use super::source::Source;

/// Notes to oneself, code in comments, and paths of one machine.
pub(super) fn all(source: &Source<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        // This file and its siblings spell out what they look for.
        let own = source.path.starts_with("xtask/src/tidy");
        let comment = line
            .trim_start()
            .strip_prefix("//")
            .filter(|_| source.is_rust());
        if !own && NOTES.iter().any(|note| contains_word(line, note)) {
            findings.push(source.at(number, "a note to oneself", "do it, or open an issue"));
        }
        if !own && comment.is_some_and(is_code) {
            findings.push(source.at(number, "code in a comment", "delete it; git remembers"));
        }
        if !own && PLACES.iter().any(|place| holds_path(line, place)) {
            findings.push(source.at(number, "a path of one machine", "make it relative"));
        }
    }
    findings
}

/// Whether the text of a comment is Rust: it ends like it and has what prose has not.
fn is_code(comment: &str) -> bool {
    if comment.starts_with(['/', '!']) {
        return false;
    }
    let text = comment.trim();
    let begins = [
        "let ", "fn ", "pub ", "use ", "if ", "for ", "return ", "#[", "}",
    ];
    let code = text.contains("::") || text.contains(" = ") || text.contains("();");
    text.ends_with([';', '{', '}']) && (code || begins.iter().any(|it| text.starts_with(it)))
}

fn contains_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|it| it == word)
}

/// Whether an absolute path begins with `place`, which may also be the end of a relative one.
fn holds_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-}>~*:/".contains(c))
    })
}

const NOTES: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];
const PLACES: [&str; 4] = ["/workspace/", "/root/", "/home/", "/Users/"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn find(path: &str, text: &str) -> Vec<String> {
        all(&Source::new(Path::new(path), text))
    }

    #[test]
    fn notes_are_found_as_whole_words() {
        assert!(find("a.rs", "// TODO: later\n")[0].contains("a.rs:1: a note"));
        assert!(find("a.md", "FIXME\n").len() == 1);
        assert!(find("a.rs", "let TODOS = 1;\n").is_empty());
    }

    #[test]
    fn code_in_comments_is_found_and_prose_is_not() {
        for code in [
            "// let a = b;",
            "    // if a {",
            "// }",
            "// x = y();",
            "// a::b();",
        ] {
            assert_eq!(find("a.rs", code).len(), 1, "{code}");
        }
        for prose in [
            "// the lock is freed;",
            "/// let a = b;",
            "// {a, b} is a set",
            "// see a::b",
        ] {
            assert!(find("a.rs", prose).is_empty(), "{prose}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(find("a.md", "see `/workspace/a`\n").len(), 1);
        assert_eq!(find("a.sh", "cd /home/me\n").len(), 1);
        assert!(find("a.md", "see docs/workspace/a and host:8080/home/x\n").is_empty());
    }
}
