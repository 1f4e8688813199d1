//! The machines agree with naive models after any operations.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

mod model;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_monitor_believes_what_its_whole_history_says(
        operations in vec(any::<model::Operation>(), 0..300),
    ) {
        model::drive_monitor(&operations);
    }

    #[test]
    fn an_outlier_is_ejected_by_the_rules_and_within_the_limit(
        operations in vec(any::<model::Operation>(), 0..300),
    ) {
        model::drive_outlier(&operations);
    }

    #[test]
    fn a_group_keeps_its_limits_and_says_who_is_eligible(
        operations in vec(any::<model::Operation>(), 0..300),
    ) {
        model::drive_group(&operations);
    }
}
