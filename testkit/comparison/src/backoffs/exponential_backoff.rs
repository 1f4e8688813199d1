//! exponential-backoff.

use std::time::Duration;

use exponential_backoff::Backoff;

use super::{BASE, CAP, Contender};
use crate::figures::Kind;

pub(crate) struct Peer;

impl Contender for Peer {
    const NAME: &'static str = "exponential-backoff";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str = "Backoff::new(u32::MAX, 100 ms, 10 s)";

    fn sequence() -> impl Iterator<Item = Duration> {
        let delays = Backoff::new(u32::MAX, BASE, CAP).into_iter();
        delays.map(Option::unwrap_or_default)
    }
}
