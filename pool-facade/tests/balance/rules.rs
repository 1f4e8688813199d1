//! One rule each.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use backoff::{Rng as _, SplitMix64};
use pool_facade::balance::{
    Access, Balancer, InsertError, Node, NodeSet, Outcome, Policy, ProbeFailed, Request, Role,
    Standing,
};

use super::{Rig, ms};

#[test]
fn idle_nodes_share_by_weight() {
    let (mut rig, ids) = Rig::with([1, 2, 5].map(|weight| Node::new().weight(weight)));
    let shares = rig.shares(Access::Read, ids);
    for (share, part) in shares.iter().zip([1.0 / 8.0, 2.0 / 8.0, 5.0 / 8.0]) {
        assert!((share / part - 1.0).abs() < 0.1, "{shares:?}");
    }
}

#[test]
fn busy_nodes_share_by_weight() {
    let (mut rig, ids) = Rig::with([1, 2, 5].map(|weight| Node::new().weight(weight)));
    let board = rig.balancer.board().clone();
    let mut flights = Vec::new();
    for step in 0..4000 {
        let id = rig.pick(Access::Read).expect("there are nodes");
        flights.push(board.start(id).expect("there are nodes"));
        if flights.len() > 80 {
            drop(flights.swap_remove(step * 7919 % 80));
        }
    }
    let in_flight = ids.map(|id| f64::from(board.in_flight(id)));
    for (calls, expected) in in_flight.iter().zip([10.0, 20.0, 50.0]) {
        assert!((calls / expected - 1.0).abs() < 0.2, "{in_flight:?}");
    }
}

#[test]
fn many_nodes_share_alike_and_none_is_left_out() {
    let (mut rig, ids) = Rig::with([Node::new(); 20]);
    let shares = rig.shares(Access::Write, ids);
    assert!(
        shares.iter().all(|it| (0.04..0.06).contains(it)),
        "{shares:?}"
    );
}

