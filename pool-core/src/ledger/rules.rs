//! The rules of the books, one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Wake;

use super::*;
use crate::ErrorKind;
use crate::runtime::{Timer, Tokio};

const GRACE: Duration = Duration::from_millis(100);
const INSTANT: Duration = Duration::from_nanos(1);

/// A ledger of `slots` slots, all of them lent.
fn lent(slots: usize) -> (Ledger<()>, Vec<OwnedSlot>) {
    let mut ledger = Ledger::new(slots, 0, 1);
    let lent = (0..slots).map(|_| ledger.adopt().expect("room")).collect();
    (ledger, lent)
}

fn join(ledger: &mut Ledger<()>) -> WaiterId {
    ledger.queue.join(Waker::noop().clone(), false)
}

fn offer(ledger: &mut Ledger<()>, slot: OwnedSlot) {
    let mut wakes = Wakes::default();
    assert_eq!(ledger.hand_over(slot, &mut wakes), HandOver::Offered);
    assert_eq!(count(&wakes), 1, "who gets an offer is woken");
}

fn revoke(ledger: &mut Ledger<()>, now: Instant) -> (usize, usize) {
    let mut wakes = Wakes::default();
    (ledger.revoke(now, GRACE, &mut wakes), count(&wakes))
}

fn count(wakes: &Wakes) -> usize {
    wakes.first.iter().chain(&wakes.rest).count()
}

fn now() -> Instant {
    Tokio::default().now()
}

#[test]
fn as_many_connects_are_wanted_as_serve_the_waiters_and_the_idle_minimum() {
    // Waiters, minimum, idle, warming, evidence, connecting, revoked: wanted.
    let table = [
        ((0, 0, 0, 0, false, 0, 0), 0),
        ((3, 0, 0, 0, false, 0, 0), 3),
        ((2, 3, 0, 0, true, 0, 0), 6),
        ((0, 0, 0, 0, true, 0, 0), 1),
        ((0, 5, 2, 1, false, 0, 0), 2),
        ((0, 5, 1, 3, false, 0, 0), 1),
        ((5, 0, 0, 0, false, 2, 1), 2),
        ((5, 0, 0, 0, false, 3, 2), 0),
        ((30, 0, 0, 0, false, 0, 0), 8),
        ((30, 0, 0, 0, false, 3, 0), 5),
    ];
    for (row, wanted) in table {
        let (waiters, min_idle, idle, warming, evidence, connecting, revoked) = row;
        let mut ledger = Ledger::<()>::new(20, min_idle, 8);
        (ledger.warming, ledger.evidence) = (warming, evidence);
        (ledger.occupied, ledger.connecting) = (10, connecting);
        for _ in 0..waiters {
            join(&mut ledger);
        }
        for _ in 0..revoked {
            ledger.claimable.push_back(Claimable {
                slot: OwnedSlot::any(),
                width: 1,
                wake_at: now(),
            });
        }
        assert_eq!(ledger.wanted_connects(|| idle), wanted, "{row:?}");
        for (occupied, room) in [(18, 2), (20, 0), (21, 0)] {
            ledger.occupied = occupied;
            assert_eq!(ledger.wanted_connects(|| idle), wanted.min(room), "{row:?}");
        }
        ledger.occupied = 10;
        ledger.closed = true;
        assert_eq!(ledger.wanted_connects(|| idle), 0, "closed");
        (ledger.closed, ledger.suspended) = (false, true);
        assert_eq!(ledger.wanted_connects(|| idle), 0, "suspended");
    }
}

#[test]
fn a_connection_is_added_below_the_target_and_before_the_pool_is_closed() {
    let mut ledger = Ledger::<()>::new(2, 0, 1);
    assert!(ledger.adopt().is_some() && ledger.adopt().is_some());
    assert_eq!(ledger.adopt(), None);
    ledger.target = 3;
    ledger.closed = true;
    assert_eq!(ledger.adopt(), None);
    ledger.closed = false;
    assert!(ledger.adopt().is_some());
    assert_eq!(ledger.occupied, 3);
}

#[test]
fn what_is_neither_idle_nor_connecting_nor_closing_is_lent() {
    let mut ledger = Ledger::<()>::new(20, 0, 8);
    (ledger.occupied, ledger.connecting, ledger.closing) = (15, 4, 3);
    assert_eq!(ledger.lent(2), 6);
    assert_eq!(ledger.lent(8), 0);
    assert_eq!(
        ledger.lent(9),
        0,
        "a return may be seen in two places for a moment"
    );
}

