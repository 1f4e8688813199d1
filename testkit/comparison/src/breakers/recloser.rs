//! recloser.

use std::hint::black_box;
use std::time::Duration;

use recloser::{Error, Recloser};

use super::{Contender, Inside};
use crate::figures::Kind;

pub(crate) struct Peer(Recloser);

impl Contender for Peer {
    const NAME: &'static str = "recloser";
    const KIND: Kind = Kind::Peer;
    const SETTINGS: &'static str = "closed_len(100); opened: closed_len(1), half_open_len(5)";

    fn closed() -> Self {
        Self(Recloser::custom().closed_len(100).build())
    }

    fn opened(span: Duration) -> Option<Self> {
        let builder = Recloser::custom().closed_len(1).half_open_len(5);
        let this = Self(builder.open_wait(span).build());
        for _ in 0..3 {
            let _failed = this.0.call(|| Err::<(), ()>(()));
        }
        Some(this)
    }

    fn calls(&self, count: u32) {
        for _ in 0..count {
            let done = black_box(&self.0).call(|| Ok::<(), ()>(()));
            done.expect("closed");
        }
    }

    fn refusals(&self, count: u32) {
        for _ in 0..count {
            let refused = black_box(&self.0).call(|| Ok::<(), ()>(()));
            assert!(matches!(refused, Err(Error::Rejected)), "open");
        }
    }

    fn hold(&self, inside: Inside) -> bool {
        let done = self.0.call(|| {
            inside();
            Ok::<(), ()>(())
        });
        done.is_ok()
    }
}
