//! How parallel two cores really are, at this moment.

use std::hint::black_box;

use crate::clock::{now, since};

/// How many times the work of one thread two threads do: 2 on two free cores, 1 where others have
/// the second one.
pub(crate) fn parallelism() -> f64 {
    let one = spin();
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(spin);
        let own = spin();
        own.max(other.join().expect("no panics"))
    });
    2.0 * one / both
}

/// Seconds for a fixed piece of work that touches no memory.
fn spin() -> f64 {
    let start = now();
    let mut sum = 0_u64;
    for step in 0..20_000_000_u64 {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(step));
    }
    since(start)
}
