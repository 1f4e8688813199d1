//! What a connection must be able to do, asked when it is made and again while it is used.
//!
//! A server may answer every ping and yet lack what the application needs: an extension that was
//! not installed, or dropped since. The connection is made, the first query fails, and the message
//! speaks of a type that does not exist. A capability check says what is missing, at once.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use health::{Answer, Capability, CapabilityAction};
//!
//! let start = Instant::now();
//! let mut vector = Capability::new("vector", Duration::from_secs(60), 7, start)?;
//! // At connect: ask, and lend the connection only if this is `Ok`.
//! assert_eq!(vector.poll(start), CapabilityAction::Check);
//! vector.on_answer(Answer::Missing("extension is not installed".into()), start);
//! let error = vector.verdict().unwrap_err();
//! assert_eq!(error.to_string(), "capability \"vector\" is missing: extension is not installed");
//!
//! // While running: ask again whenever it is time.
//! let CapabilityAction::WaitUntil(then) = vector.poll(start) else { panic!("just asked") };
//! assert_eq!(vector.poll(then), CapabilityAction::Check);
//! assert!(vector.on_answer(Answer::Present, then), "that is a change");
//! assert!(vector.verdict().is_ok());
//! # Ok::<(), health::ConfigErrors>(())
//! ```

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use crate::ConfigErrors;
use crate::config::Rules;
use crate::schedule::mix;

/// One capability, what is known of it and when to ask again.
///
/// The first check is due at once. What a check finds counts at once too: a server that says "no
/// such extension" is not mistaken. A check that could not be made leaves everything as it was.
#[derive(Debug, Clone)]
pub struct Capability {
    name: Cow<'static, str>,
    interval: Duration,
    seed: u64,
    checks: u64,
    due: Instant,
    known: Known,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Nothing(Option<Cow<'static, str>>),
    Present,
    Missing(Cow<'static, str>),
}

impl Capability {
    /// A capability by its name, to be checked about every `interval` (jittered by 10 percent).
    ///
    /// # Errors
    /// If the interval or the name breaks a rule.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        interval: Duration,
        seed: u64,
        now: Instant,
    ) -> Result<Self, ConfigErrors> {
        let name = name.into();
        let mut rules = Rules::default();
        rules.span("capability.interval", interval);
        rules.require(
            !name.is_empty(),
            "capability.name",
            &name,
            "must not be empty",
        );
        rules.finish()?;
        Ok(Self {
            name,
            interval,
            seed,
            checks: 0,
            due: now,
            known: Known::Nothing(None),
        })
    }

    /// Says whether to check now. The next check is scheduled as soon as this one is asked for.
    pub fn poll(&mut self, now: Instant) -> CapabilityAction {
        if now < self.due {
            return CapabilityAction::WaitUntil(self.due);
        }
        self.checks += 1;
        let spread_ns = (self.interval / 5).as_nanos() as u64;
        let jitter = Duration::from_nanos(mix(self.seed, self.checks) % (spread_ns + 1));
        self.due = now + self.interval * 9 / 10 + jitter;
        CapabilityAction::Check
    }

    /// Takes what a check found, and says whether that changes the verdict.
    pub fn on_answer(&mut self, answer: Answer, now: Instant) -> bool {
        let usable = self.verdict().is_ok();
        match answer {
            Answer::Present => self.known = Known::Present,
            Answer::Missing(why) => self.known = Known::Missing(why),
            Answer::Unclear(why) => {
                // Not worth a whole interval: somebody may be waiting for the first verdict.
                self.due = self.due.min(now + self.interval / 10);
                if let Known::Nothing(reason) = &mut self.known {
                    *reason = Some(why);
                }
            }
        }
        usable != self.verdict().is_ok()
    }

    /// Whether the capability is there, as far as is known.
    ///
    /// # Errors
    /// If it is missing, or could not be checked even once.
    pub fn verdict(&self) -> Result<(), CapabilityError> {
        let name = || self.name.clone();
        match &self.known {
            Known::Present => Ok(()),
            Known::Missing(why) => Err(CapabilityError::Missing {
                name: name(),
                why: why.clone(),
            }),
            Known::Nothing(why) => Err(CapabilityError::Unchecked {
                name: name(),
                why: why.clone(),
            }),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a capability asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the contract of `poll`: a driver handles all of it"
)]
pub enum CapabilityAction {
    /// Check now and report the answer.
    Check,
    /// Nothing to do before this instant.
    WaitUntil(Instant),
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It works.
    Present,
    /// It does not, for this reason.
    Missing(Cow<'static, str>),
    /// The check itself failed, for this reason: a timeout, a broken connection.
    Unclear(Cow<'static, str>),
}

/// Why a connection cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are a name and a reason")]
pub enum CapabilityError {
    /// The capability is not there.
    Missing {
        name: Cow<'static, str>,
        why: Cow<'static, str>,
    },
    /// No check has been completed yet; if one was tried, why it failed.
    Unchecked {
        name: Cow<'static, str>,
        why: Option<Cow<'static, str>>,
    },
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, why } => write!(f, "capability {name:?} is missing: {why}"),
            Self::Unchecked {
                name,
                why: Some(why),
            } => {
                write!(f, "capability {name:?} could not be checked: {why}")
            }
            Self::Unchecked { name, why: None } => {
                write!(f, "capability {name:?} has not been checked yet")
            }
        }
    }
}

impl Error for CapabilityError {}
