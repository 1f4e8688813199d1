//! An earlier run beside this one.

use crate::row::Row;

/// This run's median by that of the row with the same key.
pub(super) fn ratio(row: &Row, baseline: &[Row]) -> Option<f64> {
    let key = row.key();
    let earlier = baseline.iter().find(|other| other.key() == key)?;
    Some(row.median? / earlier.median?)
}
