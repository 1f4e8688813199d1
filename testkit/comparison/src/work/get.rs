//! What a get and a drop cost when nobody else is there.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::runtime::{Builder, Runtime};

use crate::clock::{now, since};
use crate::figures::{Measure, Order};
use crate::pool::{Contender, Server, Setting, Workload, entrants, only};
use crate::row::Bound;
use crate::session::{Case, Session};

const SIZE: usize = 8;

/// Nanoseconds of one get + drop.
struct Alone {
    setting: Setting,
    span: Duration,
}

impl Workload for Alone {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        let runtime = current_thread();
        let pool = runtime.block_on(async { C::new(SIZE, self.setting, &Server::default()) });
        Some(Box::new(move |_| {
            runtime.block_on(async {
                let start = now();
                let mut count = 0_u32;
                while since(start) < self.span.as_secs_f64() {
                    for _ in 0..BATCH {
                        drop(black_box(pool.get().await));
                    }
                    count += BATCH;
                }
                since(start) * 1e9 / f64::from(count)
            })
        }))
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    for setting in Setting::ALL {
        let case =
            Case::new("pool.get", "get + drop, 1 task", "time", "ns").setting(setting.name());
        let span = session.span(15, 60);
        let figures = session.compare(&case, entrants(&Alone { setting, span }));
        let ours = figures.ours();
        if let Some(peer) = figures.best_peer(Order::LessIsBetter) {
            let note = format!("{} is the best peer", peer.name);
            let ratio = ours.over(peer);
            session.judge(&case, "of the best peer", Bound::AtMost(0.2), &ratio, note);
        }
        if let (Setting::Tuned, Some(floor)) = (setting, figures.of("floor B")) {
            let ratio = ours.over(floor);
            session.judge(&case, "of floor B", Bound::AtMost(1.6), &ratio, None);
        }
    }
    Ok(())
}

/// Gets and gives back so many times, and nothing else.
pub(super) fn child(contender: &str, setting: &str, times: u32) -> Result<()> {
    struct Times(Setting, u32);

    impl Workload for Times {
        fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
            Some(Box::new(|_| {
                let runtime = current_thread();
                runtime.block_on(async {
                    let pool = C::new(SIZE, self.0, &Server::default());
                    for _ in 0..self.1 {
                        drop(black_box(pool.get().await));
                    }
                });
                0.0
            }))
        }
    }

    let Some(setting) = Setting::ALL.into_iter().find(|it| it.name() == setting) else {
        bail!("no setting is called `{setting}`");
    };
    if only(&Times(setting, times), contender).is_none() {
        bail!("no pool is called `{contender}`");
    }
    Ok(())
}

pub(crate) fn current_thread() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

const BATCH: u32 = 500;
