//! The books of a pool: how many slots are in use for what, and who waits.
//!
//! A pure machine behind the pool's one lock. It reads no clock, wakes nobody and calls no user
//! code; it says who is to be woken. The invariant, checked after every change in debug builds:
//! `connecting + closing <= occupied`, and `occupied` is at most the largest target since the pool
//! was last within it.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::CloseReason;
use crate::queue::{Discipline, Queue, Refusal, Turn, WaiterId};
use crate::slot::{OwnedSlot, Unused};
use crate::stats::Tally;

/// What is guarded by the pool's lock.
#[derive(Debug)]
pub(crate) struct Ledger<E> {
    pub(crate) queue: Queue<E>,
    /// The most slots that may be occupied.
    pub(crate) target: usize,
    pub(crate) min_idle: usize,
    /// Connections that count as idle because they are being opened only to become so.
    pub(crate) warming: usize,
    pub(crate) max_connecting: usize,
    /// One connect is wanted to learn whether the server still takes new ones.
    pub(crate) evidence: bool,
    pub(crate) suspended: bool,
    pub(crate) closed: bool,
    /// Slots that are not vacant.
    pub(crate) occupied: usize,
    pub(crate) connecting: usize,
    pub(crate) closing: usize,
    pub(crate) tally: Tally,
    /// The coarse time at which a wait was last chosen to be measured.
    measured_ns: u64,
    /// The most slots that were ever lent at once, as seen when somebody had to wait or at a tick.
    pub(crate) peak_leased: usize,
    vacant: Vec<OwnedSlot>,
    unused: Unused,
    /// Offers of connections that may still be open, oldest first.
    offers: VecDeque<Offer>,
    /// How many offers there were.
    offered: u64,
    /// Slots whose offer was revoked; the next waiter to be polled takes one.
    claimable: VecDeque<Claimable>,
    /// Slots whose offer was revoked and which nobody claimed before the pool was closed.
    pub(crate) orphans: Vec<OwnedSlot>,
    /// When the connect gate may be asked again.
    pub(crate) connect_at: Option<Instant>,
    /// The pool is closed and nobody waits for what is still lent.
    pub(crate) unattended: bool,
    /// Those who wait for the pool to be empty.
    pub(crate) drain: Vec<Waker>,
}

#[derive(Debug)]
struct Offer {
    waiter: WaiterId,
    number: u64,
    /// When it was first looked at: whoever offers reads no clock.
    seen: Option<Instant>,
}

#[derive(Debug)]
struct Claimable {
    slot: OwnedSlot,
    /// How many waiters are woken next, and when.
    width: usize,
    wake_at: Instant,
}

/// What becomes of a slot whose owner is done with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HandOver {
    /// It was offered to a waiter.
    Offered,
    /// Nobody wants it now; make it idle.
    Idle(OwnedSlot),
    /// Its connection has to be closed, which was entered in the books.
    Close(OwnedSlot, CloseReason),
}

/// Those to be woken once the lock is released.
#[derive(Debug, Default)]
#[must_use = "they sleep until they are woken"]
pub(crate) struct Wakes {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl<E> Ledger<E> {
    pub(crate) fn new(target: usize, min_idle: usize, max_connecting: usize) -> Self {
        Self {
            queue: Queue::new(Discipline::Fifo),
            target,
            min_idle,
            warming: 0,
            max_connecting,
            evidence: false,
            suspended: false,
            closed: false,
            occupied: 0,
            connecting: 0,
            closing: 0,
            tally: Tally::default(),
            measured_ns: u64::MAX,
            peak_leased: 0,
            vacant: Vec::new(),
            unused: Unused::default(),
            offers: VecDeque::new(),
            offered: 0,
            claimable: VecDeque::new(),
            orphans: Vec::new(),
            unattended: false,
            connect_at: None,
            drain: Vec::new(),
        }
    }

