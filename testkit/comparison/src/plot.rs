//! What is drawn beside the bars of each comparison.

/// Lines in one picture.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// Whether the vertical axis is logarithmic.
    pub(crate) log: bool,
    pub(crate) lines: Vec<Line>,
}

/// One line, by its contender.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}