#[test]
fn exactly_the_surplus_is_closed() {
    let (mut ledger, mut slots) = lent(5);
    ledger.target = 3;
    let mut wakes = Wakes::default();
    for surplus in [2, 1] {
        assert_eq!(ledger.surplus(), surplus);
        let next = slots.pop().unwrap();
        let HandOver::Close(_, CloseReason::Surplus) = ledger.hand_over(next, &mut wakes) else {
            panic!("{surplus} too many, and none is closed");
        };
    }
    assert_eq!(ledger.surplus(), 0);
    let next = slots.pop().unwrap();
    assert!(matches!(
        ledger.hand_over(next, &mut wakes),
        HandOver::Idle(_)
    ));
    ledger.closed = true;
    let next = slots.pop().unwrap();
    let HandOver::Close(_, CloseReason::PoolClosed) = ledger.hand_over(next, &mut wakes) else {
        panic!("a closed pool keeps nothing");
    };
    assert_eq!(ledger.closing, 3);
}

#[test]
fn nobody_is_served_while_the_pool_is_suspended() {
    let (mut ledger, mut slots) = lent(1);
    join(&mut ledger);
    ledger.suspended = true;
    let mut wakes = Wakes::default();
    let slot = slots.pop().unwrap();
    let HandOver::Idle(slot) = ledger.hand_over(slot, &mut wakes) else {
        panic!("offered");
    };
    ledger.on_vacancy(&mut wakes);
    assert_eq!(count(&wakes), 0);
    ledger.suspended = false;
    offer(&mut ledger, slot);
}

#[test]
fn an_offer_is_revoked_when_its_grace_is_over_and_another_waits() {
    let (mut ledger, slots) = lent(2);
    let now = now();
    for slot in slots {
        join(&mut ledger);
        offer(&mut ledger, slot);
    }
    assert_eq!(revoke(&mut ledger, now), (0, 0), "seen for the first time");
    let over = now + GRACE;
    assert_eq!(revoke(&mut ledger, over), (0, 0), "nobody else waits");
    assert_eq!(
        (ledger.revoke_at(GRACE), ledger.has_revoked()),
        (None, false)
    );
    join(&mut ledger);
    assert_eq!(ledger.revoke_at(GRACE), Some(over));
    assert_eq!(revoke(&mut ledger, over - INSTANT), (0, 0));
    assert_eq!(revoke(&mut ledger, over), (2, 1));
    assert!(ledger.has_revoked());
    assert_eq!(ledger.revoke_at(GRACE), Some(over + REWAKE));
    assert!(ledger.claim().is_some() && ledger.claim().is_some());
    assert_eq!((ledger.claim(), ledger.has_revoked()), (None, false));
}

#[test]
fn an_offer_that_was_taken_does_not_make_the_next_one_old() {
    let (mut ledger, mut slots) = lent(1);
    let now = now();
    let first = join(&mut ledger);
    offer(&mut ledger, slots.pop().unwrap());
    revoke(&mut ledger, now);
    let (Turn::Offered(slot, _), _) = ledger.queue.remove(first) else {
        panic!("not offered");
    };
    assert_eq!(join(&mut ledger), first, "the place is used again");
    offer(&mut ledger, slot);
    join(&mut ledger);
    assert_eq!(revoke(&mut ledger, now + GRACE).0, 0);
    assert_eq!(revoke(&mut ledger, now + GRACE * 2).0, 1);
}

#[test]
fn for_a_revoked_offer_twice_as_many_are_woken_each_time_and_then_everybody() {
    let (mut ledger, mut slots) = lent(1);
    let mut now = now();
    for _ in 0..=300 {
        join(&mut ledger);
    }
    offer(&mut ledger, slots.pop().unwrap());
    revoke(&mut ledger, now);
    now += GRACE;
    let mut woken = 0;
    for wanted in [1, 2, 4, 8, 16, 32, 64, 128, 300] {
        assert_eq!(
            revoke(&mut ledger, now - INSTANT).1,
            0,
            "before the {wanted}"
        );
        woken += revoke(&mut ledger, now).1;
        assert_eq!(woken, wanted);
        now += REWAKE;
    }
}

