//! The choice of one node, from what is posted: no lock, no clock, no change.

use super::board::{Board, Reading};
use super::node::{Access, NodeId, NodeSet};
use super::plan::Lane;

/// What a call asks of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a request does nothing until a node is picked for it"]
pub struct Request {
    access: Access,
    exclude: NodeSet,
}

impl Request {
    /// Any node that takes such calls.
    pub const fn new(access: Access) -> Self {
        Self {
            access,
            exclude: NodeSet::new(),
        }
    }

    /// None of these, such as the nodes where the call has failed before.
    pub const fn exclude(mut self, nodes: NodeSet) -> Self {
        self.exclude = nodes;
        self
    }
}

impl Board {
    /// The node that a call should go to. `random` is to be a new random number each time.
    ///
    /// `None` if no node takes such calls, or all that do are excluded.
    #[must_use]
    pub fn pick(&self, request: &Request, random: u64) -> Option<NodeId> {
        let mut chance = Chance(random);
        let allowed = |lane: Lane| lane.nodes & !request.exclude.0;
        let draw = chance.next() >> 32;
        let nodes = self
            .lanes(request.access)
            .find(|lane| draw < lane.upto)
            .map(allowed)
            .filter(|nodes| *nodes != 0)
            .or_else(|| {
                let mut lanes = self.lanes(request.access).map(allowed);
                lanes.find(|nodes| *nodes != 0)
            })?;
        let index = self.choose(nodes, &mut chance)?;
        let generation = self.slots[usize::from(index)].generation();
        Some(NodeId { index, generation })
    }

    /// The best of `nodes`. The caller's own zone is left only for a node that costs less than half,
    /// or less than one that is at its limit.
    fn choose(&self, nodes: u64, chance: &mut Chance) -> Option<u8> {
        let zone = self.near();
        let near = self.cheapest(nodes & zone, chance);
        let far = self.cheapest(nodes & !zone, chance);
        let (Some(near), Some(far)) = (&near, &far) else {
            return near.or(far).map(|offer| offer.index);
        };
        let patience = if near.full { 1.0 } else { PATIENCE };
        let spills = near.cost > patience * far.cost;
        Some(if spills { far.index } else { near.index })
    }

    /// The cheapest of a set, of at most eight; of the cheaper of two, if there are more.
    fn cheapest(&self, set: u64, chance: &mut Chance) -> Option<Offer> {
        let count = set.count_ones();
        let mut left = if count > SCANNED {
            let first = chance.below(count);
            let second = (first + 1 + chance.below(count - 1)) % count;
            nth(set, first) | nth(set, second)
        } else {
            set
        };
        let mut bytes = chance.next();
        let mut best: Option<(f32, Offer)> = None;
        while left != 0 {
            let index = left.trailing_zeros() as u8;
            left &= left - 1;
            let spread = self.spread[(bytes & 0xff) as usize];
            bytes >>= 8;
            let reading = self.slots[usize::from(index)].read();
            let cost = cost(&reading);
            let lot = cost + (spread - 1.0) * reading.jitter;
            if best.as_ref().is_none_or(|(least, _)| lot < *least) {
                let full = reading.in_flight >= reading.limit;
                best = Some((lot, Offer { index, cost, full }));
            }
        }
        best.map(|(_, offer)| offer)
    }
}

/// A candidate and what one more call costs there.
#[derive(Debug)]
struct Offer {
    index: u8,
    cost: f32,
    full: bool,
}

/// What one more call costs. Failures since the last tick are not in the posted price yet: each
/// divides the success rate by 0.9, and so multiplies the price.
fn cost(reading: &Reading) -> f32 {
    let dearer = DEARER[(reading.failures as usize).min(DEARER.len() - 1)];
    reading.slope * dearer * (reading.in_flight as f32 + 1.0)
}

/// The `n`th element of a set, counted from 0, as a set.
const fn nth(mut set: u64, n: u32) -> u64 {
    let mut left = n;
    while left > 0 {
        set &= set - 1;
        left -= 1;
    }
    set & set.wrapping_neg()
}

/// SplitMix64 (Steele, Lea, Flood 2014): several numbers from the one that was passed in.
struct Chance(u64);

impl Chance {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    const fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * bound as u64) >> 32) as u32
    }
}

/// From so many candidates on, two random ones stand for all.
const SCANNED: u32 = 8;
/// How much dearer the own zone may be than another.
const PATIENCE: f32 = 2.0;
/// `0.9^-3k`: the price of `k` failures that no tick has seen. At most some 2000, so that a failing
/// node is not quite out of reach when no tick comes any more.
const DEARER: [f32; 25] = {
    let mut table = [1.0; 25];
    let mut k = 1;
    while k < table.len() {
        table[k] = table[k - 1] / (0.9 * 0.9 * 0.9);
        k += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut chance = Chance(1_234_567);
        for number in [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ] {
            assert_eq!(chance.next(), number);
        }
    }
}
