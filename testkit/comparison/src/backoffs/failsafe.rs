//! failsafe's, in whole seconds.

use std::time::Duration;

use failsafe::backoff::equal_jittered;

use super::{CAP, Contender};
use crate::figures::Kind;

pub(crate) struct Peer;

impl Contender for Peer {
    const NAME: &'static str = "failsafe";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str = "equal_jittered(1 s, 10 s); it counts whole seconds";

    fn sequence() -> impl Iterator<Item = Duration> {
        equal_jittered(Duration::from_secs(1), CAP)
    }
}