#[test]
fn among_many_nodes_one_that_fails_at_once_gets_less_than_its_share_without_any_tick() {
    let (mut rig, ids) = Rig::with([Node::new(); 20]);
    let mut failed = 0;
    for _ in 0..10_000 {
        let id = rig.pick(Access::Read).expect("there are nodes");
        let fails = id == ids[7];
        failed += usize::from(fails);
        let outcome = if fails {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        rig.call(id, 1, outcome, ms(5));
    }
    assert!(failed < 30, "{failed} of a fair share of 500");
}

#[test]
fn writes_go_to_the_primary_and_reads_to_replicas() {
    let roles = [Role::Primary, Role::Replica, Role::Replica, Role::None];
    let (mut rig, ids) = Rig::with(roles.map(|role| Node::new().role(role)));
    assert_eq!(rig.shares(Access::Write, ids), [1.0, 0.0, 0.0, 0.0]);
    let reads = rig.shares(Access::Read, ids);
    assert_eq!((reads[0], reads[3]), (0.0, 0.0));
    assert!(reads[1] > 0.4 && reads[2] > 0.4, "{reads:?}");
}

#[test]
fn reads_go_to_the_primary_when_no_replica_serves() {
    let roles = [Role::Primary, Role::Replica];
    let (mut rig, ids) = Rig::with(roles.map(|role| Node::new().role(role)));
    rig.call(ids[1], 10, Outcome::Failure, ms(1));
    rig.tick();
    assert_eq!(rig.shares(Access::Read, ids), [1.0, 0.0]);
}

#[test]
fn a_write_without_a_primary_goes_nowhere_until_one_is_promoted() {
    let (mut rig, ids) = Rig::with([Node::new().role(Role::Replica); 2]);
    assert_eq!(rig.pick(Access::Write), None);
    rig.balancer.set_role(ids[1], Role::Primary, rig.now);
    assert_eq!(rig.pick(Access::Write), Some(ids[1]));
}

#[test]
fn a_standby_is_used_when_it_forwards_and_no_active_member_serves() {
    let roles = [Role::Any, Role::standby(true), Role::standby(false)];
    let (mut rig, ids) = Rig::with(roles.map(|role| Node::new().role(role)));
    assert_eq!(rig.shares(Access::Write, ids), [1.0, 0.0, 0.0]);
    rig.call(ids[0], 10, Outcome::Failure, ms(1));
    rig.tick();
    assert_eq!(rig.shares(Access::Write, ids), [0.0, 1.0, 0.0]);
}

#[test]
fn the_own_zone_is_left_only_for_half_the_cost() {
    let (mut rig, ids) = Rig::with([Node::new(), Node::new().near(false)]);
    let board = rig.balancer.board().clone();
    let _one = board.start(ids[0]);
    assert_eq!(rig.shares(Access::Read, ids), [1.0, 0.0]);
    let _two = board.start(ids[0]);
    assert_eq!(rig.shares(Access::Read, ids), [0.0, 1.0]);
}

#[test]
fn the_own_zone_is_left_at_its_limit_for_any_lower_cost() {
    let (mut rig, ids) = Rig::with([Node::new().limit(3), Node::new().near(false)]);
    let board = rig.balancer.board().clone();
    let _here = [(); 2].map(|()| board.start(ids[0]));
    let there = board.start(ids[1]);
    assert_eq!(rig.shares(Access::Read, ids), [1.0, 0.0]);
    let _third = board.start(ids[0]);
    let _second = board.start(ids[1]);
    assert_eq!(rig.shares(Access::Read, ids), [0.0, 1.0]);
    drop(there);
}

#[test]
fn a_priority_is_trusted_with_more_than_the_share_that_serves_and_the_rest_spills_over() {
    let priorities = [0, 0, 0, 0, 0, 1];
    let (mut rig, ids) = Rig::with(priorities.map(|it| Node::new().priority(it)));
    let spilled = |rig: &mut Rig| rig.shares(Access::Read, ids)[5];
    let mut at = Vec::new();
    for id in ids.into_iter().take(5) {
        at.push(spilled(&mut rig));
        rig.call(id, 10, Outcome::Failure, ms(1));
        rig.tick();
    }
    at.push(spilled(&mut rig));
    // 5, 4, 3, 2, 1 and 0 of 5 serve, times 1.4.
    for (spilled, expected) in at.iter().zip([0.0, 0.0, 0.16, 0.44, 0.72, 1.0]) {
        assert!((spilled - expected).abs() < 0.02, "{at:?}");
    }
}

#[test]
fn below_the_panic_threshold_health_is_ignored() {
    let (mut rig, ids) = Rig::with([Node::new(); 5]);
    for (failed, id) in ids.into_iter().enumerate().take(3) {
        assert_eq!(rig.balancer.nodes().count(), 5);
        let shares = rig.shares(Access::Read, ids);
        assert!(shares[..failed].iter().all(|it| *it == 0.0), "{shares:?}");
        // Just enough to leave the rotation, and no price that nobody would pay.
        rig.call(id, 3, Outcome::Failure, ms(1));
        rig.tick();
    }
    // Two of five serve. At their price the others are candidates again.
    let board = rig.balancer.board().clone();
    let _busy = [ids[3], ids[4]].map(|id| [(); 9].map(|()| board.start(id)));
    let shares = rig.shares(Access::Read, ids);
    assert!(shares[..3].iter().all(|it| *it > 0.2), "{shares:?}");
}

#[test]
fn the_only_node_is_picked_whatever_is_thought_of_it() {
    let (mut rig, [id]) = Rig::with([Node::new()]);
    rig.call(id, 1000, Outcome::Failure, ms(1));
    rig.balancer.on_belief(id, false);
    rig.tick();
    assert_eq!(rig.pick(Access::Read), Some(id));
    let mut tried = NodeSet::new();
    tried.insert(id);
    assert_eq!(rig.pick_but(Access::Read, tried), None);
}

#[test]
fn a_node_that_failed_is_probed_each_second_and_comes_back_slowly() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    let mut probed = Vec::new();
    let start = rig.now;
    let back = loop {
        let verdict = rig.tick();
        for id in verdict.probes {
            assert_eq!(id, ids[0]);
            probed.push(rig.now - start);
            rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
        }
        let returned = verdict.changes.iter().find(|it| it.to.serves());
        if returned.is_some() {
            break rig.now - start;
        }
    };
    assert!(
        probed.windows(2).all(|it| it[1] - it[0] == ms(1000)),
        "{probed:?}"
    );
    assert!(back <= ms(5000), "{back:?}");
    let early = rig.shares(Access::Read, ids)[0];
    rig.pass(Duration::from_secs(5));
    let later = rig.shares(Access::Read, ids)[0];
    rig.pass(Duration::from_secs(5));
    let whole = rig.shares(Access::Read, ids)[0];
    assert!(
        early < 0.06 && later > 0.15 && later < 0.25,
        "{early} {later}"
    );
    assert!((whole - 1.0 / 3.0).abs() < 0.02, "{whole}");
}

