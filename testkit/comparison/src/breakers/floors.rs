//! Floor R is one relaxed load; F is one load and one fetch-add, the least that counts a call.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Contender, Inside};
use crate::clock::now;
use crate::figures::Kind;

pub(crate) struct F {
    open: AtomicU64,
    calls: AtomicU64,
}

impl Contender for F {
    const NAME: &'static str = "floor F";
    const KIND: Kind = Kind::Floor;
    const SETTINGS: &'static str = "one load and one fetch_add";

    fn closed() -> Self {
        Self {
            open: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }

    fn opened(_: Duration) -> Option<Self> {
        None
    }

    fn calls(&self, count: u32) {
        for _ in 0..count {
            if black_box(&self.open).load(Ordering::Acquire) == 0 {
                black_box(&self.calls).fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn refusals(&self, _: u32) {}

    fn hold(&self, inside: Inside) -> bool {
        inside();
        true
    }
}

pub(crate) struct R(AtomicU64);

impl Contender for R {
    const NAME: &'static str = "floor R";
    const KIND: Kind = Kind::Floor;
    const SETTINGS: &'static str = "one relaxed load";

    fn closed() -> Self {
        Self(AtomicU64::new(0))
    }

    fn opened(_: Duration) -> Option<Self> {
        None
    }

    fn calls(&self, count: u32) {
        for _ in 0..count {
            black_box(black_box(&self.0).load(Ordering::Relaxed));
        }
    }

    fn refusals(&self, _: u32) {}

    fn hold(&self, inside: Inside) -> bool {
        inside();
        true
    }
}

pub(crate) struct Clock;

impl Contender for Clock {
    const NAME: &'static str = "one clock read";
    const KIND: Kind = Kind::Floor;
    const SETTINGS: &'static str = "Instant::now()";

    fn closed() -> Self {
        Self
    }

    fn opened(_: Duration) -> Option<Self> {
        None
    }

    fn calls(&self, count: u32) {
        for _ in 0..count {
            black_box(now());
        }
    }

    fn refusals(&self, _: u32) {}

    fn hold(&self, inside: Inside) -> bool {
        inside();
        true
    }
}
