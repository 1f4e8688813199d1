//! Contenders in rotated rounds, and what comes of them.

use std::cell::Cell;

/// One round of one contender, by its number; gives the figure.
pub(crate) type Measure<'a> = Box<dyn FnMut(usize) -> f64 + 'a>;

/// What a contender is to the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Peer,
    /// Shown, but never the best peer, for this reason.
    Aside(&'static str),
    /// The least that it can cost, promising nothing.
    Floor,
}

/// A contender about to be measured.
pub(crate) struct Entrant<'a> {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) measure: Measure<'a>,
}

/// What one contender did in each round.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Round by round; not a number where there was nothing to measure.
    pub(crate) rounds: Vec<f64>,
}

/// What all contenders of one workload did.
#[derive(Debug, Clone)]
pub(crate) struct Figures(pub(crate) Vec<Figure>);

/// Middle, least and most of some rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figures {
    /// Everybody in every round, in another order each round.
    pub(crate) fn measure(
        mut entrants: Vec<Entrant<'_>>,
        rounds: usize,
        advanced: impl Fn(&str, usize),
    ) -> Self {
        let mut figures: Vec<_> = entrants
            .iter()
            .map(|entrant| Figure {
                name: entrant.name,
                kind: entrant.kind,
                rounds: Vec::new(),
            })
            .collect();
        let count = entrants.len();
        let turns = Cell::new(0);
        for round in 0..rounds {
            for turn in 0..count {
                let index = (turn + round) % count;
                advanced(entrants[index].name, turns.replace(turns.get() + 1));
                figures[index].rounds.push((entrants[index].measure)(round));
            }
        }
        Self(figures)
    }

    pub(crate) fn of(&self, name: &str) -> Option<&Figure> {
        self.0.iter().find(|figure| figure.name == name)
    }

    pub(crate) fn ours(&self) -> &Figure {
        let found = self.0.iter().find(|figure| figure.kind == Kind::Ours);
        found.expect("ours takes part in every workload")
    }

    /// The peer with the least or the greatest median.
    pub(crate) fn best_peer(&self, order: Order) -> Option<&Figure> {
        let peers = self.0.iter().filter(|figure| figure.kind == Kind::Peer);
        let figures = peers.filter(|figure| figure.spread().is_some());
        figures.min_by(|one, other| {
            let [one, other] = [one, other].map(|it| it.spread().map_or(0.0, |it| it.median));
            match order {
                Order::LessIsBetter => one.total_cmp(&other),
                Order::MoreIsBetter => other.total_cmp(&one),
            }
        })
    }
}

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    LessIsBetter,
    MoreIsBetter,
}

impl Figure {
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.rounds)
    }

    /// Ours by theirs, within each round: a busy moment of the machine hits both.
    pub(crate) fn over(&self, other: &Self) -> Vec<f64> {
        let pairs = self.rounds.iter().zip(&other.rounds);
        pairs.map(|(one, other)| one / other).collect()
    }
}

impl Spread {
    /// `None` if no round measured anything.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut values: Vec<_> = values.iter().copied().filter(|it| it.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: *values.get(values.len() / 2)?,
            least: *values.first()?,
            most: *values.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn figure(name: &'static str, kind: Kind, rounds: &[f64]) -> Figure {
        Figure {
            name,
            kind,
            rounds: rounds.to_vec(),
        }
    }

    #[test]
    fn everybody_is_measured_in_every_round_and_goes_first_once() {
        let order = RefCell::new(Vec::new());
        let entrant = |name| Entrant {
            name,
            kind: Kind::Peer,
            measure: Box::new({
                let order = &order;
                move |round| {
                    order.borrow_mut().push((round, name));
                    1.0
                }
            }),
        };
        let figures = Figures::measure(vec![entrant("a"), entrant("b")], 2, |_, _| ());
        let order = order.borrow();
        assert_eq!(*order, [(0, "a"), (0, "b"), (1, "b"), (1, "a")]);
        assert_eq!(figures.0[1].rounds, [1.0, 1.0]);
    }

    #[test]
    fn the_best_peer_is_neither_ours_nor_a_floor_nor_unsound() {
        let figures = Figures(vec![
            figure("ours", Kind::Ours, &[1.0]),
            figure("floor", Kind::Floor, &[0.5]),
            figure("unsound", Kind::Aside("it leaks"), &[2.0]),
            figure("silent", Kind::Peer, &[f64::NAN]),
            figure("slow", Kind::Peer, &[9.0]),
            figure("fast", Kind::Peer, &[3.0]),
        ]);
        let best = |order| figures.best_peer(order).map(|it| it.name);
        assert_eq!(best(Order::LessIsBetter), Some("fast"));
        assert_eq!(best(Order::MoreIsBetter), Some("slow"));
    }

    #[test]
    fn a_ratio_is_taken_within_the_round() {
        let (one, other) = (
            figure("a", Kind::Ours, &[1.0, 10.0]),
            figure("b", Kind::Peer, &[2.0, 20.0]),
        );
        assert_eq!(one.over(&other), [0.5, 0.5]);
    }

    #[test]
    fn a_round_without_a_figure_is_left_out() {
        let spread = Spread::of(&[3.0, f64::NAN, 1.0, 2.0]).unwrap();
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of(&[f64::NAN]), None);
    }
}
