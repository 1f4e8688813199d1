//! The score beside the formula that it replaces, on simulated connections.
//!
//! Forty connections: half serve short queries of 2 ms, half vector searches of 200 ms. Four are
//! bad: two are four times slower than their class, one fails a fifth of its operations, one a
//! third of its validations. The four that score worst are retired. How many of them are bad?

#![allow(
    clippy::print_stderr,
    reason = "the outcome of a simulation is for people to read"
)]

use std::time::Duration;

use health::{ScorePolicy, Vitals};

struct Connection {
    mean: Duration,
    slowdown: f64,
    error_rate: f64,
    invalid_rate: f64,
}

/// The efficiency score of the optimisation plan, literally.
fn plan(error_rate: f64, invalid_rate: f64, mean: Duration, age: Duration) -> f64 {
    let slow = (mean.as_secs_f64() - 0.05).max(0.0);
    let old = (age.as_secs_f64() / 3600.0 - 1.0).max(0.0);
    let penalties =
        error_rate.min(0.3) + invalid_rate.min(0.3) + (5.0 * slow).min(0.2) + (0.02 * old).min(0.1);
    (1.0 - penalties).max(0.0)
}

/// A stream of numbers in [0, 1).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How many of the retired are bad: by the plan's formula, and by ours.
fn retire(seed: u64) -> (usize, usize) {
    const BAD: [usize; 4] = [3, 11, 27, 35];
    let mut random = Random(seed);
    let age = Duration::from_secs(600);
    let policy = ScorePolicy::new();
    let mut scored: Vec<(usize, f64, f64)> = Vec::new();
    for number in 0..40 {
        let connection = Connection {
            mean: Duration::from_millis(if number < 20 { 2 } else { 200 }),
            slowdown: if number == 3 || number == 27 {
                4.0
            } else {
                1.0
            },
            error_rate: if number == 11 { 0.2 } else { 0.001 },
            invalid_rate: if number == 35 { 0.33 } else { 0.0 },
        };
        let (mut errors, mut invalid, mut total) = (0.0, 0.0, Duration::ZERO);
        let mut vitals = Vitals::new();
        for operation in 0..200 {
            let success = random.next() >= connection.error_rate;
            // Exponential times, as service times go.
            let latency = connection
                .mean
                .mul_f64(-(1.0 - random.next()).ln() * connection.slowdown);
            total += latency;
            errors += f64::from(u8::from(!success));
            vitals.record(success, latency, connection.mean);
            if operation % 10 == 0 {
                let valid = random.next() >= connection.invalid_rate;
                invalid += f64::from(u8::from(!valid));
                vitals.record_validation(valid);
            }
        }
        let theirs = plan(errors / 200.0, invalid / 20.0, total / 200, age);
        let ours = vitals.score(&policy, age, Some(3 * age)).value;
        scored.push((number, theirs, ours));
    }
    let mut worst = |score: fn(&(usize, f64, f64)) -> f64| {
        scored.sort_by(|left, right| score(left).total_cmp(&score(right)));
        scored[..BAD.len()]
            .iter()
            .filter(|(number, ..)| BAD.contains(number))
            .count()
    };
    (worst(|scored| scored.1), worst(|scored| scored.2))
}

#[test]
fn latency_against_its_class_finds_bad_connections_that_a_fixed_limit_misses() {
    const RUNS: usize = 200;
    let found: Vec<(usize, usize)> = (0..RUNS as u64).map(retire).collect();
    let share = |found: usize| found as f64 / (4 * RUNS) as f64;
    let theirs = share(found.iter().map(|(theirs, _)| theirs).sum());
    let ours = share(found.iter().map(|(_, ours)| ours).sum());
    eprintln!("bad connections among the retired: plan {theirs:.3}, ours {ours:.3}");
    assert!(ours >= theirs + 0.3, "plan {theirs:.3}, ours {ours:.3}");
}

#[test]
fn a_score_is_one_less_its_parts_and_never_leaves_its_range() {
    let second = Duration::from_secs(1);
    let policy = ScorePolicy::new()
        .errors(100)
        .validations(100)
        .latency(100, 200)
        .age(100, 0);
    let mut vitals = Vitals::new();
    assert_eq!(vitals.score(&policy, Duration::ZERO, None).value, 1.0);
    for latency in [Duration::ZERO, second, Duration::MAX] {
        for class_mean in [Duration::ZERO, second, Duration::MAX] {
            vitals.record(latency < second, latency, class_mean);
            vitals.record_validation(false);
            for (age, lifetime) in [(second, None), (Duration::MAX, Some(Duration::ZERO))] {
                let score = vitals.score(&policy, age, lifetime);
                let parts = score.errors + score.validations + score.latency + score.age;
                assert!((0.0..=1.0).contains(&score.value));
                assert!((score.value - (1.0 - parts).max(0.0)).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn age_counts_only_near_the_end_of_life() {
    let vitals = Vitals::new();
    let at = |seconds| {
        let (age, life) = (
            Duration::from_secs(seconds),
            Some(Duration::from_secs(1000)),
        );
        vitals.score(&ScorePolicy::new(), age, life).age
    };
    assert_eq!((at(0), at(800)), (0.0, 0.0));
    assert!((at(900) - 0.05).abs() < 1e-9);
    assert!((at(1000) - 0.1).abs() < 1e-9 && (at(5000) - 0.1).abs() < 1e-9);
}

#[test]
fn each_part_is_its_share_of_what_its_policy_lets_it_take() {
    let second = Duration::from_secs(1);
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got}, not {want}");
    let policy = ScorePolicy::new()
        .errors(40)
        .validations(50)
        .latency(20, 300)
        .age(10, 60);
    // Each sample weighs a tenth, so one bad sample is a tenth of the part and two are 0.19 of it.
    let mut vitals = Vitals::new();
    vitals.record(false, second * 50, second);
    vitals.record_validation(false);
    let score = vitals.score(&policy, second * 80, Some(second * 100));
    near(score.errors, 0.04);
    near(score.validations, 0.05);
    near(score.latency, 0.0);
    near(score.age, 0.05);
    near(score.value, 0.86);
    vitals.record(false, second, second);
    vitals.record_validation(true);
    let score = vitals.score(&policy, second, None);
    near(score.errors, 0.4 * 0.19);
    near(score.validations, 0.5 * 0.09);
    near(score.age, 0.0);
    near(score.value, 1.0 - 0.4 * 0.19 - 0.5 * 0.09);
    // How much slower than its class, against three times as slow, which takes all of the part.
    for (latency, share) in [(1, 0.0), (2, 0.05), (3, 0.1), (10, 0.45), (1000, 0.45)] {
        let mut vitals = Vitals::new();
        vitals.record(true, second * latency, second);
        let score = vitals.score(&policy, second, None);
        near(score.latency, 0.2 * share);
        near(score.errors, 0.0);
        let mut unknown = Vitals::new();
        unknown.record(true, second * latency, Duration::ZERO);
        near(unknown.score(&policy, second, None).latency, 0.0);
    }
}

#[test]
fn a_life_of_no_length_is_no_age_and_limits_without_room_are_refused() {
    let vitals = Vitals::new();
    let age = Duration::from_secs(1);
    let score = vitals.score(&ScorePolicy::new(), age, Some(Duration::ZERO));
    assert_eq!((score.age, score.value), (0.0, 1.0));
    for (slow, late, valid) in [(101, 99, true), (100, 99, false), (101, 100, false)] {
        let policy = ScorePolicy::new().latency(20, slow).age(10, late);
        assert_eq!(policy.validate().is_ok(), valid, "{slow}, {late}");
    }
}