    /// How many connects the waiters and the idle minimum ask for now, with this many idle
    /// connections that will stay.
    ///
    /// Never more than there are waiters not yet served plus what is missing of the minimum, and
    /// never above the target or the number that may run at once.
    pub(crate) fn wanted_connects(&self, idle: impl FnOnce() -> usize) -> usize {
        if self.occupied >= self.target || self.closed || self.suspended {
            return 0;
        }
        let missing = self.min_idle.saturating_sub(idle() + self.warming);
        let wanted = self.queue.unserved() + missing + usize::from(self.evidence);
        wanted
            .saturating_sub(self.connecting + self.claimable.len())
            .min(self.target.saturating_sub(self.occupied))
            .min(self.max_connecting.saturating_sub(self.connecting))
    }

    /// Occupies a slot for a connect.
    pub(crate) fn begin_connect(&mut self) -> OwnedSlot {
        self.connecting += 1;
        self.occupy()
    }

    /// Occupies a slot for a connection that exists already, if the target allows.
    pub(crate) fn adopt(&mut self) -> Option<OwnedSlot> {
        if self.closed || self.occupied >= self.target {
            return None;
        }
        Some(self.occupy())
    }

    /// A connect succeeded; its slot is now owned by the caller.
    pub(crate) fn connected(&mut self) {
        self.evidence = false;
        self.connecting -= 1;
        self.check();
    }

    /// A connect failed.
    pub(crate) fn connect_failed(&mut self, slot: OwnedSlot, wakes: &mut Wakes) {
        self.evidence = false;
        self.cancel_connect(slot);
        self.on_vacancy(wakes);
    }

    /// A connect was not started after all.
    pub(crate) fn cancel_connect(&mut self, slot: OwnedSlot) {
        self.connecting -= 1;
        self.occupied -= 1;
        self.vacant.push(slot);
        self.check();
    }

    /// A connection begins to be closed.
    pub(crate) fn begin_close(&mut self) {
        self.closing += 1;
        self.check();
    }

    /// A connection is closed and its slot is vacant.
    pub(crate) fn vacated(&mut self, slot: OwnedSlot, wakes: &mut Wakes) {
        self.closing -= 1;
        self.occupied -= 1;
        self.vacant.push(slot);
        self.on_vacancy(wakes);
    }

    /// How many connections are lent, when so many are idle.
    pub(crate) fn lent(&self, idle: usize) -> usize {
        self.occupied
            .saturating_sub(idle + self.connecting + self.closing)
    }

    /// How many connections are above the target and not being closed yet.
    pub(crate) fn surplus(&self) -> usize {
        (self.occupied - self.closing).saturating_sub(self.target)
    }

    /// Decides what becomes of a usable connection whose owner is done with it.
    pub(crate) fn hand_over(&mut self, slot: OwnedSlot, wakes: &mut Wakes) -> HandOver {
        let reason = if self.closed {
            Some(CloseReason::PoolClosed)
        } else if self.surplus() > 0 {
            Some(CloseReason::Surplus)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.begin_close();
            return HandOver::Close(slot, reason);
        }
        match self.offer(slot, wakes) {
            Ok(()) => HandOver::Offered,
            Err(slot) => HandOver::Idle(slot),
        }
    }

    /// Offers a slot to the first waiter; gives it back if none may be served.
    pub(crate) fn offer(&mut self, slot: OwnedSlot, wakes: &mut Wakes) -> Result<(), OwnedSlot> {
        let waiter = match self.queue.next() {
            Some(waiter) if !self.suspended => waiter,
            _ => return Err(slot),
        };
        self.offered += 1;
        let number = self.offered;
        wakes.push(self.queue.serve(waiter, Turn::Offered(slot, number)));
        // Offers that were taken leave the list from the front; the others bound its length.
        while self.offers.front().is_some_and(|o| !self.is_open(o)) {
            self.offers.pop_front();
        }
        self.offers.push_back(Offer {
            waiter,
            number,
            seen: None,
        });
        Ok(())
    }

