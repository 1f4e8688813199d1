//! The decisions of a session, for any hints, gates and steps of time, against what the rules say.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use backoff::{Admission, Hint, Jitter, Policy, Session, SplitMix64, Stop};
use proptest::prelude::*;
use support::{World, ms};

#[derive(Clone, Copy, Debug)]
enum Gate {
    Now,
    In(u64),
    Never,
}

fn hint() -> impl Strategy<Value = Hint> {
    prop_oneof![
        6 => Just(Hint::Silent),
        3 => (0..3000_u64).prop_map(|span| Hint::After(ms(span))),
        1 => Just(Hint::Never),
        1 => Just(Hint::After(Duration::MAX)),
    ]
}

fn gate() -> impl Strategy<Value = Gate> {
    prop_oneof![6 => Just(Gate::Now), 3 => (0..3000_u64).prop_map(Gate::In), 1 => Just(Gate::Never)]
}

proptest! {
    #[test]
    fn every_decision_is_that_of_the_rules(
        attempts in prop::option::of(1..12_u32),
        elapsed in prop::option::of(1..60_000_u64),
        deadline in prop::option::of(0..60_000_u64),
        steps in prop::collection::vec((0..5000_u64, hint(), gate(), 0..5000_u64, gate()), 1..20),
    ) {
        let builder = Policy::linear(ms(100), ms(100), ms(700)).jitter(Jitter::None);
        let builder = match attempts {
            Some(attempts) => builder.max_attempts(attempts),
            None => builder.no_max_attempts(),
        };
        let builder = match elapsed {
            Some(elapsed) => builder.max_elapsed(ms(elapsed)),
            None => builder,
        };
        let start = World::new().start;
        let mut session = Session::new(builder.build().unwrap(), SplitMix64::from_seed(0), start);
        if let Some(deadline) = deadline {
            session = session.deadline(start + ms(deadline));
        }
        // The model: milliseconds since the start.
        let last = elapsed.unwrap_or(u64::MAX).min(deadline.unwrap_or(u64::MAX));
        let mut now = 0_u64;
        for (failed, (work, hint, gate, late, gate_after)) in (1..).zip(steps) {
            now += work;
            let admission = |gate, now: u64| match gate {
                Gate::Now => Admission::Now,
                Gate::In(span) => Admission::NotBefore(start + ms(now + span)),
                Gate::Never => Admission::Never,
            };
            let waits_for = match gate {
                Gate::In(span) => span,
                _ => 0,
            };
            let asked = match hint {
                Hint::After(span) => u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
                _ => 0,
            };
            let delay = asked.saturating_add(700.min(100 * failed)).max(waits_for);
            let expected = if hint == Hint::Never {
                Err(Stop::Hint)
            } else if attempts.is_some_and(|attempts| failed >= u64::from(attempts)) {
                Err(Stop::Attempts)
            } else if matches!(gate, Gate::Never) {
                Err(Stop::Gate)
            } else if asked == u64::MAX || now.saturating_add(delay) > last {
                Err(Stop::Deadline)
            } else {
                Ok(ms(delay))
            };
            let decided = session.on_failure(hint, admission(gate, now), start + ms(now));
            prop_assert_eq!(decided, expected);
            if decided.is_err() {
                return Ok(());
            }

            now += delay + late;
            let expected = match gate_after {
                _ if now > last => Err(Stop::Deadline),
                Gate::In(1..) | Gate::Never => Err(Stop::Gate),
                _ => Ok(()),
            };
            let decided = session.on_wake(admission(gate_after, now), start + ms(now));
            prop_assert_eq!(decided, expected);
            if decided.is_err() {
                return Ok(());
            }
        }
    }
}
