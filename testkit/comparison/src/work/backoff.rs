//! What a jittered delay costs, and whether it keeps its cap.

use std::hint::black_box;

use anyhow::Result;

use crate::backoffs::{CAP, Contender, Visit, each};
use crate::clock::{now, since};
use crate::figures::{Entrant, Figure, Figures, Order};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Eight delays to a sequence, as a retry would take them; making the sequence is not timed.
#[derive(Default)]
struct Cost(Vec<Entrant<'static>>);

impl Visit for Cost {
    fn visit<C: Contender + 'static>(&mut self) {
        self.0.push(Entrant {
            name: C::NAME,
            kind: C::KIND,
            measure: Box::new(|_| {
                let mut sequences: Vec<_> = (0..SEQUENCES).map(|_| C::sequence()).collect();
                let start = now();
                for delays in &mut sequences {
                    for _ in 0..DELAYS {
                        black_box(delays.next());
                    }
                }
                since(start) * 1e9 / (SEQUENCES * DELAYS) as f64
            }),
        });
    }
}

/// Delays long after the cap was reached, in seconds.
#[derive(Default)]
struct Capped(Vec<Figure>);

impl Visit for Capped {
    fn visit<C: Contender + 'static>(&mut self) {
        let delays = (0..2_000).filter_map(|_| C::sequence().nth(20));
        self.0.push(Figure {
            name: C::NAME,
            kind: C::KIND,
            rounds: delays.map(|it| it.as_secs_f64()).collect(),
        });
    }
}

pub(crate) fn delay(session: &mut Session) -> Result<()> {
    let case = Case::new("backoff.delay", "one jittered delay", "time", "ns");
    let mut cost = Cost::default();
    each(&mut cost);
    let figures = session.compare_rounds(&case, cost.0, 3 * session.rounds());
    let ours = figures.ours();
    if let Some(floor) = figures.of("floor") {
        let ratio = ours.over(floor);
        session.judge(&case, "of the floor", Bound::AtMost(4.0), &ratio, None);
    }
    if let Some(peer) = figures.best_peer(Order::LessIsBetter) {
        let (ratio, note) = (ours.over(peer), peer.name.to_owned());
        session.judge(&case, "of the best peer", Bound::AtMost(0.35), &ratio, note);
    }
    Ok(())
}

pub(crate) fn cap(session: &mut Session) -> Result<()> {
    let case = Case::new("backoff.cap", "2000 delays at the cap", "delay", "s");
    let mut capped = Capped::default();
    each(&mut capped);
    let figures = Figures(capped.0);
    session.show(&case, &figures);
    let ours = &figures.ours().rounds;
    let most = [ours.iter().copied().fold(0.0, f64::max)];
    let bound = Bound::AtMost(CAP.as_secs_f64());
    session.judge(&case, "longest (s)", bound, &most, None);
    let mean = ours.iter().sum::<f64>() / ours.len() as f64;
    let squares = ours.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
    let deviation = [(squares / ours.len() as f64).sqrt()];
    // Full jitter spreads evenly: 10 s by the square root of 12.
    let bound = Bound::AtLeast(2.5);
    session.judge(&case, "standard deviation (s)", bound, &deviation, None);
    Ok(())
}

const DELAYS: usize = 8;
const SEQUENCES: usize = 5_000;
