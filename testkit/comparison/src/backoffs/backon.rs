//! backon.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::{BASE, CAP, Contender};
use crate::figures::Kind;

pub(crate) struct Peer;

impl Contender for Peer {
    const NAME: &'static str = "backon";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str = "min 100 ms, max 10 s, with_jitter(), without_max_times()";

    fn sequence() -> impl Iterator<Item = Duration> {
        ExponentialBuilder::default()
            .with_min_delay(BASE)
            .with_max_delay(CAP)
            .with_jitter()
            .without_max_times()
            .build()
    }
}
