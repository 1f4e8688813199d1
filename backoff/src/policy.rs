//! A policy: how long to wait after which failure, and when to give up.
//!
//! The invariant: a policy that exists is valid, and every delay it gives is from zero to its cap,
//! whatever the attempt and whatever the random number.

use core::time::Duration;

use crate::{
    config::{ConfigError, ConfigErrors, Violations},
    curve::{Curve, Wide, nanoseconds},
    delays::Delays,
    jitter::{Jitter, draw},
    ratio::Ratio,
    rng::Rng,
};

/// Delays and limits of a retry, as a plain value: `Copy`, comparable, fit for a `const`.
///
/// Every kind has its constructor, which returns a [`PolicyBuilder`]. All policies have
/// [full jitter](Jitter::Full) and three attempts until told otherwise.
///
/// ```
/// use std::time::Duration;
///
/// use backoff::{Jitter, Policy};
///
/// const RECONNECT: Policy =
///     match Policy::exponential(Duration::from_millis(50), Duration::from_secs(2))
///         .jitter(Jitter::Equal)
///         .no_max_attempts()
///         .max_elapsed(Duration::from_secs(60))
///         .build()
///     {
///         Ok(policy) => policy,
///         Err(_) => panic!("the policy is valid"),
///     };
/// assert_eq!(RECONNECT.ceiling(3), Duration::from_millis(400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    curve: Curve,
    jitter: Jitter,
    cap_ns: u64,
    max_attempts: Option<u32>,
    max_elapsed: Option<Duration>,
}

impl Policy {
    /// The same delay every time.
    pub const fn fixed(delay: Duration) -> PolicyBuilder {
        // The delay is no cap of its own: plus or minus a fraction must reach both sides.
        let cap = delay.saturating_mul(2);
        PolicyBuilder::new(
            Curve::Fixed {
                base_ns: nanoseconds(delay),
            },
            cap,
        )
    }

    /// `base`, `base + step`, `base + 2 * step`, .. up to `cap`.
    pub const fn linear(base: Duration, step: Duration, cap: Duration) -> PolicyBuilder {
        let curve = Curve::Linear {
            base_ns: nanoseconds(base),
            step_ns: nanoseconds(step),
        };
        PolicyBuilder::new(curve, cap)
    }

    /// `base`, `base * 2`, `base * 4`, .. up to `cap`; another [factor](PolicyBuilder::factor)
    /// than 2 may be set.
    pub const fn exponential(base: Duration, cap: Duration) -> PolicyBuilder {
        let curve = Curve::Doubling {
            base_ns: nanoseconds(base),
        };
        PolicyBuilder::new(curve, cap)
    }

    /// `base` times 1, 1, 2, 3, 5, 8, .. up to `cap`: gentler than doubling, steeper than a line.
    pub const fn fibonacci(base: Duration, cap: Duration) -> PolicyBuilder {
        PolicyBuilder::new(
            Curve::Fibonacci {
                base_ns: nanoseconds(base),
            },
            cap,
        )
    }

    /// Uniformly from `base` to three times the delay before, but never above `cap`.
    ///
    /// It ends contention a little sooner than full jitter and pays with a fifth more calls.
    pub const fn decorrelated(base: Duration, cap: Duration) -> PolicyBuilder {
        PolicyBuilder::new(
            Curve::Decorrelated {
                base_ns: nanoseconds(base),
            },
            cap,
        )
    }

    /// Whatever `delay` says for the failed attempt, counted from 0, up to `cap`.
    pub const fn custom(delay: fn(u32) -> Duration, cap: Duration) -> PolicyBuilder {
        PolicyBuilder::new(Curve::Custom { delay }, cap)
    }

    /// The delays of one retry sequence, with a seed that no other sequence has.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn delays(&self) -> Delays<crate::SplitMix64> {
        self.delays_from(crate::SplitMix64::unique())
    }

    /// The delays of one retry sequence, drawn from `rng`.
    #[must_use]
    pub const fn delays_from<R: Rng>(&self, rng: R) -> Delays<R> {
        Delays::new(*self, rng)
    }

    /// The delay after failed attempt `attempt`, counted from 0, without jitter: never above the
    /// cap, and for decorrelated delays always the cap.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        Duration::from_nanos(self.ceiling_ns(attempt))
    }

    /// The delay after failed attempt `attempt`, counted from 0, as a function of 64 random bits.
    ///
    /// `previous` is the delay before it, zero if there was none; only decorrelated delays depend
    /// on it. [`delays`](Self::delays) keeps all three for you, and counts the limits.
    #[must_use]
    pub fn delay(&self, attempt: u32, previous: Duration, random: u64) -> Duration {
        Duration::from_nanos(self.delay_ns(attempt, nanoseconds(previous), random))
    }

    /// No delay is longer than this.
    #[must_use]
    pub const fn cap(&self) -> Duration {
        Duration::from_nanos(self.cap_ns)
    }

    /// How often to try, the first attempt included.
    #[must_use]
    pub const fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// How long all attempts and delays may take together.
    #[must_use]
    pub const fn max_elapsed(&self) -> Option<Duration> {
        self.max_elapsed
    }

    #[inline]
    pub(crate) fn delay_ns(&self, attempt: u32, previous_ns: u64, random: u64) -> u64 {
        let range = match self.curve {
            Curve::Decorrelated { base_ns } => {
                let top_ns = previous_ns.max(base_ns).saturating_mul(3).min(self.cap_ns);
                (base_ns, top_ns)
            }
            _ => self.jitter.range(self.ceiling_ns(attempt), self.cap_ns),
        };
        draw(range, random)
    }

    #[inline]
    fn ceiling_ns(&self, attempt: u32) -> u64 {
        self.curve.at(attempt).min(self.cap_ns)
    }
}

