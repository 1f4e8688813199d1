//! What a breaker is made of besides its policy.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::Breaker;
use crate::clock::{Clock, system_now};
use crate::config::Config;
use crate::event::Event;
use crate::hooks::Hooks;
use crate::machine::{Machine, Opening};
use crate::validate::ConfigErrors;

/// Builds a [`Breaker`]; made by [`Breaker::builder`].
#[must_use]
#[derive(Debug)]
pub struct Builder {
    config: Config,
    seed: Option<u64>,
    hooks: Option<Box<Hooks>>,
}

impl Builder {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            seed: None,
            hooks: None,
        }
    }

    /// A name for the breaker's `Debug` output and `tracing` events.
    pub fn name(mut self, name: &str) -> Self {
        self.hooks().name = Some(name.into());
        self
    }

    /// The clock of the methods that are not told the time. Default: the operating system's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.hooks().clock = Some(Arc::new(clock));
        self
    }

    /// Makes the jitter of the open times repeatable.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Told every event, in order, one at a time, with no lock held: it may call the breaker. A
    /// panic costs that event alone. While it runs, events of other threads wait for it, up to 256.
    pub fn listener(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks().listener = Some(Box::new(listener));
        self
    }

    /// Decides how long the breaker stays open, in place of
    /// [`Config::open_time`], which holds until the closure has answered and if it panics. A
    /// server's hint still lengthens it. Called with no lock held; the listener hears of the opening
    /// when it has answered.
    pub fn open_time(
        mut self,
        decide: impl Fn(&Opening) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.hooks().open_time = Some(Box::new(decide));
        self
    }

    /// Builds the breaker, closed.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration.
    pub fn build(self) -> Result<Breaker, ConfigErrors> {
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let base = self
            .hooks
            .as_ref()
            .map_or_else(system_now, |hooks| hooks.now());
        Ok(Breaker::assemble(
            Machine::new(self.config, seed, base)?,
            base,
            self.hooks,
        ))
    }

    fn hooks(&mut self) -> &mut Hooks {
        self.hooks.get_or_insert_default()
    }
}
