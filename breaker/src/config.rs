//! What a breaker is told when it is built: plain values, checked together.

use std::time::Duration;

use crate::validate::{ConfigErrors, check};

/// Which results rates are computed from.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The results of the last `buckets * width`, forgotten by whole buckets.
    Time {
        /// Number of buckets, 1 to 3600.
        buckets: u32,
        /// Time that one bucket spans; not zero.
        width: Duration,
    },
    /// The last `calls` results, exactly. Results other than success take a short lock; successes
    /// are folded in with the next of those.
    Count {
        /// Number of results, 1 to 1 000 000.
        calls: u32,
    },
}

/// The slow-call rule. A call is slow when it took `threshold` or longer.
///
/// A call that has not ended is counted by [`tick`](crate::Breaker::tick) once it is older than the
/// threshold (found out at most an eighth of the threshold later, plus the tick's own interval).
/// With this rule every call takes a short lock at both ends.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slow {
    /// From this duration on a call is slow.
    pub threshold: Duration,
    /// Slow-call rate at which the breaker degrades.
    pub degrade: Option<f64>,
    /// Slow-call rate at which the breaker opens.
    pub open: Option<f64>,
}

impl Slow {
    /// Slow from `threshold` on; opens when `open` of the results are slow.
    #[must_use]
    pub const fn new(threshold: Duration, open: f64) -> Self {
        Self {
            threshold,
            degrade: None,
            open: Some(open),
        }
    }

    /// Degrades when `rate` of the results are slow.
    #[must_use]
    pub const fn degrade(mut self, rate: f64) -> Self {
        self.degrade = Some(rate);
        self
    }
}

/// How long the breaker stays open before it lets probes through.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenTime {
    /// Always the same.
    Constant(Duration),
    /// Doubles with each opening that is still remembered, with equal jitter: a uniformly random
    /// share between half of it and all of it.
    Exponential {
        /// Before jitter, after the first opening.
        first: Duration,
        /// Before jitter, at most.
        max: Duration,
    },
}

/// How probing goes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpen {
    /// Probes admitted, those that end cancelled or ignored not counted.
    pub probes: u32,
    /// Successful probes that end probing well; so many failures that it is out of reach end it
    /// badly.
    pub successes: u32,
    /// Time after which what has come in decides; `None`: the slow threshold, else 5 s.
    pub deadline: Option<Duration>,
}

/// The degraded state: a signal, and under overload an adaptive limit on calls in flight.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Degraded {
    /// Failure rate at which the state is entered.
    pub enter: f64,
    /// Failure rate under which it may be left.
    pub leave: f64,
    /// How long the failure rate must stay under `leave`, with no call refused by the limit.
    pub hold: Duration,
    /// Share of overload among the recent results above which overload lowers the limit.
    pub overload: f64,
}

impl Default for Degraded {
    fn default() -> Self {
        Self {
            enter: 0.2,
            leave: 0.1,
            hold: Duration::from_secs(5),
            overload: 0.05,
        }
    }
}

/// What the healthy share of the backend, told by [`report_health`](crate::Breaker::report_health),
/// does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// A smaller healthy share degrades. No healthy one opens.
    pub degrade: f64,
    /// A larger one starts recovery: an open breaker starts to probe at once.
    pub recover: f64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            degrade: 0.5,
            recover: 0.8,
        }
    }
}

