//! Who is there: the connections of the pool by identity.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pool_core::{Event, Observer};

/// The connections that are open, as the pool's events tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster(Arc<Mutex<BTreeSet<u64>>>);

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.open().len()
    }

    /// Identities count up, so whoever is newer was opened later.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.open().last().copied()
    }

    pub(crate) fn oldest(&self) -> Option<u64> {
        self.open().first().copied()
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Roster {
    fn on_event(&self, _: u64, event: &Event) {
        match event {
            Event::Connected { connection, .. } => drop(self.open().insert(*connection)),
            Event::Closed { connection, .. } => drop(self.open().remove(connection)),
            _ => {}
        }
    }
}
