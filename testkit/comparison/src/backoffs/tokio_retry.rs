//! tokio-retry.

use std::time::Duration;

use tokio_retry::strategy::{ExponentialBackoff, jitter};

use super::{CAP, Contender};
use crate::figures::Kind;

pub(crate) struct Peer;

impl Contender for Peer {
    const NAME: &'static str = "tokio-retry";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str = "from_millis(2).factor(50), max_delay 10 s, jitter";

    fn sequence() -> impl Iterator<Item = Duration> {
        ExponentialBackoff::from_millis(2)
            .factor(50)
            .max_delay(CAP)
            .map(jitter)
    }
}