#[test]
fn a_probe_that_never_ends_does_not_end_probing_and_is_not_doubled() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    let probes: usize = (0..100).map(|_| rig.tick().probes.len()).sum();
    assert!((3..=5).contains(&probes), "{probes} in 20 s");
}

#[test]
fn a_failed_probe_keeps_a_node_out() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    for _ in 0..200 {
        for id in rig.tick().probes {
            rig.balancer.on_probe(id, Err(ProbeFailed), rig.now);
        }
    }
    assert_eq!(rig.shares(Access::Read, ids)[0], 0.0);
}

#[test]
fn a_health_check_that_lies_well_of_a_failing_node_is_believed_ever_more_rarely() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    let (mut failed, mut changes) = (0, 0);
    for _ in 0..5 * 120 {
        for _ in 0..20 {
            let id = rig.pick(Access::Read).expect("there are nodes");
            let outcome = if id == ids[0] {
                Outcome::Failure
            } else {
                Outcome::Success
            };
            failed += usize::from(id == ids[0]);
            rig.call(id, 1, outcome, ms(5));
        }
        let verdict = rig.tick();
        changes += verdict.changes.len();
        for id in verdict.probes {
            rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
        }
    }
    assert!(changes <= 14, "{changes} changes in 120 s");
    assert!(failed <= 60, "{failed} of 12000 calls failed");
}

#[test]
fn a_health_check_that_lies_ill_of_a_node_is_disproved_by_its_calls() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    rig.call(ids[0], 1, Outcome::Success, ms(5));
    rig.balancer.on_belief(ids[0], false);
    for _ in 0..50 {
        rig.call(ids[0], 1, Outcome::Success, ms(5));
        assert!(rig.tick().changes.is_empty());
    }
    // Nothing speaks for the node any more.
    rig.pass(Duration::from_secs(3));
    let view = rig.balancer.view(ids[0], rig.now).expect("a node");
    assert_eq!(view.standing, Standing::Down);
}

#[test]
fn after_several_faults_a_node_that_serves_its_calls_is_not_kept_waiting() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    // Both fail for 4 s, again and again: the damping has grown.
    for _ in 0..4 {
        for id in ids {
            rig.balancer.on_belief(id, false);
        }
        for _ in 0..5 * 4 {
            for id in ids {
                rig.call(id, 10, Outcome::Failure, ms(1));
            }
            for id in rig.tick().probes {
                rig.balancer.on_probe(id, Err(ProbeFailed), rig.now);
            }
        }
        for id in ids {
            rig.balancer.on_belief(id, true);
        }
        for _ in 0..5 * 10 {
            for id in rig.tick().probes {
                rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
            }
        }
    }
    for id in ids {
        rig.balancer.on_belief(id, false);
        rig.call(id, 20, Outcome::Failure, ms(1));
    }
    rig.tick();
    let view = |rig: &Rig, id| rig.balancer.view(id, rig.now).expect("a node");
    assert!(ids.iter().all(|id| view(&rig, *id).damping > ms(5000)));
    // From now on all calls succeed, five a second, while the health check goes on saying ill.
    let healed = rig.now;
    while !ids.iter().all(|id| view(&rig, *id).standing.serves()) {
        for id in ids {
            rig.call(id, 1, Outcome::Success, ms(5));
        }
        for id in rig.tick().probes {
            rig.balancer.on_probe(id, Err(ProbeFailed), rig.now);
        }
        assert!(rig.now - healed <= ms(5000), "{:?}", view(&rig, ids[0]));
    }
    // Nobody was deceived: the next fault finds the damping as it was at first.
    rig.balancer.on_belief(ids[0], true);
    rig.pass(ms(1000));
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    rig.tick();
    assert_eq!(view(&rig, ids[0]).standing, Standing::Failing);
    assert_eq!(view(&rig, ids[0]).damping, ms(1000));
}

