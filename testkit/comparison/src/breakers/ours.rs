//! breaker, in the variants that its bars name.

use std::hint::black_box;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use breaker::{Breaker, Config, OpenTime, Outcome, Window};

use super::{Contender, Inside};
use crate::clock::now;
use crate::figures::Kind;

pub(crate) struct Ours<V> {
    breaker: Breaker,
    /// Passed in, except by the variant that reads its own clock.
    now: Instant,
    variant: PhantomData<V>,
}

/// What tells one of ours from another.
pub(crate) trait Variant: Send + Sync + 'static {
    const NAME: &'static str;
    const SETTINGS: &'static str;
    const OWN_CLOCK: bool = false;
    fn config() -> Config;
}

pub(crate) struct DegradedOff;
pub(crate) struct DegradedOn;
pub(crate) struct CountWindow;
pub(crate) struct OwnClock;

impl Variant for DegradedOff {
    const NAME: &'static str = "ours, degraded off";
    const SETTINGS: &'static str = "degraded(None); `now` passed in";

    fn config() -> Config {
        Config::new().degraded(None)
    }
}

impl Variant for DegradedOn {
    const NAME: &'static str = "ours, degraded on";
    const SETTINGS: &'static str = "the defaults; `now` passed in";

    fn config() -> Config {
        Config::new()
    }
}

impl Variant for CountWindow {
    const NAME: &'static str = "ours, count window";
    const SETTINGS: &'static str = "Window::Count of 100, degraded(None); `now` passed in";

    fn config() -> Config {
        let window = Window::Count { calls: 100 };
        Config::new().window(window).degraded(None)
    }
}

impl Variant for OwnClock {
    const NAME: &'static str = "ours, own clock";
    const SETTINGS: &'static str = "degraded(None); admit() and success() read the clock";
    const OWN_CLOCK: bool = true;

    fn config() -> Config {
        Config::new().degraded(None)
    }
}

impl<V: Variant> Contender for Ours<V> {
    const NAME: &'static str = V::NAME;
    const KIND: Kind = Kind::Ours;
    const SETTINGS: &'static str = V::SETTINGS;

    fn closed() -> Self {
        Self {
            breaker: Breaker::new(V::config()).expect("the settings are valid"),
            now: now(),
            variant: PhantomData,
        }
    }

    fn opened(span: Duration) -> Option<Self> {
        let config = V::config()
            .consecutive(1)
            .open_time(OpenTime::Constant(span))
            .half_open(5, 2);
        let this = Self {
            breaker: Breaker::new(config).expect("the settings are valid"),
            now: now(),
            variant: PhantomData,
        };
        this.breaker.admit().expect("closed").failure();
        Some(this)
    }

    fn calls(&self, count: u32) {
        if V::OWN_CLOCK {
            for _ in 0..count {
                black_box(&self.breaker).admit().expect("closed").success();
            }
            return;
        }
        for _ in 0..count {
            let permit = black_box(&self.breaker).admit_at(black_box(self.now));
            let permit = permit.expect("closed");
            permit.settle_at(Outcome::Success, black_box(self.now));
        }
    }

    fn refusals(&self, count: u32) {
        for _ in 0..count {
            assert!(black_box(&self.breaker).admit().is_err(), "open");
        }
    }

    fn hold(&self, inside: Inside) -> bool {
        let Ok(permit) = self.breaker.admit() else {
            return false;
        };
        inside();
        permit.success();
        true
    }
}
