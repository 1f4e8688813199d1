//! The delay before jitter and cap, as a function of the attempt alone.
//!
//! The invariant: total, exact to half a nanosecond, and as cheap for attempt four billion as for
//! the first; what does not fit saturates. Nothing here loops over attempts, and nothing is a
//! float: `f64` runs out of nanoseconds after 104 days, and `f32` after 17 milliseconds.

use core::{fmt, time::Duration};

use crate::ratio::Ratio;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    unpredictable_function_pointer_comparisons,
    reason = "equal functions may compare unequal, and custom policies of them then do too"
)]
pub(crate) enum Curve {
    Fixed { base_ns: u64 },
    Linear { base_ns: u64, step_ns: u64 },
    Doubling { base_ns: u64 },
    Exponential { base_ns: u64, factor: Wide },
    Fibonacci { base_ns: u64 },
    Decorrelated { base_ns: u64 },
    Custom { delay: fn(u32) -> Duration },
}

impl Curve {
    /// The first delay, where the curve has one.
    pub(crate) const fn base_ns(self) -> Option<u64> {
        match self {
            Self::Fixed { base_ns }
            | Self::Linear { base_ns, .. }
            | Self::Doubling { base_ns }
            | Self::Exponential { base_ns, .. }
            | Self::Fibonacci { base_ns }
            | Self::Decorrelated { base_ns } => Some(base_ns),
            Self::Custom { .. } => None,
        }
    }

    /// The delay after failed attempt `attempt`, counted from 0. Decorrelated delays have no curve
    /// but the cap.
    #[inline]
    pub(crate) fn at(self, attempt: u32) -> u64 {
        match self {
            Self::Fixed { base_ns } => base_ns,
            Self::Linear { base_ns, step_ns } => {
                base_ns.saturating_add(step_ns.saturating_mul(u64::from(attempt)))
            }
            Self::Doubling { base_ns } => {
                if attempt <= base_ns.leading_zeros() {
                    base_ns << attempt
                } else {
                    u64::MAX
                }
            }
            Self::Exponential { base_ns, factor } => exponential(base_ns, factor, attempt),
            Self::Fibonacci { base_ns } => match FIBONACCI.get(attempt as usize) {
                Some(&times) => base_ns.saturating_mul(times),
                None => u64::MAX,
            },
            Self::Decorrelated { .. } => u64::MAX,
            Self::Custom { delay } => nanoseconds(delay(attempt)),
        }
    }
}

/// Saturates at 584 years.
pub(crate) const fn nanoseconds(span: Duration) -> u64 {
    let ns = span.as_nanos();
    if ns > u64::MAX as u128 {
        u64::MAX
    } else {
        ns as u64
    }
}

fn exponential(base_ns: u64, factor: Wide, attempt: u32) -> u64 {
    let mut product = Wide::new(u128::from(base_ns), 0);
    let mut power = factor;
    let mut rest = attempt;
    while rest != 0 {
        if rest & 1 == 1 {
            product = product.times(power);
        }
        rest >>= 1;
        if rest != 0 {
            power = power.times(power);
        }
    }
    product.round()
}

/// A positive number `mantissa * 2^exponent` with a mantissa of 128 bits, its top bit set.
///
/// Every product loses less than one part in 2^127, and a power of up to 2^32 is off by less than
/// one part in 2^94: far below half of one nanosecond in 584 years.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wide {
    high: u64,
    low: u64,
    exponent: i64,
}

impl Wide {
    const fn new(value: u128, exponent: i64) -> Self {
        let shift = value.leading_zeros();
        let mantissa = value << shift;
        Self {
            high: (mantissa >> 64) as u64,
            low: mantissa as u64,
            exponent: exponent - shift as i64,
        }
    }

