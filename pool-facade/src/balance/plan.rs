//! Which nodes are candidates for reads and for writes: tiers, priorities and panic.
//!
//! Tiers come from roles and are strict: a read goes to the primary only when no replica serves.
//! Priorities share: a priority is trusted with 1.4 times its serving share, and what is beyond
//! that spills over to the next. Where all together are not enough, health is ignored in those of
//! which less than the panic threshold serves.

use super::node::{Access, PRIORITIES, Role, TIERS};

/// A node as the plan sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) index: u8,
    pub(super) role: Role,
    pub(super) priority: u8,
    pub(super) serves: bool,
}

/// Candidates, and the share of calls that comes to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) nodes: u64,
    /// A call whose random number of 32 bits is below comes here, unless it went to an earlier lane.
    pub(super) upto: u64,
}

/// The lanes of one kind of access, best first. Those that no random number leads to are for when
/// the others are excluded; the last holds all that is left, serving or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    lanes: [Lane; LANES],
    used: usize,
}

impl Plan {
    pub(super) fn new(access: Access, members: &[Member], panic_percent: u8) -> Self {
        let mut plan = Self {
            lanes: [Lane::default(); LANES],
            used: 0,
        };
        let active = (0..TIERS).find(|tier| {
            let mut members = members
                .iter()
                .filter(|it| it.role.tier(access) == Some(*tier));
            members.any(|it| it.serves)
        });
        for tier in active.unwrap_or(0)..TIERS {
            let mut levels = [Level::default(); PRIORITIES as usize];
            for member in members
                .iter()
                .filter(|it| it.role.tier(access) == Some(tier))
            {
                levels[usize::from(member.priority)].add(member);
            }
            plan.share(&levels, active == Some(tier), panic_percent);
        }
        let rest = members.iter().filter(|it| it.role.tier(access).is_some());
        plan.push_rest(rest);
        plan
    }

    pub(super) const fn lanes(&self) -> &[Lane; LANES] {
        &self.lanes
    }

    /// Adds a tier's lanes; only those of the active tier get a share.
    fn share(&mut self, levels: &[Level; PRIORITIES as usize], active: bool, panic_percent: u8) {
        let sum: f64 = levels.iter().map(Level::trusted).sum();
        let panics = |level: &Level| {
            let serving = level.serving_count * 100;
            active && sum < 1.0 && serving < level.count * u32::from(panic_percent)
        };
        let mut given = 0.0;
        for level in levels {
            if active {
                given += level.trusted() / sum.min(1.0);
            }
            // What rounding leaves beyond the last lane, one number at most, goes to the first.
            let upto = (given.min(1.0) * WHOLE as f64) as u64;
            let nodes = if panics(level) {
                level.everyone
            } else {
                level.serving
            };
            self.push(Lane { nodes, upto });
        }
    }

    fn push_rest<'a>(&mut self, members: impl Iterator<Item = &'a Member>) {
        let placed = self.lanes.iter().fold(0, |all, lane| all | lane.nodes);
        let all = members.fold(0, |all, member| all | 1 << member.index);
        self.push(Lane {
            nodes: all & !placed,
            upto: 0,
        });
    }

    fn push(&mut self, lane: Lane) {
        if lane.nodes != 0 {
            self.lanes[self.used] = lane;
            self.used += 1;
        }
    }
}

/// The nodes of one priority within a tier.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    serving: u64,
    everyone: u64,
    serving_count: u32,
    count: u32,
}

impl Level {
    fn add(&mut self, member: &Member) {
        self.everyone |= 1 << member.index;
        self.count += 1;
        if member.serves {
            self.serving |= 1 << member.index;
            self.serving_count += 1;
        }
    }

    /// The share of all calls that those who serve are enough for.
    fn trusted(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        (OVERPROVISION * f64::from(self.serving_count) / f64::from(self.count)).min(1.0)
    }
}

