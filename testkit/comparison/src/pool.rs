//! The pools, each behind the same small trait, one file per contender.

mod bb8;
mod deadpool;
mod facade;
mod fast_pool;
mod floor_a;
mod floor_b;
mod mobc;
mod ours;
mod r2d2;
mod server;

use std::future::Future;

pub(crate) use server::Server;

use floor_a::FloorA;
use ours::Ours;

use crate::figures::{Entrant, Kind, Measure};

/// How a pool is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Its fastest settings.
    Tuned,
    /// 30 s acquire timeout, a check (ready at once) at every checkout, idle kept to the size.
    Equal,
}

impl Setting {
    pub(crate) const ALL: [Self; 2] = [Self::Tuned, Self::Equal];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::Equal => "equal",
        }
    }
}

/// Why a get gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The caller was told that the server refuses.
    Told,
    /// The caller waited until its time was up.
    TimedOut,
}

/// A pool, called as its own README does.
pub(crate) trait Contender: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    const KIND: Kind;
    /// Whether waiting blocks the thread, so that it cannot wait for another task of the same.
    const BLOCKS: bool = false;
    /// Whether a caller can wait for a connection at all.
    const WAITS: bool = true;
    /// Whether it is more than a pool, and stands beside one of ours that is a pool.
    const WHOLE: bool = false;

    type Guard: Send;

    fn new(size: usize, setting: Setting, server: &Server) -> Self;

    fn get(&self) -> impl Future<Output = Result<Self::Guard, Failed>> + Send;

    /// What [`new`](Self::new) sets, in words.
    fn settings(setting: Setting) -> &'static str;
}

/// Something to do with each contender.
pub(crate) trait Workload {
    /// `None` where the workload cannot be asked of this contender.
    fn enter<C: Contender>(&self) -> Option<Measure<'_>>;
}

/// Every contender that takes part in `workload`.
pub(crate) fn entrants<W: Workload>(workload: &W) -> Vec<Entrant<'_>> {
    fn entrant<C: Contender>(workload: &impl Workload) -> Option<Entrant<'_>> {
        Some(Entrant {
            name: C::NAME,
            kind: C::KIND,
            measure: workload.enter::<C>()?,
        })
    }
    [
        entrant::<Ours>(workload),
        entrant::<facade::Facade>(workload),
        entrant::<bb8::Bb8>(workload),
        entrant::<deadpool::Deadpool>(workload),
        entrant::<mobc::Mobc>(workload),
        entrant::<fast_pool::FastPool>(workload),
        entrant::<r2d2::R2d2>(workload),
        entrant::<FloorA>(workload),
        entrant::<floor_b::FloorB>(workload),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs `measure` for the contender called `name`.
pub(crate) fn only<W: Workload>(workload: &W, name: &str) -> Option<f64> {
    let mut found = entrants(workload)
        .into_iter()
        .find(|entrant| entrant.name == name)?;
    Some((found.measure)(0))
}

/// What each contender is set to, by name.
pub(crate) fn settings() -> Vec<(&'static str, &'static str, &'static str)> {
    fn of<C: Contender>() -> (&'static str, &'static str, &'static str) {
        (
            C::NAME,
            C::settings(Setting::Tuned),
            C::settings(Setting::Equal),
        )
    }
    vec![
        of::<Ours>(),
        of::<facade::Facade>(),
        of::<bb8::Bb8>(),
        of::<deadpool::Deadpool>(),
        of::<mobc::Mobc>(),
        of::<fast_pool::FastPool>(),
        of::<r2d2::R2d2>(),
        of::<FloorA>(),
        of::<floor_b::FloorB>(),
    ]
}
