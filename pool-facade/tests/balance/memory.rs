//! What is remembered of a node: calls keep it fresh, silence fades it.

use std::time::Duration;

use pool_facade::balance::{Access, Node, NodeId, NodeView, Outcome, ProbeFailed, Standing};

use super::{Rig, ms};

fn view(rig: &Rig, id: NodeId) -> NodeView {
    rig.balancer.view(id, rig.now).expect("a node")
}

#[test]
fn what_calls_show_is_not_forgotten_as_long_as_there_are_any() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    for _ in 0..5 * 60 {
        for (id, took) in ids.into_iter().zip([5, 5, 8]) {
            rig.call(id, 1, Outcome::Success, ms(took));
        }
        rig.tick();
    }
    assert_eq!(view(&rig, ids[2]).latency, Some(ms(8)));
    rig.pass(Duration::from_secs(10));
    let latency = view(&rig, ids[2]).latency.expect("it was measured");
    assert!(latency > ms(6) && latency < ms(7), "{latency:?}");
}

#[test]
fn a_failure_is_a_tenth_at_first_and_a_third_of_that_after_ten_seconds_of_silence() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    rig.call(ids[0], 1, Outcome::Failure, ms(1));
    rig.tick();
    let error_rate = view(&rig, ids[0]).error_rate;
    assert!((error_rate - 0.1).abs() < 1e-9, "{error_rate}");
    rig.pass(Duration::from_secs(10));
    let error_rate = view(&rig, ids[0]).error_rate;
    assert!((error_rate - 0.0368).abs() < 1e-3, "{error_rate}");
}

#[test]
fn a_node_that_leaves_the_rotation_is_probed_one_interval_later() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    assert_eq!(rig.tick().changes.len(), 1);
    let left = rig.now;
    while rig.tick().probes.is_empty() {}
    assert_eq!(rig.now - left, ms(1000));
}

#[test]
fn probes_of_which_every_other_fails_bring_no_node_back() {
    let (mut rig, ids) = Rig::with([Node::new(); 2]);
    rig.call(ids[0], 20, Outcome::Failure, ms(1));
    let mut good = false;
    for _ in 0..5 * 60 {
        for id in rig.tick().probes {
            good = !good;
            let result = if good { Ok(ms(1)) } else { Err(ProbeFailed) };
            rig.balancer.on_probe(id, result, rig.now);
        }
    }
    assert_eq!(rig.shares(Access::Read, ids), [0.0, 1.0]);
}

#[test]
fn a_health_check_that_wavers_is_believed_ever_more_rarely() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    let mut dampings = Vec::new();
    for _ in 0..6 {
        rig.balancer.on_belief(ids[0], false);
        while view(&rig, ids[0]).standing != Standing::Down {
            rig.tick();
        }
        dampings.push(view(&rig, ids[0]).damping.as_secs());
        rig.balancer.on_belief(ids[0], true);
        while !view(&rig, ids[0]).standing.serves() {
            for id in rig.tick().probes {
                rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
            }
        }
    }
    assert_eq!(dampings, [1, 2, 4, 8, 16, 30]);
}

#[test]
fn a_slow_node_is_as_slow_as_its_probes_are_by_those_of_the_good_ones() {
    let (mut rig, ids) = Rig::with([Node::new(); 3]);
    for id in ids {
        rig.balancer.on_probe(id, Ok(ms(1)), rig.now);
        rig.call(id, 50, Outcome::Success, ms(5));
    }
    rig.tick();
    rig.call(ids[0], 50, Outcome::Success, ms(100));
    rig.tick();
    assert_eq!(view(&rig, ids[0]).standing, Standing::Slow);
    while rig.tick().probes.is_empty() {}
    rig.balancer.on_probe(ids[0], Ok(ms(10)), rig.now);
    assert_eq!(view(&rig, ids[0]).latency, Some(ms(50)));
}