#[test]
fn a_node_that_has_deceived_its_probes_is_out_again_as_soon_as_calls_fail() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    let view = |rig: &Rig| rig.balancer.view(ids[0], rig.now).expect("a node");
    for _ in 0..4 {
        rig.call(ids[0], 10, Outcome::Failure, ms(1));
        while view(&rig).standing.serves() {
            rig.tick();
        }
        while !view(&rig).standing.serves() {
            for id in rig.tick().probes {
                rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
            }
        }
    }
    assert!(view(&rig).damping > ms(5000));
    rig.call(ids[0], 10, Outcome::Failure, ms(1));
    rig.pass(ms(1000));
    assert_eq!(view(&rig).standing, Standing::Failing);
}

#[test]
fn a_probe_is_no_proof_of_speed_where_calls_are_slow() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    let mut slow_calls = 0;
    for id in ids {
        rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
    }
    for _ in 0..5 * 60 {
        for _ in 0..20 {
            let id = rig.pick(Access::Read).expect("there are nodes");
            slow_calls += usize::from(id == ids[0]);
            let took = if id == ids[0] { ms(50) } else { ms(5) };
            rig.call(id, 1, Outcome::Success, took);
        }
        for id in rig.tick().probes {
            rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
        }
    }
    assert!(
        slow_calls < 120,
        "{slow_calls} of 6000 calls, a fair share being 2000"
    );
}

#[test]
fn what_probes_took_in_good_times_does_not_make_a_slow_node_look_better() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    for id in ids {
        rig.balancer.on_probe(id, Ok(ms(4)), rig.now);
        rig.call(id, 50, Outcome::Success, ms(10));
    }
    rig.tick();
    rig.call(ids[1], 50, Outcome::Success, ms(100));
    rig.pass(Duration::from_secs(2));
    rig.balancer.on_probe(ids[1], Ok(ms(94)), rig.now);
    let view = rig.balancer.view(ids[1], rig.now).expect("a node");
    assert_eq!(view.standing, Standing::Slow);
    assert!(view.latency.is_some_and(|it| it >= ms(80)), "{view:?}");
}

#[test]
fn silence_brings_no_failing_node_back_and_makes_a_dear_one_cheaper() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    for id in ids {
        rig.call(
            id,
            20,
            Outcome::Success,
            if id == ids[0] { ms(8) } else { ms(5) },
        );
    }
    rig.call(ids[1], 20, Outcome::Failure, ms(1));
    rig.pass(Duration::from_secs(60));
    let view = |id| rig.balancer.view(id, rig.now).expect("a node");
    assert_eq!(view(ids[1]).standing, Standing::Failing);
    assert!(view(ids[0]).latency.is_some_and(|it| it < ms(6)));
}

#[test]
fn a_removed_node_takes_no_new_call_and_its_place_waits_for_the_old_ones() {
    let (mut rig, ids) = Rig::with([Node::new(); 64]);
    let board = rig.balancer.board().clone();
    let old = board.start(ids[3]).expect("a node");
    assert!(rig.balancer.remove(ids[3], rig.now));
    assert!(!rig.balancer.remove(ids[3], rig.now));
    assert!(board.start(ids[3]).is_none());
    assert_eq!(
        rig.balancer.insert(Node::new(), rig.now),
        Err(InsertError::Full)
    );
    old.settle(Outcome::Failure, None);
    let new = rig
        .balancer
        .insert(Node::new(), rig.now)
        .expect("a place is free");
    assert_eq!(new.index(), ids[3].index());
    assert_ne!(new, ids[3]);
    // What the old one's calls came to is not held against the new one.
    rig.tick();
    let view = rig.balancer.view(new, rig.now).expect("a node");
    assert_eq!((view.error_rate, view.in_flight), (0.0, 0));
}

#[test]
fn threads_that_call_while_nodes_come_and_go_leave_no_call_behind() {
    let (mut rig, ids) = Rig::with([Node::new(); 4]);
    let board = rig.balancer.board().clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (board, done) = (&board, &done);
            scope.spawn(move || {
                let mut random = SplitMix64::from_seed(thread);
                while !done.load(Relaxed) {
                    let request = Request::new(Access::Read);
                    let id = board.pick(&request, random.next_u64());
                    if let Some(flight) = id.and_then(|id| board.start(id)) {
                        flight.settle(Outcome::Success, None);
                    }
                }
            });
        }
        for round in 0..500 {
            let id = rig.balancer.nodes().nth(round % 3);
            rig.balancer.remove(id.expect("a node"), rig.now);
            rig.tick();
            while rig.balancer.insert(Node::new(), rig.now).is_err() {
                std::thread::yield_now();
            }
        }
        done.store(true, Relaxed);
    });
    assert_eq!(rig.balancer.nodes().count(), 4);
    let left = rig
        .balancer
        .nodes()
        .chain(ids)
        .map(|id| board.in_flight(id));
    assert_eq!(left.sum::<u32>(), 0);
}

