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