#[test]
fn what_was_revoked_is_left_to_those_who_wait_unless_the_pool_is_closed() {
    let (mut ledger, mut slots) = lent(1);
    let now = now();
    let (absent, other) = (join(&mut ledger), join(&mut ledger));
    offer(&mut ledger, slots.pop().unwrap());
    revoke(&mut ledger, now);
    assert_eq!(revoke(&mut ledger, now + GRACE).0, 1);
    assert_eq!(ledger.take_unclaimed().len(), 0);
    ledger.closed = true;
    let mut taken = ledger.take_unclaimed();
    assert_eq!((taken.len(), ledger.has_revoked()), (1, false));
    ledger.closed = false;
    ledger.claimable.push_back(Claimable {
        slot: taken.pop_front().unwrap(),
        width: 1,
        wake_at: now,
    });
    for waiter in [absent, other] {
        assert_eq!(ledger.take_unclaimed().len(), 0);
        drop(ledger.queue.remove(waiter));
    }
    assert_eq!(ledger.take_unclaimed().len(), 1, "nobody is left");
}

#[test]
fn the_first_wait_after_a_tick_is_measured_and_one_in_eight() {
    let mut ledger = Ledger::<()>::new(1, 0, 1);
    for tick in 1..4 {
        for begun in 0..40 {
            ledger.tally.begun = tick * 40 + begun + 3;
            let measured = begun == 0 || ledger.tally.begun % 8 == 0;
            assert_eq!(ledger.measures(tick), measured, "{begun}");
        }
    }
}

#[test]
fn the_refused_are_told_why_and_woken() {
    let mut ledger = Ledger::<()>::new(1, 0, 1);
    let refusal = |kind| Refusal { kind, cause: None };
    let waiters: Vec<_> = (0..4).map(|_| join(&mut ledger)).collect();
    let mut wakes = Wakes::default();
    ledger.refuse_first(refusal(ErrorKind::Connect), &mut wakes);
    assert_eq!((count(&wakes), ledger.queue.unserved()), (1, 3));
    ledger.refuse_all(|| refusal(ErrorKind::Closed), &mut wakes);
    assert_eq!((count(&wakes), ledger.queue.unserved()), (4, 0));
    let kinds = waiters.iter().map(|it| match ledger.queue.turn(*it) {
        Turn::Refused(refusal) => Some(refusal.kind),
        _ => None,
    });
    let [first, others @ ..] = &kinds.collect::<Vec<_>>()[..] else {
        panic!("nobody");
    };
    assert_eq!(*first, Some(ErrorKind::Connect));
    assert!(others.iter().all(|it| *it == Some(ErrorKind::Closed)));
    ledger.refuse_first(refusal(ErrorKind::Connect), &mut wakes);
    assert_eq!(count(&wakes), 4, "nobody is refused twice");
}

#[test]
fn room_for_one_more_wakes_the_first_and_an_empty_pool_those_who_close_it() {
    // Target and occupied: are a waiter and a closer woken?
    for (target, occupied, woken) in [(2, 0, 2), (2, 1, 1), (2, 2, 0), (2, 3, 0), (0, 0, 1)] {
        let (mut ledger, _lent) = lent(occupied);
        ledger.target = target;
        join(&mut ledger);
        join(&mut ledger);
        ledger.drain.push(Waker::noop().clone());
        let mut wakes = Wakes::default();
        ledger.on_vacancy(&mut wakes);
        assert_eq!(count(&wakes), woken, "{occupied} of {target}");
        assert_eq!(ledger.drain.is_empty(), occupied == 0);
    }
}

#[test]
fn books_that_do_not_add_up_are_noticed() {
    let wrong: [fn(&mut Ledger<()>); 3] = [
        |it| it.closing += 3,
        |it| (it.connecting, it.closing) = (2, 1),
        |it| it.occupied += 1,
    ];
    for spoil in wrong {
        let (mut ledger, _lent) = lent(2);
        ledger.check();
        spoil(&mut ledger);
        let check = std::panic::AssertUnwindSafe(|| ledger.check());
        assert!(std::panic::catch_unwind(check).is_err());
    }
}

#[test]
fn everybody_is_woken_once_though_a_waker_panics() {
    struct Counting(AtomicUsize);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            let before = self.0.fetch_add(1, Relaxed);
            assert!(before != 1, "the second panics");
        }
    }
    let counting = Arc::new(Counting(AtomicUsize::new(0)));
    let mut wakes = Wakes::default();
    for _ in 0..4 {
        wakes.push(Some(Waker::from(Arc::clone(&counting))));
        wakes.push(None);
    }
    wakes.wake();
    assert_eq!(counting.0.load(Relaxed), 4);
}