#[test]
fn a_bad_node_and_a_bad_policy_are_refused() {
    let mut rig = Rig::new();
    let now = rig.now;
    let mut refusal = |node| rig.balancer.insert(node, now).expect_err("invalid");
    assert_eq!(refusal(Node::new().weight(0)), InsertError::Weight(0));
    assert_eq!(refusal(Node::new().weight(1001)), InsertError::Weight(1001));
    assert_eq!(refusal(Node::new().priority(4)), InsertError::Priority(4));
    let policy = Policy::new()
        .probe_interval(Duration::ZERO)
        .damping(ms(2000), ms(1000))
        .panic_percent(101);
    let errors = Balancer::new(policy).expect_err("invalid");
    assert_eq!(
        errors.to_string(),
        "invalid balancing policy: probe_interval is 0ns, but must be from 10ms to 1h; \
         longest_damping is 1s, but must not be less than damping; \
         panic_percent is 101, but must be at most 100"
    );
    let fields: Vec<_> = errors.violations().iter().map(|it| it.field).collect();
    assert_eq!(
        fields,
        ["probe_interval", "longest_damping", "panic_percent"]
    );
    let extreme = Policy::new().damping(ms(10), ms(10)).panic_percent(100);
    assert_eq!(extreme.check(), Ok(()));
}

#[test]
fn names_and_errors_have_their_words() {
    let (rig, ids) = Rig::with([Node::new(); 2]);
    assert_eq!(ids.map(|id| id.to_string()), ["0.1", "1.1"]);
    assert_eq!(rig.balancer.nodes().count(), 2);
    let words = [
        ProbeFailed.to_string(),
        InsertError::Full.to_string(),
        InsertError::Weight(1001).to_string(),
        InsertError::Priority(4).to_string(),
    ];
    assert_eq!(
        words,
        [
            "the probe failed",
            "there is room for 64 nodes only",
            "weight is 1001, but must be from 1 to 1000",
            "priority is 4, but must be from 0 to 3",
        ]
    );
}

#[test]
fn a_set_holds_what_was_put_in() {
    let (_, ids) = Rig::with([Node::new(); 64]);
    let mut set = NodeSet::new();
    assert!(set.is_empty());
    for (count, id) in ids.into_iter().enumerate() {
        set.insert(id);
        assert!(!set.is_empty());
        assert_eq!(
            ids.iter().filter(|it| set.contains(**it)).count(),
            count + 1
        );
    }
}

#[test]
fn weights_and_limits_can_be_changed() {
    let nodes = [Node::new(), Node::new().near(false), Node::new()];
    let (mut rig, ids) = Rig::with(nodes);
    let now = rig.now;
    assert_eq!(rig.balancer.set_weight(ids[0], 3, now), Ok(true));
    let shares = rig.shares(Access::Read, ids);
    assert!((shares[0] - 0.75).abs() < 0.02, "{shares:?}");
    let refused = rig.balancer.set_weight(ids[0], 0, now);
    assert_eq!(refused, Err(InsertError::Weight(0)));

    assert!(rig.balancer.remove(ids[2], now));
    assert_eq!(rig.balancer.set_weight(ids[2], 3, now), Ok(false));
    assert!(!rig.balancer.set_limit(ids[2], 3, now));

    // Of three calls on its way a node of weight 3 is not twice as dear as another one.
    let board = rig.balancer.board().clone();
    let _calls = [(); 3].map(|()| board.start(ids[0]));
    assert_eq!(rig.shares(Access::Read, ids), [1.0, 0.0, 0.0]);
    assert!(rig.balancer.set_limit(ids[0], 3, now));
    assert_eq!(rig.shares(Access::Read, ids), [0.0, 1.0, 0.0]);
}