impl Default for Policy {
    /// 50 ms doubling up to 10 s, full jitter, three attempts.
    fn default() -> Self {
        const DEFAULT: Policy =
            match Policy::exponential(Duration::from_millis(50), Duration::from_secs(10)).build() {
                Ok(policy) => policy,
                Err(_) => unreachable!(),
            };
        DEFAULT
    }
}

/// A [`Policy`] in the making.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until built"]
pub struct PolicyBuilder {
    curve: Curve,
    cap_ns: u64,
    factor: Option<Ratio>,
    jitter: Option<Jitter>,
    max_attempts: Option<u32>,
    max_elapsed: Option<Duration>,
}

impl PolicyBuilder {
    const fn new(curve: Curve, cap: Duration) -> Self {
        Self {
            curve,
            cap_ns: nanoseconds(cap),
            factor: None,
            jitter: None,
            max_attempts: Some(3),
            max_elapsed: None,
        }
    }

    /// The growth per attempt of an exponential policy, 2 if not set.
    pub const fn factor(mut self, factor: Ratio) -> Self {
        self.factor = Some(factor);
        self
    }

    /// How each delay is spread. Decorrelated delays are their own jitter and refuse another.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// How often to try, the first attempt included.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Try for ever. Limit something else then: the elapsed time, the deadline, the budget.
    pub const fn no_max_attempts(mut self) -> Self {
        self.max_attempts = None;
        self
    }

    /// How long all attempts and delays may take together, counted from the start of the first
    /// attempt. Delays taken by themselves count the delays only.
    pub const fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = Some(elapsed);
        self
    }

    /// The policy. Spans above 584 years count as 584 years.
    ///
    /// # Errors
    /// Every broken rule: a zero span, a cap below the base, a factor not above 1, a jitter above
    /// the whole, no attempt at all, a setting that this kind of policy does not have.
    pub const fn build(self) -> Result<Policy, ConfigErrors> {
        if !self.violations().is_empty() {
            return Err(ConfigErrors::of_policy(self));
        }
        Ok(Policy {
            curve: match (self.curve, self.factor) {
                (
                    _,
                    None
                    | Some(Ratio {
                        numerator: 2,
                        denominator: 1,
                    }),
                ) => self.curve,
                (Curve::Doubling { base_ns }, Some(factor)) => Curve::Exponential {
                    base_ns,
                    factor: Wide::from_ratio(factor),
                },
                _ => unreachable!(),
            },
            jitter: match self.jitter {
                Some(jitter) => jitter,
                None => Jitter::Full,
            },
            cap_ns: self.cap_ns,
            max_attempts: self.max_attempts,
            max_elapsed: self.max_elapsed,
        })
    }

    pub(crate) const fn violations(&self) -> Violations {
        let mut found = Violations::none();
        let base_ns = self.curve.base_ns();
        if matches!(base_ns, Some(0)) {
            found.push(ConfigError::ZeroDuration { field: "base" });
        }
        if matches!(self.curve, Curve::Linear { step_ns: 0, .. }) {
            found.push(ConfigError::ZeroDuration { field: "step" });
        }
        if self.cap_ns == 0 && !matches!(self.curve, Curve::Fixed { .. }) {
            found.push(ConfigError::ZeroDuration { field: "cap" });
        }
        if let Some(base_ns) = base_ns {
            if self.cap_ns < base_ns {
                let cap = Duration::from_nanos(self.cap_ns);
                let base = Duration::from_nanos(base_ns);
                found.push(ConfigError::CapBelowBase { cap, base });
            }
        }
        if let Some(factor) = self.factor {
            if !matches!(self.curve, Curve::Doubling { .. }) {
                let belongs_to = "an exponential policy";
                found.push(ConfigError::Unused {
                    field: "factor",
                    belongs_to,
                });
            } else if factor.denominator == 0 || factor.numerator <= factor.denominator {
                found.push(ConfigError::FactorNotAboveOne { factor });
            }
        }
        if self.jitter.is_some() && matches!(self.curve, Curve::Decorrelated { .. }) {
            let belongs_to = "a policy that is not decorrelated";
            found.push(ConfigError::Unused {
                field: "jitter",
                belongs_to,
            });
        }
        if let Some(Jitter::PlusMinus(fraction)) = self.jitter {
            if fraction.denominator == 0 || fraction.numerator > fraction.denominator {
                found.push(ConfigError::JitterNotAFraction { fraction });
            }
        }
        if matches!(self.max_attempts, Some(0)) {
            found.push(ConfigError::ZeroNumber {
                field: "max_attempts",
            });
        }
        if matches!(self.max_elapsed, Some(Duration::ZERO)) {
            found.push(ConfigError::ZeroDuration {
                field: "max_elapsed",
            });
        }
        found
    }
}
