//! The breakers, each behind the same small trait, one file per contender.

mod circuitbreaker_rs;
mod failsafe;
mod floors;
mod ours;
mod peer_breaker;
mod recloser;
mod tower_resilience;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use floors::{Clock, F};
pub(crate) use ours::{CountWindow, DegradedOff, DegradedOn, Ours, OwnClock};

use crate::figures::Kind;

/// Done in a guarded call.
pub(crate) type Inside = Arc<dyn Fn() + Send + Sync>;

/// A breaker, called as its own README does.
pub(crate) trait Contender: Send + Sync + Sized {
    const NAME: &'static str;
    const KIND: Kind;
    /// What [`closed`](Self::closed) and [`opened`](Self::opened) set, in words.
    const SETTINGS: &'static str;

    fn closed() -> Self;

    /// Open for so long by a failure or two, then letting five in; no floor can be.
    fn opened(span: Duration) -> Option<Self>;

    /// So many calls that succeed, one after another.
    fn calls(&self, count: u32);

    /// So many calls that are refused.
    fn refusals(&self, count: u32);

    /// Does something in a guarded call; gives whether the call was admitted.
    fn hold(&self, inside: Inside) -> bool;
}

/// Something to do with each contender.
pub(crate) trait Visit {
    fn visit<C: Contender + 'static>(&mut self);
}

/// Ours in all its variants, the peers, the floors.
pub(crate) fn each(visit: &mut impl Visit) {
    visit.visit::<Ours<DegradedOff>>();
    visit.visit::<Ours<DegradedOn>>();
    visit.visit::<Ours<CountWindow>>();
    visit.visit::<Ours<OwnClock>>();
    visit.visit::<recloser::Peer>();
    visit.visit::<failsafe::Peer>();
    visit.visit::<tower_resilience::Peer>();
    visit.visit::<circuitbreaker_rs::Peer>();
    visit.visit::<peer_breaker::Peer>();
    visit.visit::<floors::R>();
    visit.visit::<F>();
    visit.visit::<Clock>();
}

/// What each contender is set to, by name.
pub(crate) fn settings() -> Vec<(&'static str, &'static str)> {
    struct Settings(Vec<(&'static str, &'static str)>);

    impl Visit for Settings {
        fn visit<C: Contender + 'static>(&mut self) {
            self.0.push((C::NAME, C::SETTINGS));
        }
    }

    let mut settings = Settings(Vec::new());
    each(&mut settings);
    settings.0
}