/// The policy of a breaker. The table of every parameter, its default and its reason is on the
/// [crate's page](crate#parameters).
///
/// ```
/// use std::time::Duration;
/// use breaker::{Config, Slow, Window};
///
/// let config = Config::new()
///     .window(Window::Count { calls: 50 })
///     .failure_rate(0.5)
///     .slow(Slow::new(Duration::from_millis(800), 0.9));
/// assert!(config.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    pub(crate) window: Window,
    pub(crate) minimum_calls: u32,
    pub(crate) failure_rate: Option<f64>,
    pub(crate) consecutive: Option<u32>,
    pub(crate) confidence: Option<f64>,
    pub(crate) slow: Option<Slow>,
    pub(crate) open_time: OpenTime,
    pub(crate) longest_hint: Duration,
    pub(crate) forget_opening: Duration,
    pub(crate) half_open: HalfOpen,
    pub(crate) degraded: Option<Degraded>,
    pub(crate) health: Option<Health>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The default: made for a backend that many callers share and that can be overloaded.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: Window::Time {
                buckets: 10,
                width: Duration::from_millis(100),
            },
            minimum_calls: 10,
            failure_rate: Some(0.95),
            consecutive: Some(5),
            confidence: None,
            slow: None,
            open_time: OpenTime::Exponential {
                first: Duration::from_millis(250),
                max: Duration::from_secs(2),
            },
            longest_hint: Duration::from_secs(60),
            forget_opening: Duration::from_secs(10),
            half_open: HalfOpen {
                probes: 5,
                successes: 2,
                deadline: None,
            },
            degraded: Some(Degraded {
                enter: 0.2,
                leave: 0.1,
                hold: Duration::from_secs(5),
                overload: 0.05,
            }),
            health: None,
        }
    }

    /// The textbook breaker: opens after `failures` in a row, stays open for `open`, and closes
    /// after `successes`. It never limits: the degraded state is passed through in no time.
    #[must_use]
    pub const fn classic(failures: u32, open: Duration, successes: u32) -> Self {
        Self {
            window: Window::Count { calls: failures },
            minimum_calls: failures,
            failure_rate: None,
            consecutive: Some(failures),
            open_time: OpenTime::Constant(open),
            half_open: HalfOpen {
                probes: successes,
                successes,
                deadline: None,
            },
            degraded: None,
            ..Self::new()
        }
    }

    /// Driven by [`report_health`](crate::Breaker::report_health): none healthy opens, under half
    /// degrades, over 0.8 starts recovery. Results of calls open nothing, but lead back to closed.
    #[must_use]
    pub const fn for_health() -> Self {
        Self {
            failure_rate: None,
            consecutive: None,
            // Should the reports cease, probing begins after this long without them.
            open_time: OpenTime::Constant(Duration::from_secs(30)),
            health: Some(Health {
                degrade: 0.5,
                recover: 0.8,
            }),
            ..Self::new()
        }
    }

    /// Which results rates are computed from.
    #[must_use]
    pub const fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Results below which no rate decides anything.
    #[must_use]
    pub const fn minimum_calls(mut self, calls: u32) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// Failure rate at which the breaker opens; `None`: it never does for it.
    ///
    /// Overload counts as failure only when the degraded state is off. When it is on, the limit
    /// answers overload, and the breaker opens once calls still fail under a limit of one.
    #[must_use]
    pub fn failure_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.failure_rate = rate.into();
        self
    }

    /// Hard failures in a row at which the breaker opens. In a time window the row is broken by any
    /// success that the window still holds. Overload neither lengthens nor breaks a row.
    #[must_use]
    pub fn consecutive(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.consecutive = failures.into();
        self
    }

    /// Opens for a rate only when the lower end of its Wilson interval at so many standard
    /// deviations reaches the threshold: 1.64 is 95 % sure.
    #[must_use]
    pub fn confidence(mut self, deviations: impl Into<Option<f64>>) -> Self {
        self.confidence = deviations.into();
        self
    }

    /// The slow-call rule; off by default.
    #[must_use]
    pub fn slow(mut self, rule: impl Into<Option<Slow>>) -> Self {
        self.slow = rule.into();
        self
    }

    /// How long the breaker stays open.
    #[must_use]
    pub const fn open_time(mut self, time: OpenTime) -> Self {
        self.open_time = time;
        self
    }

    /// The longest open time that a server's hint may ask for.
    #[must_use]
    pub const fn longest_hint(mut self, longest: Duration) -> Self {
        self.longest_hint = longest;
        self
    }

    /// Time spent closed after which one opening is forgotten.
    #[must_use]
    pub const fn forget_opening(mut self, interval: Duration) -> Self {
        self.forget_opening = interval;
        self
    }

    /// Probes admitted while half-open and the successes among them that suffice.
    #[must_use]
    pub const fn half_open(mut self, probes: u32, successes: u32) -> Self {
        self.half_open.probes = probes;
        self.half_open.successes = successes;
        self
    }

    /// Time after which half-open ends with what has come in.
    #[must_use]
    pub fn half_open_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.half_open.deadline = deadline.into();
        self
    }

    /// The degraded state; `None`: it is passed through without a limit and without waiting.
    #[must_use]
    pub fn degraded(mut self, degraded: impl Into<Option<Degraded>>) -> Self {
        self.degraded = degraded.into();
        self
    }

    /// The health rule; off by default.
    #[must_use]
    pub fn health(mut self, health: impl Into<Option<Health>>) -> Self {
        self.health = health.into();
        self
    }

    /// Looks for contradictions, as building a breaker does.
    ///
    /// # Errors
    ///
    /// Every violation found, not only the first.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        check(self)
    }

    pub(crate) fn half_open_deadline_ns(&self) -> u64 {
        let slow = self.slow.map(|rule| rule.threshold);
        nanos(
            self.half_open
                .deadline
                .or(slow)
                .unwrap_or(Duration::from_secs(5)),
        )
    }
}

/// Nanoseconds; what does not fit (584 years) counts as the most that does.
#[inline]
pub(crate) const fn nanos(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(span.subsec_nanos() as u64)
}