    /// A ratio of at least 1: long division to 192 bits, because 96 of them would not carry a
    /// power of 2^32.
    pub(crate) const fn from_ratio(ratio: Ratio) -> Self {
        let (dividend, divisor) = ((ratio.numerator as u128) << 96, ratio.denominator as u128);
        let (whole, rest) = (dividend / divisor, ((dividend % divisor) << 96) / divisor);
        // The whole part has 97 bits at least, so at most 31 are missing.
        let missing = whole.leading_zeros();
        Self::new(
            (whole << missing) | (rest >> (96 - missing)),
            -96 - missing as i64,
        )
    }

    fn times(self, other: Self) -> Self {
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let middle = product(self.high, other.low) + (product(self.low, other.low) >> 64);
        let carry = product(self.low, other.high) + u128::from(middle as u64);
        let high = product(self.high, other.high) + (middle >> 64) + (carry >> 64);
        Self::new(high, self.exponent + other.exponent + 128)
    }

    /// The nearest integer, saturating; the number is at least 1.
    fn round(self) -> u64 {
        if self.exponent >= -63 {
            return u64::MAX;
        }
        let mantissa = (u128::from(self.high) << 64) | u128::from(self.low);
        let twice = mantissa >> (-self.exponent - 1);
        u64::try_from((twice + 1) >> 1).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = self.high as f64 / (1_u64 << 63) as f64;
        write!(f, "{scaled} * 2^{}", self.exponent + 127)
    }
}

/// 1, 1, 2, 3, 5, .. as far as they fit.
const FIBONACCI: [u64; 93] = {
    let mut numbers = [1; 93];
    let mut index = 2;
    while index < numbers.len() {
        numbers[index] = numbers[index - 1] + numbers[index - 2];
        index += 1;
    }
    numbers
};

#[cfg(test)]
mod tests {
    use super::*;

    fn mantissa(wide: Wide) -> u128 {
        (u128::from(wide.high) << 64) | u128::from(wide.low)
    }

    /// By long division, one bit after the other, from the first that is set.
    fn divide(numerator: u32, denominator: u32) -> u128 {
        let mut rest = u64::from(numerator);
        let divisor = u64::from(denominator);
        let (mut quotient, mut bits) = (u128::from(rest / divisor), 0);
        rest %= divisor;
        while quotient >> 127 == 0 && bits < 200 {
            rest *= 2;
            quotient = quotient << 1 | u128::from(rest / divisor);
            rest %= divisor;
            bits += 1;
        }
        quotient
    }

    #[test]
    fn a_ratio_keeps_128_bits() {
        let max = u32::MAX;
        for (numerator, denominator) in [
            (4, 3),
            (10, 7),
            (max, max - 1),
            (max, max - 4),
            (max, 3),
            (max - 1, 1 << 31),
            (7, 1),
            (max, 1),
        ] {
            let wide = Wide::from_ratio(Ratio::new(numerator, denominator));
            let exact = divide(numerator, denominator);
            assert_eq!(mantissa(wide), exact, "{numerator}/{denominator}");
        }
    }

    /// The upper half of the product, by digits of 32 bits.
    fn multiply(a: u128, b: u128) -> u128 {
        let digits = |n: u128| [0, 1, 2, 3].map(|i| u128::from((n >> (32 * i)) as u32));
        let mut product = [0_u128; 9];
        for (i, a) in digits(a).into_iter().enumerate() {
            for (j, b) in digits(b).into_iter().enumerate() {
                product[i + j] += a * b;
            }
        }
        for i in 0..8 {
            product[i + 1] += product[i] >> 32;
            product[i] &= u128::from(u32::MAX);
        }
        (4..8).rev().fold(0, |upper, i| upper << 32 | product[i])
    }

    #[test]
    fn a_product_is_cut_off_after_the_last_of_its_bits_alone() {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            u128::from(state >> 32) << 96 | u128::from(state) << 32 | u128::MAX >> 96
        };
        for _ in 0..1000 {
            let (a, b) = (next() | 1 << 127, next() | 1 << 127);
            let exact = multiply(a, b);
            let product = Wide::new(a, 0).times(Wide::new(b, 0));
            assert_eq!(mantissa(product), exact << exact.leading_zeros(), "{a} {b}");
        }
    }
}
