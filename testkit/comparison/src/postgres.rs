//! Pools of connections to a real PostgreSQL, each behind the same small trait.

mod bb8;
mod deadpool;
mod floor;
mod mobc;
mod ours;
mod rig;
mod session;
mod sqlx;

use std::future::Future;

pub(crate) use rig::{POINT, POINTS, Rig, SEARCH, runtime};

use crate::figures::{Entrant, Kind, Measure};
use crate::pool::Failed;

/// What is done at each checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// No question to the server.
    Plain,
    /// Whatever the pool calls a check, every time.
    Checked,
}

impl Setting {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "no validation",
            Self::Checked => "validated at each checkout",
        }
    }
}

/// A pool of connections to a server.
pub(crate) trait Contender: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    const KIND: Kind;

    fn open(rig: &Rig, size: usize, setting: Setting) -> impl Future<Output = Self> + Send;

    /// One row of one number, by a statement that each connection prepares once.
    fn query(&self, sql: &'static str, id: i32)
    -> impl Future<Output = Result<i32, Failed>> + Send;
}

/// Something to do with each contender.
pub(crate) trait Workload {
    /// `None` where the workload cannot be asked of this contender.
    fn enter<C: Contender>(&self) -> Option<Measure<'_>>;
}

pub(crate) fn entrants<W: Workload>(workload: &W) -> Vec<Entrant<'_>> {
    fn entrant<C: Contender>(workload: &impl Workload) -> Option<Entrant<'_>> {
        Some(Entrant {
            name: C::NAME,
            kind: C::KIND,
            measure: workload.enter::<C>()?,
        })
    }
    [
        entrant::<ours::Ours>(workload),
        entrant::<deadpool::Deadpool>(workload),
        entrant::<bb8::Bb8>(workload),
        entrant::<mobc::Mobc>(workload),
        entrant::<sqlx::Sqlx>(workload),
        entrant::<floor::Floor>(workload),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Patience of every pool, in every workload.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
