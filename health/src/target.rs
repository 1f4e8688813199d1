//! Names of targets, and the table that hands them out.

use std::fmt;

/// The name of a member of a group. It is never used again, not even after the member has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    index: u32,
    generation: u32,
}

impl TargetId {
    pub(crate) const fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// A table with stable names. Two tables that see the same insertions and removals give the same
/// names.
#[derive(Debug, Clone)]
pub(crate) struct Targets<T> {
    entries: Vec<Entry<T>>,
    vacant: Vec<u32>,
    members: u32,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    generation: u32,
    target: Option<T>,
}

impl<T> Targets<T> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            members: 0,
        }
    }

    pub(crate) fn insert(&mut self, target: T) -> TargetId {
        self.members += 1;
        if let Some(index) = self.vacant.pop() {
            let entry = &mut self.entries[index as usize];
            entry.target = Some(target);
            return TargetId {
                index,
                generation: entry.generation,
            };
        }
        let index = u32::try_from(self.entries.len()).expect("a group has less than 2^32 targets");
        self.entries.push(Entry {
            generation: 0,
            target: Some(target),
        });
        TargetId {
            index,
            generation: 0,
        }
    }

    pub(crate) fn remove(&mut self, id: TargetId) -> Option<T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation != id.generation {
            return None;
        }
        let target = entry.target.take()?;
        self.members -= 1;
        // A place whose generations are used up is given up, rather than a name used twice.
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            self.vacant.push(id.index);
        }
        Some(target)
    }

    pub(crate) fn get(&self, id: TargetId) -> Option<&T> {
        let entry = self.entries.get(id.index as usize)?;
        entry
            .target
            .as_ref()
            .filter(|_| entry.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: TargetId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        entry
            .target
            .as_mut()
            .filter(|_| entry.generation == id.generation)
    }

    /// The target at a place, with its name.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(TargetId, &mut T)> {
        let entry = self.entries.get_mut(index as usize)?;
        let generation = entry.generation;
        let id = TargetId { index, generation };
        entry.target.as_mut().map(|target| (id, target))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TargetId, &T)> {
        (0u32..).zip(&self.entries).filter_map(|(index, entry)| {
            let generation = entry.generation;
            let id = TargetId { index, generation };
            entry.target.as_ref().map(|target| (id, target))
        })
    }

    pub(crate) const fn len(&self) -> u32 {
        self.members
    }

    /// One more than the highest index in use or used before.
    pub(crate) fn bound(&self) -> usize {
        self.entries.len()
    }
}