    /// Takes back offers that nobody came for, and wakes more and more others for them.
    /// Returns how many were taken back.
    pub(crate) fn revoke(&mut self, now: Instant, grace: Duration, wakes: &mut Wakes) -> usize {
        let mut revoked = 0;
        for offer in self.offers.iter_mut().rev() {
            if offer.seen.is_some() {
                break;
            }
            offer.seen = Some(now);
        }
        while let Some(offer) = self.offers.front() {
            if self.is_open(offer) {
                let seen = offer.seen.unwrap_or(now);
                if now.saturating_duration_since(seen) < grace || self.queue.next().is_none() {
                    break;
                }
                let slot = self.queue.revoke(offer.waiter);
                self.claimable.push_back(Claimable {
                    slot,
                    width: 1,
                    wake_at: now,
                });
                revoked += 1;
            }
            self.offers.pop_front();
        }
        for claimable in &mut self.claimable {
            if now < claimable.wake_at {
                continue;
            }
            let waiters: Vec<_> = self
                .queue
                .iter()
                .filter(|id| matches!(self.queue.turn(*id), Turn::Waiting))
                .take(claimable.width)
                .collect();
            for waiter in waiters {
                wakes.push(self.queue.waker(waiter));
            }
            // Everybody in the end, so that no number of absent ones outlasts the promise.
            claimable.width = if claimable.width < WIDEST {
                claimable.width * 2
            } else {
                usize::MAX
            };
            claimable.wake_at = now + REWAKE;
        }
        revoked
    }

    /// A slot whose offer was revoked, for the waiter being polled.
    pub(crate) fn claim(&mut self) -> Option<OwnedSlot> {
        self.claimable.pop_front().map(|claimable| claimable.slot)
    }

    /// When [`revoke`](Self::revoke) is next to be called. While nobody else waits an offer stays,
    /// however old it is, and asks for no look.
    pub(crate) fn revoke_at(&self, grace: Duration) -> Option<Instant> {
        let wanted = self.queue.next().is_some();
        let offer = self
            .offers
            .iter()
            .find(|o| wanted && self.is_open(o))
            .and_then(|o| o.seen)
            .map(|seen| seen + grace);
        let rewake = self.claimable.iter().map(|c| c.wake_at).min();
        offer.into_iter().chain(rewake).min()
    }

    /// Whether there are slots whose offers were revoked.
    #[inline]
    pub(crate) fn has_revoked(&self) -> bool {
        !self.claimable.is_empty()
    }

    /// Takes the slots whose offers were revoked, when nobody is left to claim them.
    pub(crate) fn take_unclaimed(&mut self) -> VecDeque<OwnedSlot> {
        if self.queue.unserved() > 0 && !self.closed {
            return VecDeque::new();
        }
        std::mem::take(&mut self.claimable)
            .into_iter()
            .map(|c| c.slot)
            .collect()
    }

    /// Whether a wait that begins now is to be measured: the first since the last tick, and one in
    /// eight. Reading the clock is most of what a short wait costs.
    pub(crate) fn measures(&mut self, coarse_ns: u64) -> bool {
        let first = self.measured_ns != coarse_ns;
        self.measured_ns = coarse_ns;
        first || self.tally.begun % MEASURED == 0
    }

    /// Refuses every waiter for this reason.
    pub(crate) fn refuse_all(
        &mut self,
        mut refusal: impl FnMut() -> Refusal<E>,
        wakes: &mut Wakes,
    ) {
        let waiters: Vec<_> = self.queue.iter().collect();
        for waiter in waiters {
            wakes.push(self.queue.serve(waiter, Turn::Refused(Box::new(refusal()))));
        }
    }

    /// Refuses the first waiter; says whether there was one.
    pub(crate) fn refuse_first(&mut self, refusal: Refusal<E>, wakes: &mut Wakes) {
        if let Some(waiter) = self.queue.next() {
            wakes.push(self.queue.serve(waiter, Turn::Refused(Box::new(refusal))));
        }
    }

