//! Bad configuration, refused before there is a breaker, all of it at once.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::config::{Config, OpenTime, Window};

/// One rule that a configuration breaks.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The parameter.
    pub field: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {} but must be {}",
            self.field, self.value, self.rule
        )
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    violations: Vec<Violation>,
}

impl ConfigErrors {
    /// The violations, at least one.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad breaker configuration: ")?;
        for (index, violation) in self.violations.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

pub(crate) fn check(config: &Config) -> Result<(), ConfigErrors> {
    let mut found = Found(Vec::new());
    let window_calls = match config.window {
        Window::Time { buckets, width } => {
            found.unless(
                (1..=3600).contains(&buckets),
                "window.buckets",
                buckets,
                "1 to 3600",
            );
            found.positive("window.width", width);
            u32::MAX
        }
        Window::Count { calls } => {
            let allowed = (1..=1_000_000).contains(&calls);
            found.unless(allowed, "window.calls", calls, "1 to 1000000");
            calls
        }
    };
    let minimum = config.minimum_calls;
    let allowed = (1..=window_calls).contains(&minimum);
    found.unless(
        allowed,
        "minimum_calls",
        minimum,
        "at least 1 and at most the window's calls",
    );
    if let Some(row) = config.consecutive {
        found.unless(row >= 1, "consecutive", row, "at least 1");
    }
    if let Some(rate) = config.failure_rate {
        found.rate("failure_rate", rate);
    }
    if let Some(z) = config.confidence {
        let allowed = (0.0..=10.0).contains(&z);
        found.unless(allowed, "confidence", z, "0 to 10 standard deviations");
    }
    match config.open_time {
        OpenTime::Constant(time) => found.positive("open_time", time),
        OpenTime::Exponential { first, max } => {
            found.positive("open_time.first", first);
            let rule = "at least open_time.first";
            found.unless(first <= max, "open_time.max", format_args!("{max:?}"), rule);
        }
    }
    found.positive("forget_opening", config.forget_opening);
    let half_open = config.half_open;
    found.unless(
        half_open.probes >= 1,
        "half_open.probes",
        half_open.probes,
        "at least 1",
    );
    let allowed = (1..=half_open.probes.max(1)).contains(&half_open.successes);
    let rule = "at least 1 and at most half_open.probes";
    found.unless(allowed, "half_open.successes", half_open.successes, rule);
    if let Some(deadline) = half_open.deadline {
        found.positive("half_open.deadline", deadline);
    }
    check_rules(config, &mut found);
    if found.0.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors {
            violations: found.0,
        })
    }
}

fn check_rules(config: &Config, found: &mut Found) {
    if let Some(degraded) = config.degraded {
        found.rate("degraded.enter", degraded.enter);
        let open = config.failure_rate.unwrap_or(f64::INFINITY);
        let rule = "below failure_rate";
        found.unless(
            degraded.enter < open,
            "degraded.enter",
            degraded.enter,
            rule,
        );
        let rule = "above 0 and below degraded.enter";
        let allowed = degraded.leave > 0.0 && degraded.leave < degraded.enter;
        found.unless(allowed, "degraded.leave", degraded.leave, rule);
        let allowed = (0.0..1.0).contains(&degraded.overload);
        found.unless(
            allowed,
            "degraded.overload",
            degraded.overload,
            "at least 0 and below 1",
        );
    }
    if let Some(slow) = config.slow {
        found.positive("slow.threshold", slow.threshold);
        if let Some(rate) = slow.open {
            found.rate("slow.open", rate);
        }
        if let Some(rate) = slow.degrade {
            found.rate("slow.degrade", rate);
            let allowed = rate < slow.open.unwrap_or(f64::INFINITY);
            found.unless(allowed, "slow.degrade", rate, "below slow.open");
        }
    }
    if let Some(health) = config.health {
        found.rate("health.degrade", health.degrade);
        let allowed = health.recover >= health.degrade && health.recover < 1.0;
        let rule = "at least health.degrade and below 1";
        found.unless(allowed, "health.recover", health.recover, rule);
    }
}

struct Found(Vec<Violation>);

impl Found {
    fn unless(
        &mut self,
        allowed: bool,
        field: &'static str,
        value: impl fmt::Display,
        rule: &'static str,
    ) {
        if !allowed {
            self.0.push(Violation {
                field,
                value: value.to_string(),
                rule,
            });
        }
    }

    fn positive(&mut self, field: &'static str, span: Duration) {
        self.unless(
            !span.is_zero(),
            field,
            format_args!("{span:?}"),
            "longer than 0",
        );
    }

    fn rate(&mut self, field: &'static str, rate: f64) {
        self.unless(
            rate > 0.0 && rate <= 1.0,
            field,
            rate,
            "above 0 and at most 1",
        );
    }
}
