//! The backoffs, one file each.

mod backon;
mod exponential_backoff;
mod failsafe;
mod floor;
mod ours;
mod tokio_retry;
mod tokio_retry2;

use std::time::Duration;

use crate::figures::Kind;

/// Exponential delays with jitter, from 100 ms to 10 s where the crate can do that.
pub(crate) trait Contender {
    const NAME: &'static str;
    const KIND: Kind;
    const SETTINGS: &'static str;

    /// A new sequence.
    fn sequence() -> impl Iterator<Item = Duration>;
}

/// Something to do with each contender.
pub(crate) trait Visit {
    fn visit<C: Contender + 'static>(&mut self);
}

pub(crate) fn each(visit: &mut impl Visit) {
    visit.visit::<ours::Ours>();
    visit.visit::<backon::Peer>();
    visit.visit::<tokio_retry::Peer>();
    visit.visit::<tokio_retry2::Peer>();
    visit.visit::<exponential_backoff::Peer>();
    visit.visit::<failsafe::Peer>();
    visit.visit::<floor::Floor>();
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

const BASE: Duration = Duration::from_millis(100);
pub(crate) const CAP: Duration = Duration::from_secs(10);
