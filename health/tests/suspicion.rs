//! Phi: what the values mean, and that none is absurd.
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::time::{Duration, Instant};

use health::{Suspicion, SuspicionPolicy};
use proptest::prelude::*;

fn regular(beats: u32, interval: Duration) -> (Suspicion, Instant) {
    let mut now = Instant::now();
    let mut suspicion = Suspicion::new(SuspicionPolicy::new()).expect("valid");
    for _ in 0..beats {
        suspicion.on_heartbeat(now);
        now += interval;
    }
    (suspicion, now - interval)
}

#[test]
fn phi_is_the_number_of_nines_of_the_doubt() {
    // Regular beats: mean 1 s, and the deviation is at its floor of 100 ms.
    let (suspicion, last) = regular(1_000, Duration::from_secs(1));
    for (deviations, phi) in [(1.2816, 1.0), (3.0902, 3.0), (5.6120, 8.0)] {
        let silence = Duration::from_secs(1) + Duration::from_millis(100).mul_f64(deviations);
        assert!((suspicion.phi(last + silence) - phi).abs() < 0.02, "{phi}");
    }
}

#[test]
fn an_irregular_target_is_given_more_time() {
    let mut now = Instant::now();
    let mut irregular = Suspicion::new(SuspicionPolicy::new()).expect("valid");
    for beat in 0..500 {
        now += Duration::from_millis(if beat % 2 == 0 { 200 } else { 1_800 });
        irregular.on_heartbeat(now);
    }
    assert!(irregular.phi(now + Duration::from_secs(2)) < 1.0);
    assert!(irregular.phi(now + Duration::from_secs(10)) > 8.0);
}

#[test]
fn a_pause_that_is_allowed_for_shifts_the_doubt() {
    let start = Instant::now();
    let policy = SuspicionPolicy::new().acceptable_pause(Some(Duration::from_secs(3)));
    let mut patient = Suspicion::new(policy).expect("valid");
    let mut strict = Suspicion::new(SuspicionPolicy::new()).expect("valid");
    for suspicion in [&mut patient, &mut strict] {
        suspicion.on_heartbeat(start);
    }
    let silence = start + Duration::from_secs(4);
    assert!(patient.phi(silence) < 1.0 && strict.phi(silence) > 8.0);
}

#[test]
fn a_new_rhythm_is_learned() {
    let (mut suspicion, mut now) = regular(300, Duration::from_secs(1));
    assert!(suspicion.phi(now + Duration::from_secs(5)) > 8.0);
    for _ in 0..1_000 {
        now += Duration::from_secs(5);
        suspicion.on_heartbeat(now);
    }
    assert!(suspicion.phi(now + Duration::from_secs(5)) < 1.0);
}

#[test]
fn nothing_is_known_of_whom_nothing_was_heard() {
    let suspicion = Suspicion::new(SuspicionPolicy::new()).expect("valid");
    assert_eq!(
        suspicion.phi(Instant::now() + Duration::from_secs(1_000_000)),
        0.0
    );
}

proptest! {
    #[test]
    fn phi_is_finite_never_negative_and_grows_with_the_silence(
        beats_ms in prop::collection::vec(0..100_000_u64, 1..100),
        silences_ms in prop::collection::vec(0..100_000_000_u64, 2),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut suspicion = Suspicion::new(SuspicionPolicy::new()).expect("valid");
        for beat_ms in beats_ms {
            now += Duration::from_millis(beat_ms);
            suspicion.on_heartbeat(now);
        }
        suspicion.on_heartbeat(start);
        suspicion.on_heartbeat(now);
        let phi = |silence_ms| suspicion.phi(now + Duration::from_millis(silence_ms));
        let (less, more) = (silences_ms[0].min(silences_ms[1]), silences_ms[0].max(silences_ms[1]));
        prop_assert!(phi(less).is_finite() && phi(less) >= 0.0);
        prop_assert!(phi(more) >= phi(less) - 1e-9 && phi(more).is_finite());
        prop_assert!(suspicion.phi(start) >= 0.0);
    }
}
