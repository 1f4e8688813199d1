//! The workloads on a real PostgreSQL.

pub(crate) mod faults;
mod load;
pub(crate) mod speed;
pub(crate) mod vector;

use crate::postgres::Rig;
use crate::session::Session;

/// Starts a server, or says of each bar that there is none.
fn rig(session: &mut Session, connections: u32, bars: &[(&'static str, &str)]) -> Option<Rig> {
    session.screen.say("starting PostgreSQL 18");
    match Rig::start(connections) {
        Ok(rig) => Some(rig),
        Err(error) => {
            let reason = format!("no PostgreSQL to measure on: {error}");
            for (id, bar) in bars {
                session.not_yet(id, bar, &reason);
            }
            None
        }
    }
}
