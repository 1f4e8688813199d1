//! Label values: enums whose every value is known, so that no series appears late.
//!
//! A [`Counts`] holds one number for each value of such an enum. It cannot lack a reason, so an
//! exporter writes each reason from the start, at 0, and a ratio of failures is never absent.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// An enum whose values become values of a metric label.
pub trait LabelValue: Copy + fmt::Debug + 'static {
    /// Every value, in declaration order; at most [`Counts::CAPACITY`] of them.
    const ALL: &'static [Self];

    /// The value as it stands in the label.
    fn label(self) -> &'static str;

    /// The place of the value in [`ALL`](Self::ALL).
    fn index(self) -> usize;
}

/// One count for each value of `K`.
///
/// ```
/// use pool_metrics::{CloseReason, Counts};
///
/// let mut closed = Counts::<CloseReason>::default();
/// closed[CloseReason::IdleTimeout] += 2;
/// assert_eq!(closed.total(), 2);
/// assert_eq!(closed.iter().count(), 17);
/// ```
pub struct Counts<K> {
    values: [u64; CAPACITY],
    kind: PhantomData<fn(K)>,
}

impl<K: LabelValue> Counts<K> {
    /// The most values that a label enum may have.
    pub const CAPACITY: usize = CAPACITY;

    /// Every value with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        K::ALL.iter().map(|&kind| (kind, self[kind]))
    }

    /// The sum over all values.
    pub fn total(&self) -> u64 {
        self.values.iter().sum()
    }

    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = *self;
        for (value, earlier) in counts.values.iter_mut().zip(earlier.values) {
            *value = value.saturating_sub(earlier);
        }
        counts
    }
}

impl<K> Clone for Counts<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Counts<K> {}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            values: [0; CAPACITY],
            kind: PhantomData,
        }
    }
}

impl<K> PartialEq for Counts<K> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl<K> Eq for Counts<K> {}

impl<K: LabelValue> fmt::Debug for Counts<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(kind, count)| (kind.label(), count)))
            .finish()
    }
}

impl<K: LabelValue> Index<K> for Counts<K> {
    type Output = u64;

    fn index(&self, kind: K) -> &u64 {
        &self.values[kind.index()]
    }
}

impl<K: LabelValue> IndexMut<K> for Counts<K> {
    fn index_mut(&mut self, kind: K) -> &mut u64 {
        &mut self.values[kind.index()]
    }
}

#[cfg(feature = "serde")]
impl<K: LabelValue> serde::Serialize for Counts<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(kind, count)| (kind.label(), count)))
    }
}

#[cfg(feature = "serde")]
impl<'de, K: LabelValue> serde::Deserialize<'de> for Counts<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let map = std::collections::BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut counts = Self::default();
        for (label, count) in map {
            let kind = K::ALL.iter().find(|kind| kind.label() == label);
            counts[*kind.ok_or_else(|| D::Error::custom(format!("unknown label `{label}`")))?] =
                count;
        }
        Ok(counts)
    }
}

pub(crate) const CAPACITY: usize = 20;

/// Declares label enums. A macro, because it lets value, label and order be written once, where
/// hand-written `ALL` and `label` could each forget a value without a sign.
macro_rules! label_enums {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$value_doc:meta])* $value:ident = $label:literal,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$value_doc])* #[cfg_attr(feature = "serde", serde(rename = $label))] $value,)*
        }

        impl $crate::LabelValue for $name {
            const ALL: &'static [Self] = {
                let all: &[Self] = &[$(Self::$value,)*];
                assert!(all.len() <= $crate::label::CAPACITY, "raise CAPACITY in label.rs");
                all
            };

            fn label(self) -> &'static str {
                match self {
                    $(Self::$value => $label,)*
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}
pub(crate) use label_enums;
