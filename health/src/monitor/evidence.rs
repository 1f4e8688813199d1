//! Rise and fall: how many results in a row it takes to change a belief.
//!
//! The states form a scale from up to down. For each level two runs are counted: results in a row
//! at least that bad, and at most that bad. A belief moves to the worst level that the last `fall`
//! results all reach, or to the best that the last `rise` results all stay within. Every kind of
//! result obeys the same rule: a probe that says "degraded" or "draining" flaps no more than one
//! that says "down".

use crate::State;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    at_least: [u32; SCALE.len()],
    at_most: [u32; SCALE.len()],
}

impl Evidence {
    pub(crate) fn record(&mut self, found: State) {
        let found = level(found);
        for here in 0..SCALE.len() {
            extend(&mut self.at_least[here], found >= here);
            extend(&mut self.at_most[here], found <= here);
        }
    }

    /// The belief after the results so far.
    pub(crate) fn belief(&self, believed: State, rise: u32, fall: u32) -> State {
        let here = level(believed);
        let worse = (here + 1..SCALE.len()).rfind(|worse| self.at_least[*worse] >= fall);
        let moved = worse.or_else(|| (0..here).find(|better| self.at_most[*better] >= rise));
        moved.map_or(believed, |level| SCALE[level])
    }
}

fn extend(run: &mut u32, holds: bool) {
    *run = if holds { run.saturating_add(1) } else { 0 };
}

/// A target of which nothing is known has nothing to fall from but "down": it starts at the top.
fn level(state: State) -> usize {
    match state {
        State::Unknown | State::Up => 0,
        State::Degraded => 1,
        State::Draining => 2,
        State::Down => 3,
    }
}

const SCALE: [State; 4] = [State::Up, State::Degraded, State::Draining, State::Down];

#[cfg(test)]
mod tests {
    use super::*;

    fn believe(start: State, found: &[State]) -> State {
        let mut evidence = Evidence::default();
        found.iter().fold(start, |believed, found| {
            evidence.record(*found);
            evidence.belief(believed, 2, 3)
        })
    }

    /// The whole table: from every state, the shortest uniform run that changes it.
    #[test]
    fn a_uniform_run_changes_the_belief_at_its_threshold_and_not_before() {
        for from in SCALE {
            for to in SCALE {
                let needed = match level(to).cmp(&level(from)) {
                    std::cmp::Ordering::Greater => 3,
                    std::cmp::Ordering::Less => 2,
                    std::cmp::Ordering::Equal => continue,
                };
                assert_eq!(
                    believe(from, &vec![to; needed - 1]),
                    from,
                    "{from:?} {to:?}"
                );
                assert_eq!(believe(from, &vec![to; needed]), to, "{from:?} {to:?}");
            }
        }
    }

    #[test]
    fn a_mixed_run_is_as_bad_as_its_best_result() {
        use State::{Degraded, Down, Draining, Up};
        assert_eq!(believe(Up, &[Down, Degraded, Draining]), Degraded);
        assert_eq!(believe(Up, &[Degraded, Down, Down, Down]), Down);
        assert_eq!(believe(Down, &[Up, Degraded]), Degraded);
        assert_eq!(believe(Up, &[Down, Down, Up, Down, Down]), Up);
    }
}
