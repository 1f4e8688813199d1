//! How much of a delay is left to chance.

use crate::ratio::Ratio;

/// How a delay `d` is spread, always uniformly, never above the cap of the policy and never pinned
/// to it.
///
/// [`Full`](Self::Full) is the default because it ends contention with the fewest calls for its
/// time; the crate's documentation has the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly `d`: for a single client, or where something else spreads the calls.
    None,
    /// From 0 to `d`.
    #[default]
    Full,
    /// From `d / 2` to `d`: where the next call must not come at once.
    Equal,
    /// From `d - d * fraction` to `d + d * fraction`; above `cap / (1 + fraction)` the upper end
    /// is the cap.
    PlusMinus(Ratio),
}

impl Jitter {
    /// The least and the greatest delay that can be drawn for a delay of `ns <= cap_ns`.
    #[inline]
    pub(crate) fn range(self, ns: u64, cap_ns: u64) -> (u64, u64) {
        match self {
            Self::None => (ns, ns),
            Self::Full => (0, ns),
            Self::Equal => (ns / 2, ns),
            Self::PlusMinus(Ratio {
                numerator,
                denominator,
            }) => {
                // At most `ns`, because the fraction is at most 1.
                let spread =
                    (u128::from(ns) * u128::from(numerator) / u128::from(denominator)) as u64;
                (ns - spread, ns.saturating_add(spread).min(cap_ns))
            }
        }
    }
}

/// A number from `low` to `high`, both included, made from 64 random bits: 0 gives `low`,
/// `u64::MAX` gives `high`, and no number is more likely than another by more than one part in
/// `2^64 / (high - low)`.
#[inline]
pub(crate) fn draw((low, high): (u64, u64), random: u64) -> u64 {
    low + ((u128::from(random) * (u128::from(high - low) + 1)) >> 64) as u64
}
