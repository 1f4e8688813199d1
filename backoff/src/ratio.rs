//! A fraction of two integers.

use core::fmt;

/// A fraction: exact where a float is not, comparable, and usable in a `const`.
///
/// A zero denominator can be written down; whatever takes a `Ratio` refuses it when it is built.
///
/// ```
/// use backoff::Ratio;
///
/// assert_eq!(Ratio::new(3, 2).to_string(), "3/2");
/// assert_eq!(Ratio::percent(10), Ratio::new(10, 100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    pub(crate) numerator: u32,
    pub(crate) denominator: u32,
}

impl Ratio {
    /// `numerator / denominator`.
    #[must_use]
    pub const fn new(numerator: u32, denominator: u32) -> Self {
        Self {
            numerator,
            denominator,
        }
    }

    /// `percent / 100`.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::new(percent, 100)
    }

    /// The number above the line.
    #[must_use]
    pub const fn numerator(self) -> u32 {
        self.numerator
    }

    /// The number below the line.
    #[must_use]
    pub const fn denominator(self) -> u32 {
        self.denominator
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}
