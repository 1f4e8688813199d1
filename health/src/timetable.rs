//! Who is next: an indexed binary heap of instants.
//!
//! Each index is in the heap at most once and can be moved or taken out, so that its size, and
//! with it the memory, is bounded by the number of indices reserved. Equal instants go by index.

use std::time::Instant;

#[derive(Debug, Clone, Default)]
pub(crate) struct Timetable {
    heap: Vec<(Instant, u32)>,
    place: Vec<Option<u32>>,
}

impl Timetable {
    /// Makes room for indices below `count`, so that `set` need not allocate.
    pub(crate) fn reserve(&mut self, count: usize) {
        if count > self.place.len() {
            self.place.resize(count, None);
            self.heap.reserve(count - self.heap.len());
        }
    }

    pub(crate) fn set(&mut self, index: u32, at: Instant) {
        let position = match self.place[index as usize] {
            Some(position) => {
                self.heap[position as usize].0 = at;
                position as usize
            }
            None => {
                self.heap.push((at, index));
                self.heap.len() - 1
            }
        };
        self.settle(position);
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let Some(position) = self.place[index as usize].take() else {
            return;
        };
        let position = position as usize;
        self.heap.swap_remove(position);
        if position < self.heap.len() {
            self.settle(position);
        }
    }

    pub(crate) fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    pub(crate) fn first_at(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Moves one entry to where it belongs and records the place of every entry that moved.
    fn settle(&mut self, mut position: usize) {
        let entry = self.heap[position];
        while position > 0 && entry < self.heap[(position - 1) / 2] {
            self.put(position, self.heap[(position - 1) / 2]);
            position = (position - 1) / 2;
        }
        loop {
            let left = 2 * position + 1;
            let Some(mut child) = self.heap.get(left).map(|_| left) else {
                break;
            };
            if self
                .heap
                .get(left + 1)
                .is_some_and(|right| *right < self.heap[left])
            {
                child = left + 1;
            }
            if entry <= self.heap[child] {
                break;
            }
            self.put(position, self.heap[child]);
            position = child;
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: (Instant, u32)) {
        self.heap[position] = entry;
        self.place[entry.1 as usize] = Some(position as u32);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_entry_is_the_minimum_after_any_operations(
            operations in prop::collection::vec((0..8u32, prop::option::of(0..50u64)), 0..200),
        ) {
            #[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
            let start = Instant::now();
            let mut timetable = Timetable::default();
            timetable.reserve(8);
            let mut model = std::collections::BTreeMap::new();
            for (index, at) in operations {
                match at {
                    Some(at) => {
                        let at = start + Duration::from_secs(at);
                        timetable.set(index, at);
                        model.insert(index, at);
                    }
                    None => {
                        timetable.remove(index);
                        model.remove(&index);
                    }
                }
                let expected = model.iter().map(|(index, at)| (*at, *index)).min();
                prop_assert_eq!(timetable.first(), expected);
                prop_assert_eq!(timetable.len(), model.len());
            }
        }
    }
}
