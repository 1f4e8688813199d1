//! Who is picked, at the border of each rule of cost.

use pool_facade::balance::{Access, Board, Flight, Node, NodeId, NodeSet, Outcome, Role};

use super::{Rig, ms};

fn busy(board: &Board, id: NodeId, calls: usize) -> Vec<Option<Flight<&Board>>> {
    (0..calls).map(|_| board.start(id)).collect()
}

#[test]
fn eight_candidates_are_compared_one_with_another() {
    let (mut rig, ids) = Rig::with([Node::new(); 8]);
    let board = rig.balancer.board().clone();
    let _calls: Vec<_> = ids[1..].iter().map(|id| busy(&board, *id, 20)).collect();
    assert!(rig.shares(Access::Read, ids)[0] > 0.999);
}

#[test]
fn of_nine_candidates_two_are_compared_and_they_are_never_the_same() {
    let (mut rig, ids) = Rig::with([Node::new(); 9]);
    let board = rig.balancer.board().clone();
    let _calls = busy(&board, ids[4], 20);
    let shares = rig.shares(Access::Read, ids);
    assert_eq!(shares[4], 0.0);
    let fair = |share: &f64| (0.11..0.14).contains(share);
    assert_eq!(shares.iter().filter(|it| fair(it)).count(), 8, "{shares:?}");
}

#[test]
fn each_failure_that_no_tick_has_seen_makes_a_node_1_37_times_as_dear() {
    // Ten of them: 23.6 times.
    for (calls, preferred) in [(19, 1), (27, 0)] {
        let (mut rig, ids) = Rig::with([Node::new(); 2]);
        let board = rig.balancer.board().clone();
        rig.call(ids[0], 10, Outcome::Failure, ms(1));
        let _calls = busy(&board, ids[1], calls);
        let shares = rig.shares(Access::Read, ids);
        assert!(shares[preferred] > 0.9, "{calls}: {shares:?}");
    }
}

#[test]
fn a_node_that_goes_on_failing_while_no_tick_comes_is_not_out_of_reach() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    let board = rig.balancer.board().clone();
    rig.call(ids[0], 1000, Outcome::Failure, ms(1));
    assert_eq!(rig.shares(Access::Read, ids), [0.0, 1.0]);
    let _calls = busy(&board, ids[1], 2500);
    assert_eq!(rig.shares(Access::Read, ids), [1.0, 0.0]);
}

#[test]
fn while_those_that_serve_are_enough_others_are_the_last_resort() {
    let replica = Node::new().role(Role::Replica);
    let primary = Node::new().role(Role::Primary);
    let (mut rig, ids) = Rig::with([replica, replica.priority(1), primary]);
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    rig.tick();
    let mut tried = NodeSet::new();
    for expected in [ids[1], ids[2], ids[0]] {
        assert_eq!(rig.pick_but(Access::Read, tried), Some(expected));
        tried.insert(expected);
    }
    assert_eq!(rig.pick_but(Access::Read, tried), None);
}
