//! The rules that a [`Config`] must keep, and what is said when one is broken.

use std::fmt;
use std::time::Duration;

use backoff::ConfigError;

use super::Config;
use super::fields::Visitor;
use super::setting::Setting;
use super::sources::Origin;

/// Every broken rule, in the order of the settings.
pub(crate) fn check(config: &Config) -> Vec<Violation> {
    let texts = config.texts();
    let mut found = Found {
        violations: Vec::new(),
    };
    config.clone().visit(&mut found);
    if let Err(errors) = config.pool.validate() {
        for it in errors.violations() {
            found.add(it.field.into(), &it.value, it.rule.into());
        }
    }
    for (section, policy) in [
        ("connect", config.connect.policy()),
        ("retry", config.retry.policy()),
    ] {
        let errors = policy.err();
        for error in errors.iter().flat_map(|errors| errors.iter()) {
            found.delays(section, error);
        }
    }
    if let Err(errors) = config.retry.budget.build() {
        errors.iter().for_each(|error| found.budget(error));
    }
    if let Err(errors) = config.breaker.policy().check() {
        for it in errors.violations() {
            let field = format!("breaker.{}", it.field);
            found.add(field, &it.value, format!("must be {}", it.rule));
        }
    }
    check_slow_rates(config, &mut found);
    if let Err(errors) = config.balance.policy().check() {
        for it in errors.violations() {
            let rule = it.rule.replace("damping", "balance.damping");
            found.add(format!("balance.{}", it.field), &it.value, rule);
        }
    }
    check_health(config, &mut found);
    let place = |field: &str| texts.iter().position(|it| covers(it.path, field));
    for violation in &mut found.violations {
        if let Some(text) = texts.iter().find(|it| it.path == violation.field) {
            violation.value.clone_from(&text.text);
        }
    }
    found.violations.sort_by_key(|it| place(&it.field));
    found.violations
}

/// A rate of slow calls is of no effect while no call is slow.
fn check_slow_rates(config: &Config, found: &mut Found) {
    let slow = &config.breaker.slow;
    if slow.threshold.is_some() {
        return;
    }
    for (field, rate) in [
        ("breaker.slow.degrade", slow.degrade),
        ("breaker.slow.open", slow.open),
    ] {
        if let Some(rate) = rate {
            let rule = "must come with breaker.slow.threshold";
            found.add(field.into(), &rate.to_string(), rule.into());
        }
    }
}

fn check_health(config: &Config, found: &mut Found) {
    let monitor = config.health.monitor().map_or(Ok(()), |it| it.validate());
    for errors in [monitor, config.health.thresholds().validate()] {
        let violations = errors.err();
        for it in violations.iter().flat_map(|errors| errors.violations()) {
            let field = match it.field() {
                "pool.warning" => "health.warning_percent".into(),
                "pool.critical" => "health.critical_percent".into(),
                other => other.replace("monitor.", "health."),
            };
            let rule = it.rule().replace("monitor.", "health.");
            let rule = rule.replace("pool.critical", "health.critical_percent");
            found.add(field, it.value(), rule);
        }
    }
}

/// Whether `field` is the setting `path`, or a part of it as `breaker.open_time.max` is of
/// `breaker.open_time`.
pub(super) fn covers(path: &str, field: &str) -> bool {
    let rest = field.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

struct Found {
    violations: Vec<Violation>,
}

impl Found {
    /// Adds what is not named yet.
    fn add(&mut self, field: String, value: &str, rule: String) {
        if self.violations.iter().any(|it| it.field == field) {
            return;
        }
        self.violations.push(Violation {
            field,
            value: value.into(),
            rule,
            origin: None,
        });
    }

    fn delays(&mut self, section: &str, error: ConfigError) {
        match error {
            ConfigError::CapBelowBase { cap, .. } => self.add(
                format!("{section}.max_delay"),
                &cap.print(),
                format!("must not be below {section}.initial_delay"),
            ),
            ConfigError::JitterNotAFraction { fraction } => self.add(
                format!("{section}.jitter"),
                &fraction.print(),
                "must be a share from 0 to 1".into(),
            ),
            ConfigError::ZeroNumber { field } => {
                self.add(format!("{section}.{field}"), "0", AT_LEAST_ONE.into());
            }
            // Zero times are found by the visit.
            _ => {}
        }
    }

    fn budget(&mut self, error: ConfigError) {
        let path = |field| format!("retry.budget.{field}");
        match error {
            ConfigError::ZeroNumber { field } => self.add(path(field), "0", AT_LEAST_ONE.into()),
            ConfigError::AboveCapacity { field, tokens, .. } => self.add(
                path(field),
                &tokens.to_string(),
                "must not be above retry.budget.capacity".into(),
            ),
            ConfigError::DepositOutOfRange { deposit, .. } => self.add(
                path("deposit"),
                &deposit.print(),
                "must be above 0 and not above retry.budget.capacity".into(),
            ),
            _ => {}
        }
    }
}

impl Visitor for Found {
    /// No time is zero, and none is too long to be added to an `Instant`.
    fn visit<T: Setting>(&mut self, path: &'static str, _live: bool, value: &mut T) {
        let Some(span) = value.span() else {
            return;
        };
        if !is_span(span) {
            self.add(path.into(), &value.print(), SPAN.into());
        }
    }
}

/// What is wrong with a span that is not part of a [`Config`].
pub(crate) fn check_span(field: &str, span: Duration) -> Option<Violation> {
    (!is_span(span)).then(|| Violation {
        field: field.into(),
        value: span.print(),
        rule: SPAN.into(),
        origin: None,
    })
}

fn is_span(span: Duration) -> bool {
    !span.is_zero() && span <= LONGEST
}

/// One setting that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The name of the setting.
    pub field: String,
    /// Its value; `..` where the name is not known, as it may then be a secret.
    pub value: String,
    /// The rule that it breaks, as an instruction.
    pub rule: String,
    /// Where the value comes from, if it came from [`Sources`](super::Sources).
    pub origin: Option<Origin>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.field, self.value, self.rule)?;
        match &self.origin {
            Some(origin) => write!(f, " (from {origin})"),
            None => Ok(()),
        }
    }
}

/// Every setting that breaks a rule; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Violation>);

impl ConfigErrors {
    pub(crate) fn unless_empty(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Self(violations))
        }
    }

    pub(crate) fn one(violation: Violation) -> Self {
        Self(vec![violation])
    }

    /// The violations: those of reading, then those of rules in the order of the settings.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid pool configuration: ")?;
        for (i, violation) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

const AT_LEAST_ONE: &str = "must be at least 1";
const SPAN: &str = "must be above zero and at most 100 years; no limit is none, where allowed";

/// As in `pool_core`: far beyond any use, and safe to add to an `Instant`.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