/// One lane for each priority in each tier, and one for the rest.
pub(super) const LANES: usize = (TIERS * PRIORITIES) as usize + 1;
/// All of 32 bits.
const WHOLE: u64 = 1 << 32;
/// How much more than its share of the calls a node is taken to be able to serve.
const OVERPROVISION: f64 = 1.4;

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use proptest::prelude::*;

    use super::*;

    fn members() -> impl Strategy<Value = Vec<Member>> {
        let role = prop_oneof![
            Just(Role::Any),
            Just(Role::Primary),
            Just(Role::Replica),
            Just(Role::ForwardingReplica),
            Just(Role::standby(true)),
            Just(Role::standby(false)),
            Just(Role::None),
        ];
        let member = (role, 0..PRIORITIES, any::<bool>());
        proptest::collection::vec(member, 0..20).prop_map(|members| {
            let numbered = (0..).zip(members);
            let member = |(index, (role, priority, serves))| Member {
                index,
                role,
                priority,
                serves,
            };
            numbered.map(member).collect()
        })
    }

    /// The share of calls that each priority is meant to get, in millionths, and whether it panics:
    /// the sentences of the module's documentation, one after another.
    fn naive(access: Access, members: &[Member], panic_percent: u64) -> Vec<(u8, u64, bool)> {
        let tier = members
            .iter()
            .filter(|it| it.serves)
            .filter_map(|it| it.role.tier(access))
            .min();
        let count = |priority: u8, serving: bool| {
            let here = members.iter().filter(|it| {
                it.priority == priority && it.role.tier(access) == tier && tier.is_some()
            });
            here.filter(|it| it.serves || !serving).count() as u64
        };
        let trusted = |priority| {
            let all = count(priority, false).max(1);
            (1_400_000 * count(priority, true) / all).min(1_000_000)
        };
        let sum: u64 = (0..PRIORITIES).map(trusted).sum();
        let mut left = 1_000_000;
        let mut shares = Vec::new();
        for priority in 0..PRIORITIES {
            let trusted = trusted(priority);
            let wanted = if sum < 1_000_000 && sum > 0 {
                trusted * 1_000_000 / sum
            } else {
                trusted
            };
            let share = wanted.min(left);
            left -= share;
            let serving = count(priority, true) * 100;
            let panics = sum < 1_000_000 && serving < count(priority, false) * panic_percent;
            shares.push((priority, share, panics));
        }
        shares
    }

    #[test]
    fn every_priority_of_every_tier_has_its_lane_and_so_have_those_that_do_not_serve() {
        let roles = [Role::Replica, Role::Primary, Role::standby(true)];
        let mut members = Vec::new();
        for role in roles {
            for priority in 0..PRIORITIES {
                members.push(Member {
                    index: members.len() as u8,
                    role,
                    priority,
                    serves: true,
                });
            }
        }
        let index = members.len() as u8;
        members.push(Member {
            index,
            serves: false,
            ..members[0]
        });
        let lanes = Plan::new(Access::Read, &members, 50).lanes;
        assert_eq!(lanes.map(|lane| lane.nodes), from_fn(|index| 1 << index));
    }

    proptest! {
        #[test]
        fn a_plan_shares_as_the_rules_say(members in members(), panic_percent in 0..=100u8) {
            for access in [Access::Read, Access::Write] {
                let plan = Plan::new(access, &members, panic_percent);
                let mut drawn = 0;
                let given = plan.lanes.map(|lane| {
                    let share = lane.upto.saturating_sub(drawn);
                    drawn = drawn.max(lane.upto);
                    share as f64 / WHOLE as f64
                });
                for (priority, share, panics) in naive(access, &members, panic_percent.into()) {
                    if share == 0 {
                        continue;
                    }
                    let tier = members.iter().filter(|it| it.serves);
                    let tier = tier.filter_map(|it| it.role.tier(access)).min();
                    let expected = members
                        .iter()
                        .filter(|it| it.role.tier(access) == tier && it.priority == priority)
                        .filter(|it| it.serves || panics)
                        .fold(0, |all, it| all | 1 << it.index);
                    let place = plan.lanes.iter().position(|lane| lane.nodes == expected);
                    let place = place.expect("a lane for each share");
                    prop_assert!((given[place] - share as f64 / 1e6).abs() < 1e-4);
                }
            }
        }

        #[test]
        fn whoever_may_take_a_call_is_in_one_lane_and_nobody_else_in_any(members in members()) {
            for access in [Access::Read, Access::Write] {
                let plan = Plan::new(access, &members, 50);
                let mut seen = 0;
                for lane in plan.lanes() {
                    prop_assert_eq!(seen & lane.nodes, 0);
                    seen |= lane.nodes;
                }
                let takers = members.iter().filter(|it| it.role.tier(access).is_some());
                prop_assert_eq!(seen, takers.fold(0, |all, it| all | 1 << it.index));
                // The first lane is never empty while there is anybody at all.
                prop_assert_eq!(plan.lanes()[0].nodes == 0, seen == 0);
            }
        }
    }
}
