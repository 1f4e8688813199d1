//! The naive model of a policy, and the random policies that it is compared with. Shared by the
//! property tests and the fuzz target.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "every test uses its own part of it, and fails by a panic"
)]

use std::time::Duration;

use backoff::{Jitter, Policy, PolicyBuilder, Ratio, Rng};

/// A kind of policy, with what the model needs to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Fixed,
    Linear { step_ns: u64 },
    Exponential { factor: Ratio },
    Fibonacci,
    Decorrelated,
    Custom,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) base_ns: u64,
    pub(crate) cap_ns: u64,
    pub(crate) jitter: Jitter,
    pub(crate) attempt: u32,
    pub(crate) previous_ns: u64,
    pub(crate) random: u64,
}

impl Case {
    /// Anything that is valid, with a taste for the ends of every range.
    pub(crate) fn any(rng: &mut impl Rng) -> Self {
        let base_ns = edgy(rng).max(1);
        let cap_ns = base_ns.max(edgy(rng));
        let kind = match rng.next_u64() % 6 {
            0 => Kind::Fixed,
            1 => Kind::Linear {
                step_ns: edgy(rng).max(1),
            },
            2 => Kind::Fibonacci,
            3 => Kind::Decorrelated,
            4 => Kind::Custom,
            _ => {
                let denominator = (edgy(rng) as u32).clamp(1, u32::MAX - 1);
                let numerator = (edgy(rng) as u32).max(denominator + 1);
                Kind::Exponential {
                    factor: Ratio::new(numerator, denominator),
                }
            }
        };
        let jitter = match rng.next_u64() % 4 {
            0 => Jitter::None,
            1 => Jitter::Full,
            2 => Jitter::Equal,
            _ => {
                let denominator = (edgy(rng) as u32).max(1);
                Jitter::PlusMinus(Ratio::new((edgy(rng) as u32).min(denominator), denominator))
            }
        };
        Self {
            kind,
            base_ns,
            cap_ns,
            jitter,
            attempt: edgy(rng) as u32,
            previous_ns: edgy(rng),
            random: edgy(rng),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        let (base, cap) = (
            Duration::from_nanos(self.base_ns),
            Duration::from_nanos(self.cap_ns),
        );
        let builder: PolicyBuilder = match self.kind {
            Kind::Fixed => Policy::fixed(base),
            Kind::Linear { step_ns } => Policy::linear(base, Duration::from_nanos(step_ns), cap),
            Kind::Exponential { factor } => Policy::exponential(base, cap).factor(factor),
            Kind::Fibonacci => Policy::fibonacci(base, cap),
            Kind::Decorrelated => return Policy::decorrelated(base, cap).build().unwrap(),
            Kind::Custom => Policy::custom(wild, cap),
        };
        builder.jitter(self.jitter).build().unwrap()
    }

    /// Checks one delay against the model. This is all that the fuzz target does.
    pub(crate) fn check(&self) {
        let policy = self.policy();
        let previous = Duration::from_nanos(self.previous_ns);
        let delay = policy.delay(self.attempt, previous, self.random);
        assert!(
            delay <= policy.cap(),
            "{delay:?} is above the cap: {self:?}"
        );

        let delay_ns = delay.as_nanos();
        let (low, high) = self.range();
        assert!(
            low <= delay_ns && delay_ns <= high,
            "{delay_ns} is not in {low}..={high}: {self:?}"
        );
        if self.random == 0 {
            assert_eq!(
                delay_ns, low,
                "the lowest number must give the least delay: {self:?}"
            );
        }
        if self.random == u64::MAX {
            assert_eq!(
                delay_ns, high,
                "the highest number must give the most: {self:?}"
            );
        }
        if !matches!(self.kind, Kind::Custom) {
            let next = policy.ceiling(self.attempt.saturating_add(1));
            assert!(policy.ceiling(self.attempt) <= next, "it shrinks: {self:?}");
        }
    }

    /// The least and the greatest delay, by the definitions.
    fn range(&self) -> (u128, u128) {
        let cap = u128::from(self.policy().cap().as_nanos() as u64);
        let base = u128::from(self.base_ns);
        if let Kind::Decorrelated = self.kind {
            return (base, cap.min(3 * base.max(u128::from(self.previous_ns))));
        }
        let delay = cap.min(self.unbounded());
        match self.jitter {
            Jitter::None => (delay, delay),
            Jitter::Full => (0, delay),
            Jitter::Equal => (delay / 2, delay),
            Jitter::PlusMinus(fraction) => {
                let spread =
                    delay * u128::from(fraction.numerator()) / u128::from(fraction.denominator());
                (delay - spread, cap.min(delay + spread))
            }
            _ => unreachable!("the model knows every jitter"),
        }
    }

    /// The delay without jitter and cap; anything above 2^64 if it is above that.
    fn unbounded(&self) -> u128 {
        let base = u128::from(self.base_ns);
        match self.kind {
            Kind::Fixed => base,
            Kind::Linear { step_ns } => base + u128::from(step_ns) * u128::from(self.attempt),
            Kind::Fibonacci => {
                let (mut now, mut next) = (base, base);
                for _ in 0..self.attempt.min(100) {
                    (now, next) = (next, now.saturating_add(next));
                }
                now
            }
            Kind::Custom => wild(self.attempt).as_nanos(),
            // Exact powers need numbers of any length; `exact_power` is held against them apart.
            Kind::Exponential { .. } => self.policy().ceiling(self.attempt).as_nanos(),
            Kind::Decorrelated => unreachable!("it has no curve"),
        }
    }
}

/// `base * factor^attempt` to the nearest integer, by integers as long as it takes; anything above
/// 2^64 if it is above that.
pub(crate) fn exact_power(base: u64, factor: Ratio, attempt: u32) -> u128 {
    // Little-endian digits of 32 bits.
    let times = |digits: &mut Vec<u32>, by: u32| {
        let mut carry = 0_u64;
        for digit in digits.iter_mut() {
            carry += u64::from(*digit) * u64::from(by);
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            digits.push(carry as u32);
        }
    };
    let mut dividend = vec![base as u32, (base >> 32) as u32, 0];
    let mut divisor = vec![1_u32];
    for _ in 0..attempt {
        times(&mut dividend, factor.numerator());
        times(&mut divisor, factor.denominator());
    }
    // The quotient by bisection: the largest `q` with `(2 * q - 1) * divisor <= 2 * dividend`.
    times(&mut dividend, 2);
    let fits = |quotient: u128| {
        let mut product = vec![0_u32; divisor.len() + 5];
        for (shift, part) in (0..4).map(|i| (i, ((2 * quotient - 1) >> (32 * i)) as u32)) {
            let mut carry = 0_u64;
            for (index, digit) in divisor.iter().chain(&[0]).enumerate() {
                carry += u64::from(*digit) * u64::from(part) + u64::from(product[index + shift]);
                product[index + shift] = carry as u32;
                carry >>= 32;
            }
        }
        let length = product.len().max(dividend.len());
        product.resize(length, 0);
        let mut dividend = dividend.clone();
        dividend.resize(length, 0);
        product.iter().rev().le(dividend.iter().rev())
    };
    let (mut low, mut high) = (0_u128, 1 << 65);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if fits(middle) {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

/// All over the place, zero and the longest duration included.
pub(crate) fn wild(attempt: u32) -> Duration {
    match attempt % 4 {
        0 => Duration::ZERO,
        1 => Duration::MAX,
        2 => Duration::from_nanos(u64::from(attempt)),
        _ => Duration::from_secs(u64::from(attempt)),
    }
}

/// A number of any size, often at the end of a range or just beside it.
pub(crate) fn edgy(rng: &mut impl Rng) -> u64 {
    let number = rng.next_u64();
    let edge = 1_u64.checked_shl((number >> 8) as u32 % 70).unwrap_or(0);
    match number % 6 {
        0 => edge,
        1 => edge.wrapping_sub(1),
        2 => edge.wrapping_add(1),
        3 => (number >> 16) % 64,
        _ => rng.next_u64() >> (rng.next_u64() % 64),
    }
}
