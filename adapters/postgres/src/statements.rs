//! The prepared statements that a connection keeps.

use std::collections::HashMap;

use tokio_postgres::Statement;

/// Prepared statements by their text, the least recently used going first.
#[derive(Debug)]
pub(crate) struct Statements<S = Statement> {
    entries: HashMap<Box<str>, Entry<S>>,
    capacity: usize,
    /// Counts the uses.
    turn: u64,
}

#[derive(Debug)]
struct Entry<S> {
    statement: S,
    used: u64,
}

impl<S: Clone> Statements<S> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            turn: 0,
        }
    }

    pub(crate) fn find(&mut self, sql: &str) -> Option<S> {
        self.turn += 1;
        let entry = self.entries.get_mut(sql)?;
        entry.used = self.turn;
        Some(entry.statement.clone())
    }

    /// Keeps a statement; one that has to make room for it is looked for among all, which is
    /// little beside the round trip that preparing took.
    pub(crate) fn keep(&mut self, sql: &str, statement: S) {
        if self.capacity == 0 {
            return;
        }
        if self.entries.len() >= self.capacity && !self.entries.contains_key(sql) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let oldest = oldest.map(|(sql, _)| sql.clone());
            self.entries
                .remove(&oldest.expect("a full cache is not empty"));
        }
        let used = self.turn;
        self.entries.insert(sql.into(), Entry { statement, used });
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_recently_used_statement_goes_first(
            capacity in 0_usize..5,
            wanted in prop::collection::vec(0_u8..8, 0..60),
        ) {
            let mut statements = Statements::new(capacity);
            let mut model: Vec<u8> = Vec::new();
            for number in wanted {
                let sql = number.to_string();
                let found = statements.find(&sql);
                let known = model.iter().position(|other| *other == number);
                prop_assert_eq!(found, known.map(|_| number));
                match known {
                    Some(at) => drop(model.remove(at)),
                    None => statements.keep(&sql, number),
                }
                model.push(number);
                model.drain(..model.len().saturating_sub(capacity));
                prop_assert_eq!(statements.len(), model.len());
            }
        }
    }
}
