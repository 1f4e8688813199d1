//! A file as the rules see it.

use std::path::Path;

/// Path and text of one file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Relative to the root of the workspace.
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text }
    }

    /// Numbered lines, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// The lines before the unit tests at the end of the file.
    pub(super) fn before_tests(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            let gate = pair[0].starts_with("#[cfg(") && pair[0].contains("test");
            gate && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        });
        self.lines().take(tests.unwrap_or(lines.len()))
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "rs")
    }

    /// Whether the file is a test, bench or example rather than part of a crate.
    pub(super) fn is_test(&self) -> bool {
        let aside = ["tests", "benches", "examples", "fuzz"];
        self.path
            .iter()
            .any(|part| aside.iter().any(|name| part == *name))
    }

    /// Whether the file belongs to a tool of this repository.
    pub(super) fn is_tool(&self) -> bool {
        ["testkit", "xtask", "bench"]
            .iter()
            .any(|tool| self.path.starts_with(tool))
    }

    /// A finding at a line.
    pub(super) fn at(&self, line: usize, problem: &str, fix: &str) -> String {
        format!("{}:{line}: {problem}\n    fix: {fix}", self.path.display())
    }
}

/// Whether the line is neither empty nor a comment.
pub(super) fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}
