//! One line of the results.

use serde::{Deserialize, Serialize};

use crate::figures::Spread;

/// A figure of a contender, or a verdict on ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The bar that the workload is for.
    pub(crate) id: String,
    pub(crate) workload: String,
    pub(crate) contender: String,
    pub(crate) setting: String,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) median: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) rounds: usize,
    /// In words; none on a plain figure.
    pub(crate) bar: Option<String>,
    /// None on a plain figure, and where it cannot be measured yet; `note` says why.
    pub(crate) met: Option<bool>,
    /// How parallel the cores were, where that matters.
    pub(crate) parallelism: Option<f64>,
    pub(crate) note: Option<String>,
}

impl Row {
    /// What names this row in the list of declared misses and from run to run.
    pub(crate) fn key(&self) -> String {
        let Self {
            id,
            workload,
            contender,
            setting,
            metric,
            ..
        } = self;
        format!("{id}/{workload}/{setting}/{contender}/{metric}")
    }

    pub(crate) fn is_verdict(&self) -> bool {
        self.bar.is_some()
    }

    pub(crate) fn spread(&mut self, spread: Option<Spread>) {
        self.median = spread.map(|it| it.median);
        self.min = spread.map(|it| it.least);
        self.max = spread.map(|it| it.most);
    }
}

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    pub(crate) fn words(self) -> String {
        match self {
            Self::AtMost(bound) => format!("<= {bound}"),
            Self::AtLeast(bound) => format!(">= {bound}"),
        }
    }
}

/// With about three digits, and no more zeros than they need.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        it if it >= 1e6 => format!("{:.2}M", value / 1e6),
        it if it >= 1e5 => format!("{:.0}k", value / 1e3),
        it if it >= 100.0 => format!("{value:.0}"),
        it if it >= 10.0 => format!("{value:.1}"),
        it if it >= 1.0 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_includes_its_edge_and_refuses_what_is_no_number() {
        assert!(Bound::AtMost(1.0).holds(1.0) && Bound::AtLeast(1.0).holds(1.0));
        assert!(!Bound::AtMost(1.0).holds(1.1) && !Bound::AtLeast(1.0).holds(0.9));
        assert!(!Bound::AtMost(1.0).holds(f64::NAN) && !Bound::AtLeast(1.0).holds(f64::NAN));
    }

    #[test]
    fn figures_are_short() {
        let all = [0.0, 0.1234, 1.234, 12.34, 123.4, 123_456.0, 1_234_567.0].map(short);
        assert_eq!(all, ["0", "0.123", "1.23", "12.3", "123", "123k", "1.23M"]);
    }
}
