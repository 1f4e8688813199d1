//! The delay before jitter and cap, as a function of the attempt alone.
//!
//! The invariant: total, exact to half a nanosecond, and as cheap for attempt four billion as for
//! the first; what does not fit saturates. Nothing here loops over attempts, and nothing is a
//! float: `f64` runs out of nanoseconds after 104 days, and `f32` after 17 milliseconds.

use core::time::Duration;

use crate::ratio::Ratio;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    unpredictable_function_pointer_comparisons,
    reason = "equal functions may compare unequal, and custom policies of them then do too"
)]
pub(crate) enum Curve {
    Fixed { base_ns: u64 },
    Linear { base_ns: u64, step_ns: u64 },
    Exponential { base_ns: u64, factor: Ratio },
    Fibonacci { base_ns: u64 },
    Decorrelated { base_ns: u64 },
    Custom { delay: fn(u32) -> Duration },
}

impl Curve {
    /// The delay after failed attempt `attempt`, counted from 0. Decorrelated delays have no curve
    /// but the cap.
    #[inline]
    pub(crate) fn at(self, attempt: u32) -> u64 {
        match self {
            Self::Fixed { base_ns } => base_ns,
            Self::Linear { base_ns, step_ns } => {
                base_ns.saturating_add(step_ns.saturating_mul(u64::from(attempt)))
            }
            Self::Exponential {
                base_ns,
                factor:
                    Ratio {
                        numerator: 2,
                        denominator: 1,
                    },
            } => {
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

fn exponential(base_ns: u64, factor: Ratio, attempt: u32) -> u64 {
    let mut product = Wide::new(u128::from(base_ns));
    let mut power = Wide::from_ratio(factor);
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
#[derive(Clone, Copy)]
struct Wide {
    mantissa: u128,
    exponent: i64,
}

impl Wide {
    fn new(value: u128) -> Self {
        let shift = value.leading_zeros();
        Self {
            mantissa: value << shift,
            exponent: -i64::from(shift),
        }
    }

    /// Long division to 192 bits, because 96 of them would not carry a power of 2^32.
    fn from_ratio(ratio: Ratio) -> Self {
        let (dividend, divisor) = (
            u128::from(ratio.numerator) << 96,
            u128::from(ratio.denominator),
        );
        let whole = dividend / divisor;
        let rest = ((dividend % divisor) << 96) / divisor;
        let Self { mantissa, exponent } = Self::new(whole);
        // A factor is above 1, so `whole` has at least 97 bits and at most 31 are missing.
        let missing = -exponent as u32;
        Self {
            mantissa: mantissa | (rest >> (96 - missing)),
            exponent: exponent - 96,
        }
    }

    fn times(self, other: Self) -> Self {
        const LOW: u128 = u64::MAX as u128;
        let (a, b) = (self.mantissa >> 64, self.mantissa & LOW);
        let (c, d) = (other.mantissa >> 64, other.mantissa & LOW);
        let middle = a * d + ((b * d) >> 64);
        let carry = ((b * c) + (middle & LOW)) >> 64;
        let high = a * c + (middle >> 64) + carry;
        let shift = high.leading_zeros();
        Self {
            mantissa: high << shift,
            exponent: self.exponent + other.exponent + 128 - i64::from(shift),
        }
    }

    /// The nearest integer, saturating; the number is at least 1.
    fn round(self) -> u64 {
        if self.exponent >= -63 {
            return u64::MAX;
        }
        let twice = self.mantissa >> (-self.exponent - 1);
        u64::try_from((twice + 1) >> 1).unwrap_or(u64::MAX)
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
