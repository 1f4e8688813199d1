//! backoff.

use std::time::Duration;

use backoff::Policy;

use super::{BASE, CAP, Contender};
use crate::figures::Kind;

pub(crate) struct Ours;

const POLICY: Policy = match Policy::exponential(BASE, CAP).no_max_attempts().build() {
    Ok(policy) => policy,
    Err(_) => panic!("the policy is valid"),
};

impl Contender for Ours {
    const NAME: &'static str = "ours";
    const KIND: Kind = Kind::Ours;
    const SETTINGS: &'static str = "Policy::exponential(100 ms, 10 s), full jitter (the default)";

    fn sequence() -> impl Iterator<Item = Duration> {
        POLICY.delays()
    }
}