    /// Capacity became free: wakes as many waiters as may start a connect.
    pub(crate) fn on_vacancy(&mut self, wakes: &mut Wakes) {
        self.check();
        if self.occupied == 0 {
            for waker in std::mem::take(&mut self.drain) {
                wakes.push(Some(waker));
            }
        }
        if self.occupied < self.target && !self.suspended {
            if let Some(waiter) = self.queue.next() {
                wakes.push(self.queue.waker(waiter));
            }
        }
    }

    /// Every number must fit the others.
    pub(crate) fn check(&self) {
        debug_assert!(
            self.connecting + self.closing <= self.occupied,
            "parts exceed the whole"
        );
        debug_assert_eq!(
            self.occupied + self.vacant.len(),
            self.unused.given_out(),
            "no slot is lost"
        );
    }

    fn occupy(&mut self) -> OwnedSlot {
        self.occupied += 1;
        let slot = self.vacant.pop();
        let slot = slot.unwrap_or_else(|| self.unused.give_out());
        self.check();
        slot
    }

    fn is_open(&self, offer: &Offer) -> bool {
        self.queue.is_offered(offer.waiter, offer.number)
    }
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push(waker),
        }
    }

    /// Wakes them; to be called without any lock. A waker that panics harms nobody else.
    pub(crate) fn wake(self) {
        for waker in self.first.into_iter().chain(self.rest) {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// One wait in so many is measured while there are many.
const MEASURED: u64 = 8;

/// How many are woken at once before all are: 128 in the eighth round, all in the ninth, 80 ms
/// after the offer was revoked.
const WIDEST: usize = 128;

/// How long after one waiter was woken for a revoked offer the next are.
const REWAKE: Duration = Duration::from_millis(10);

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod rules;

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Op {
        Arrive,
        Poll(usize),
        Leave(usize),
        Connect,
        Connected,
        Failed,
        Return,
        Retire,
        Tick,
        Resize(usize),
        Suspend,
        Resume,
    }

    /// The ledger with all that its shell keeps beside it.
    struct World {
        ledger: Ledger<()>,
        now: Instant,
        /// Everybody who has not left, in the order of arrival.
        line: Vec<WaiterId>,
        idle: Vec<OwnedSlot>,
        leased: Vec<OwnedSlot>,
        connecting: Vec<OwnedSlot>,
    }

    const GRACE: Duration = Duration::from_millis(100);
    const WAITERS: usize = 3;
    const SLOTS: usize = 2;

    impl World {
        fn new(now: Instant) -> Self {
            Self {
                ledger: Ledger::new(SLOTS, 0, 1),
                now,
                line: Vec::new(),
                idle: Vec::new(),
                leased: Vec::new(),
                connecting: Vec::new(),
            }
        }

        /// Does it, if it can be done now.
        fn step(&mut self, op: Op) -> bool {
            let mut wakes = Wakes::default();
            match op {
                Op::Arrive if self.line.len() < WAITERS => self.arrive(),
                Op::Poll(n) if n < self.line.len() => self.poll(self.line[n]),
                Op::Leave(n) if n < self.line.len() => {
                    let waiter = self.line.remove(n);
                    if let (Turn::Offered(slot, _), _) = self.ledger.queue.remove(waiter) {
                        self.give(slot);
                    } else {
                        self.ledger.on_vacancy(&mut wakes);
                    }
                }
                Op::Connect if self.ledger.wanted_connects(|| self.idle.len()) > 0 => {
                    let (occupied, target) = (self.ledger.occupied, self.ledger.target);
                    assert!(occupied < target, "a connect above the target");
                    self.connecting.push(self.ledger.begin_connect());
                }
                Op::Connected if !self.connecting.is_empty() => {
                    self.ledger.connected();
                    let slot = self.connecting.remove(0);
                    self.give(slot);
                }
                Op::Failed if !self.connecting.is_empty() => {
                    let slot = self.connecting.remove(0);
                    self.ledger.connect_failed(slot, &mut wakes);
                }
                Op::Return if !self.leased.is_empty() => {
                    let slot = self.leased.remove(0);
                    self.give(slot);
                }
                Op::Retire if !self.leased.is_empty() => {
                    let slot = self.leased.remove(0);
                    self.ledger.begin_close();
                    self.ledger.vacated(slot, &mut wakes);
                }
                Op::Tick => {
                    self.now += GRACE;
                    self.ledger.revoke(self.now, GRACE, &mut wakes);
                }
                Op::Resize(target) if target != self.ledger.target => {
                    self.ledger.target = target;
                    for _ in 0..self.ledger.surplus() {
                        if let Some(slot) = self.idle.pop() {
                            self.give(slot);
                        }
                    }
                    self.serve();
                }
                Op::Suspend if !self.ledger.suspended => self.ledger.suspended = true,
                Op::Resume if self.ledger.suspended => {
                    self.ledger.suspended = false;
                    self.serve();
                }
                _ => return false,
            }
            drop(wakes.first);
            let unclaimed = self.ledger.take_unclaimed();
            self.idle.extend(unclaimed);
            true
        }

        fn arrive(&mut self) {
            let ledger = &mut self.ledger;
            if !ledger.suspended && ledger.queue.next().is_none() {
                if let Some(slot) = ledger.claim().or_else(|| self.idle.pop()) {
                    self.leased.push(slot);
                    return;
                }
            }
            self.line
                .push(ledger.queue.join(Waker::noop().clone(), false));
        }

        fn poll(&mut self, waiter: WaiterId) {
            let ledger = &mut self.ledger;
            let found = match ledger.queue.turn(waiter) {
                Turn::Waiting | Turn::Absent if !ledger.suspended => {
                    ledger.claim().or_else(|| self.idle.pop())
                }
                _ => None,
            };
            if found.is_some() || matches!(ledger.queue.turn(waiter), Turn::Offered(..)) {
                let slot = match ledger.queue.remove(waiter) {
                    (Turn::Offered(slot, _), _) => Some(slot),
                    _ => found,
                };
                self.line.retain(|known| *known != waiter);
                self.leased.extend(slot);
            } else {
                ledger.queue.polled(waiter, Waker::noop().clone());
            }
        }

        fn give(&mut self, slot: OwnedSlot) {
            let mut wakes = Wakes::default();
            let first = self.first();
            match self.ledger.hand_over(slot, &mut wakes) {
                HandOver::Offered => {
                    let first = first.expect("an offer goes to somebody");
                    let number = self.ledger.offered;
                    let offered = self.ledger.queue.is_offered(first, number);
                    assert!(offered, "the first in line was overtaken");
                }
                HandOver::Idle(slot) => self.idle.push(slot),
                HandOver::Close(slot, _) => self.ledger.vacated(slot, &mut wakes),
            }
            drop(wakes.first);
        }

        fn serve(&mut self) {
            while !self.ledger.suspended && self.ledger.queue.next().is_some() {
                let Some(slot) = self.idle.pop() else { break };
                self.give(slot);
            }
        }

        /// Who has come first of those who may be served.
        fn first(&self) -> Option<WaiterId> {
            let waits = |id: &&WaiterId| matches!(self.ledger.queue.turn(**id), Turn::Waiting);
            self.line.iter().find(waits).copied()
        }

        fn check(&self) {
            let ledger = &self.ledger;
            let offered = self
                .line
                .iter()
                .filter_map(|id| match ledger.queue.turn(*id) {
                    Turn::Offered(slot, number) => Some((slot, *number)),
                    _ => None,
                });
            let offered: Vec<_> = offered.collect();
            let parts = [&self.idle, &self.leased, &self.connecting];
            let owned: Vec<_> = parts
                .into_iter()
                .flatten()
                .chain(offered.iter().map(|(slot, _)| *slot))
                .chain(ledger.claimable.iter().map(|c| &c.slot))
                .map(OwnedSlot::id)
                .collect();
            assert_eq!(owned.len(), ledger.occupied, "a slot is in no place");
            let distinct = owned.iter().collect::<HashSet<_>>().len();
            assert_eq!(distinct, owned.len(), "a slot is in two places");
            assert_eq!(ledger.connecting, self.connecting.len());
            assert!(ledger.connecting <= ledger.max_connecting);
            let watched = |number| {
                ledger
                    .offers
                    .iter()
                    .any(|o| o.number == number && ledger.is_open(o))
            };
            assert!(
                offered.iter().all(|(_, number)| watched(*number)),
                "nobody watches an offer"
            );
            let unseen = |offer: &Offer| offer.seen.is_none() && ledger.is_open(offer);
            let wanted = !offered.is_empty() && ledger.queue.next().is_some();
            if wanted || !ledger.claimable.is_empty() {
                let due = ledger.revoke_at(GRACE).is_some();
                assert!(due || ledger.offers.iter().any(unseen), "no tick is due");
            }
            let idle = !self.idle.is_empty() && !ledger.suspended;
            assert!(
                !idle || self.first().is_none(),
                "one waits beside an idle slot"
            );
            assert_eq!(ledger.queue.next(), self.first(), "the order of arrival");
        }

        /// Equal for states that behave the same from here on.
        fn key(&self) -> String {
            let turns = self
                .line
                .iter()
                .map(|id| match self.ledger.queue.turn(*id) {
                    Turn::Offered(slot, number) => {
                        let offer = self.ledger.offers.iter().find(|o| o.number == *number);
                        let seen = offer.and_then(|offer| offer.seen);
                        format!("{slot:?} {:?}", seen.map(|seen| self.now - seen >= GRACE))
                    }
                    other => format!("{other:?}"),
                });
            let turns: Vec<_> = turns.collect();
            let place = |id| self.line.iter().position(|known| *known == id);
            let order: Vec<_> = self.ledger.queue.iter().map(place).collect();
            format!(
                "{turns:?} {order:?} {:?} {:?} {:?} {:?} {:?} {} {}",
                self.idle,
                self.leased,
                self.connecting,
                self.ledger
                    .claimable
                    .iter()
                    .map(|c| c.slot.id())
                    .collect::<Vec<_>>(),
                self.ledger.vacant,
                self.ledger.target,
                self.ledger.suspended,
            )
        }
    }

    /// Breadth first through everything that two slots and three waiters can come to.
    #[test]
    fn every_reachable_state_of_a_small_pool_is_sound() {
        let mut ops = vec![
            Op::Arrive,
            Op::Connect,
            Op::Connected,
            Op::Failed,
            Op::Return,
            Op::Retire,
            Op::Tick,
            Op::Suspend,
            Op::Resume,
        ];
        ops.extend((0..WAITERS).flat_map(|n| [Op::Poll(n), Op::Leave(n)]));
        ops.extend((0..=SLOTS).map(Op::Resize));
        let now = crate::runtime::Timer::now(&crate::runtime::Tokio::default());
        let mut seen = HashSet::new();
        let mut paths = VecDeque::from([Vec::new()]);
        while let Some(path) = paths.pop_front() {
            for op in &ops {
                let mut world = World::new(now);
                for op in &path {
                    assert!(world.step(*op));
                }
                if !world.step(*op) {
                    continue;
                }
                let mut longer: Vec<_> = path.clone();
                longer.push(*op);
                let sound =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check()));
                assert!(sound.is_ok(), "after {longer:?}");
                if seen.insert(world.key()) {
                    paths.push_back(longer);
                }
            }
        }
        assert!(seen.len() > 1000, "only {} states", seen.len());
    }
}
