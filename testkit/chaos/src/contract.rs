//! The rows of the contract, as data.

use std::sync::LazyLock;

/// A fault and what is promised under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) source: Source,
    pub(crate) fault: &'static str,
    pub(crate) promise: &'static str,
}

/// Who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The contract with users.
    Contract,
    /// The figures to beat.
    Bars,
}

impl Source {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Bars => "bars",
        }
    }
}

/// Every row, in the order of the contract.
pub(crate) static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut source = Source::Contract;
    let mut rows = Vec::new();
    for line in include_str!("../contract.txt").lines() {
        match line {
            "[contract]" => source = Source::Contract,
            "[bars]" => source = Source::Bars,
            line if line.is_empty() || line.starts_with('#') => {}
            line => {
                let mut parts = line.splitn(3, " | ");
                let mut part = || parts.next().expect("a row has three parts");
                rows.push(Row {
                    key: part(),
                    source,
                    fault: part(),
                    promise: part(),
                });
            }
        }
    }
    rows
});

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/RELIABILITY.md");

    #[test]
    fn the_document_has_every_row_of_the_contract_with_its_tests() {
        for row in ROWS.iter() {
            match row.source {
                Source::Contract => {
                    let heading = format!("\n### {}\n", row.key);
                    let (_, rest) = DOCUMENT.split_once(&heading).expect(row.key);
                    let section = rest.split("\n## ").next().unwrap_or(rest);
                    let section = section.split("\n### ").next().unwrap_or(section);
                    assert!(section.contains("\nTests: `"), "{}", row.key);
                    assert!(section.contains("\nMeasured: "), "{}", row.key);
                    assert_ne!(named(section).count(), 0, "{}", row.key);
                }
                Source::Bars => {
                    let line = format!("\n| {} | {} |", row.key, row.fault);
                    assert!(DOCUMENT.contains(&line), "{}", row.key);
                }
            }
        }
        for invariant in 1..=11 {
            let line = DOCUMENT
                .lines()
                .find(|it| it.starts_with(&format!("| {invariant} |")));
            let tests = line.map_or(0, |line| named(line).count());
            assert_ne!(tests, 0, "invariant {invariant} has no test");
        }
    }

    #[test]
    fn every_test_that_the_document_names_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (file, test) in named(DOCUMENT) {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(!text.is_empty(), "{file} is not there");
            assert!(
                text.contains(&format!("fn {test}(")),
                "{file} has no test {test}"
            );
        }
    }

    #[test]
    fn a_name_is_a_file_and_a_test() {
        let text = "see `a/b.rs::c` and `d::e`, `f.rs`; `g.rs::h`";
        let found: Vec<_> = named(text).collect();
        assert_eq!(found, [("a/b.rs", "c"), ("g.rs", "h")]);
    }

    /// The tests named in `text`, as `file.rs::test` between backquotes.
    fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
        let quoted = text.split('`').skip(1).step_by(2);
        quoted.filter_map(|name| {
            let (file, test) = name.rsplit_once("::")?;
            file.ends_with(".rs").then_some((file, test))
        })
    }
}
