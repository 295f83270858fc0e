use std::cell::Cell;

use ulid::Ulid;

use super::*;
use crate::webhook::Verdict;

mod ill;
mod order;
mod room;

#[test]
fn events_of_a_call_go_one_after_the_other_and_calls_side_by_side() {
    let mut world = World::new(&[("crm", true)]);
    for (id, session, seq) in [(1, "a", 1), (2, "a", 2), (3, "b", 1)] {
        world.pending("crm", id, session, seq);
    }
    assert_eq!(world.begun(), [1, 3]);
    world.settle(1, Next::Delivered);
    assert_eq!(world.begun(), [2]);
}

#[test]
fn without_order_all_of_a_call_go_at_once() {
    let mut world = World::new(&[("crm", false)]);
    (1..=3).for_each(|id| world.pending("crm", id, "a", id));
    assert_eq!(world.begun(), [1, 2, 3]);
}

#[test]
fn a_waiting_head_holds_its_lane_and_no_other() {
    let mut world = World::new(&[("crm", true)]);
    for (id, session, seq) in [(1, "a", 1), (2, "a", 2), (3, "b", 1), (4, "b", 2)] {
        world.pending("crm", id, session, seq);
    }
    assert_eq!(world.begun(), [1, 3]);
    world.settle(1, again(30));
    world.settle(3, Next::Delivered);
    assert_eq!(world.begun(), [4]);
    world.pass(29);
    assert!(world.begun().is_empty());
    world.pass(1);
    assert_eq!(world.begun(), [1]);
}

#[test]
fn a_parked_head_lets_its_lane_go_on() {
    let mut world = World::new(&[("crm", true)]);
    (1..=2).for_each(|id| world.pending("crm", id, "a", id));
    assert_eq!(world.begun(), [1]);
    world.settle(1, Next::Parked);
    assert_eq!(world.begun(), [2]);
}

#[test]
fn an_endpoint_has_so_many_at_once_and_a_slow_one_slows_no_other() {
    let mut world = World::new(&[("slow", true), ("fast", true)]);
    let bound = AT_ONCE as u64;
    for id in 0..bound + 24 {
        world.pending("slow", id, &format!("s{id}"), 1);
    }
    assert_eq!(world.begun(), (0..bound).collect::<Vec<_>>());
    world.pending("fast", 1_000, "s1", 1);
    assert_eq!(world.begun(), [1_000]);
    world.settle(3, Next::Delivered);
    assert_eq!(world.begun(), [bound]);
}

#[test]
fn gone_pauses_an_endpoint_until_somebody_asks_again() {
    let mut world = World::new(&[("crm", true), ("audit", true)]);
    world.pending("crm", 1, "a", 1);
    world.pending("crm", 2, "b", 1);
    world.pending("audit", 3, "a", 1);
    assert_eq!(world.begun(), [1, 2, 3]);
    world.settle(1, Next::Paused);
    world.settle(2, Next::Delivered);
    world.settle(3, Next::Delivered);
    world.pending("crm", 4, "c", 1);
    world.pending("audit", 5, "c", 1);
    world.pass(100_000);
    assert_eq!(world.begun(), [5]);
    assert_eq!((world.flow("crm"), world.flow("audit")), (Flow::Paused, Flow::Open));
    assert!(world.ledger.is_any_paused());
    world.pending("crm", 1, "a", 1);
    assert!(world.begun().is_empty(), "only the store says who goes on");
    world.ledger.handle_paused(|name| name.as_str() == "audit");
    assert_eq!((world.begun(), world.flow("audit")), (vec![1, 4], Flow::Paused));
}

#[test]
fn asking_again_cuts_the_waiting_short() {
    let mut world = World::new(&[("crm", true)]);
    world.pending("crm", 1, "a", 1);
    assert_eq!(world.begun(), [1]);
    world.settle(1, again(3600));
    assert!(world.begun().is_empty());
    world.pending("crm", 1, "a", 1);
    assert_eq!(world.begun(), [1]);
    world.settle(1, Next::Delivered);
    world.pass(4000);
    assert!(world.begun().is_empty());
    assert_eq!(world.ledger.room(&name("crm")), HELD_MAX);
    assert_eq!(world.ledger.poll_timeout(), None);
}

#[test]
fn what_is_asked_for_while_it_is_tried_is_looked_for_once_more_whatever_came_of_it() {
    for next in [Next::Delivered, Next::Parked, again(3600)] {
        let mut world = World::new(&[("crm", true)]);
        (1..=2).for_each(|id| world.pending("crm", id, "a", id));
        assert_eq!(world.begun(), [1]);
        world.pending("crm", 1, "a", 1);
        assert!(world.begun().is_empty(), "one at a time");
        world.settle(1, next);
        assert_eq!(world.begun(), [1]);
        world.ledger.handle_settled(id(1), Settled::Gone, world.now);
        assert_eq!(world.begun(), [2], "the store said that it is not to be sent");
    }
}

#[test]
fn an_older_event_that_is_asked_for_goes_before_the_waiting_one() {
    let mut world = World::new(&[("crm", true)]);
    world.pending("crm", 5, "a", 5);
    assert_eq!(world.begun(), [5]);
    world.settle(5, again(60));
    world.pending("crm", 2, "a", 2);
    assert_eq!(world.begun(), [2]);
    world.settle(2, Next::Delivered);
    world.pass(60);
    assert_eq!(world.begun(), [5]);
}

#[test]
fn a_verdict_that_was_not_stored_is_fetched_again_soon() {
    let mut world = World::new(&[("crm", true)]);
    (1..=2).for_each(|id| world.pending("crm", id, "a", id));
    assert_eq!(world.begun(), [1]);
    world.ledger.handle_settled(id(1), Settled::Unstored, world.now);
    assert!(world.begun().is_empty());
    world.pending("crm", 3, "b", 1);
    assert!(world.begun().is_empty(), "a store that refuses one refuses all");
    world.pass(UNSTORED_REST.as_secs());
    assert_eq!(world.begun(), [3, 1]);
    world.ledger.handle_settled(id(1), Settled::Gone, world.now);
    assert_eq!(world.begun(), [2]);
}

#[test]
fn room_is_counted_and_comes_back() {
    let mut world = World::new(&[("crm", true)]);
    for n in 0..10 {
        world.pending("crm", n, "a", n);
    }
    assert_eq!(world.ledger.room(&name("crm")), HELD_MAX - 10);
    for n in 0..10 {
        assert_eq!(world.begun(), [n]);
        world.settle(n, Next::Delivered);
    }
    assert_eq!(world.ledger.room(&name("crm")), HELD_MAX);
    assert_eq!(world.ledger.room(&name("unknown")), 0);
    assert!(world.ledger.is_idle() && world.ledger.lanes.is_empty() && world.ledger.lane_of.is_empty());
}

#[test]
fn what_is_due_later_waits_from_the_start() {
    let mut world = World::new(&[("crm", true)]);
    let at = world.now + Duration::from_secs(9);
    world.ledger.handle_pending(&name("crm"), Due { at, ..world.due(1, "a", 1) }, world.now);
    assert!(world.begun().is_empty());
    assert_eq!(world.ledger.poll_timeout(), Some(at));
    world.pass(9);
    assert_eq!(world.begun(), [1]);
}

struct World {
    ledger: Ledger,
    now: Instant,
    /// Each time that something is handed in the store has given it a new place.
    places: Cell<u64>,
}

impl World {
    fn new(endpoints: &[(&str, bool)]) -> Self {
        let ledger = Ledger::new(endpoints.iter().map(|(endpoint, ordered)| (name(endpoint), *ordered)));
        Self { ledger, now: crate::clock::now(), places: Cell::new(0) }
    }

    fn due(&self, n: u64, session: &str, seq: u64) -> Due {
        let place = self.places.replace(self.places.get() + 1);
        Due { id: id(n), session: SessionId::new(session).unwrap(), seq, place, used: 0, at: self.now }
    }

    fn pending(&mut self, endpoint: &str, n: u64, session: &str, seq: u64) {
        self.ledger.handle_pending(&name(endpoint), self.due(n, session, seq), self.now);
    }

    fn begun(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.ledger.poll_output()).map(|begin| number(begin.id)).collect()
    }

    fn settle(&mut self, n: u64, next: Next) {
        self.ledger.handle_settled(id(n), Settled::Stored { next, sign: Sign::Well }, self.now);
    }

    fn fail(&mut self, n: u64, next: Next) {
        let sign = Sign::Ill { asked: Duration::ZERO, chance: u32::MAX / 2 };
        self.ledger.handle_settled(id(n), Settled::Stored { next, sign }, self.now);
    }

    fn flow(&self, endpoint: &str) -> Flow {
        self.ledger.flow(&name(endpoint))
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.ledger.handle_timeout(self.now);
    }
}

fn again(seconds: u64) -> Next {
    Next::Again { delay: Duration::from_secs(seconds), used: 1 }
}

fn id(n: u64) -> DeliveryId {
    DeliveryId::new(Ulid::from_parts(n, 0))
}

fn number(id: DeliveryId) -> u64 {
    Ulid::from_string(&id.to_string()[4..]).unwrap().timestamp_ms()
}

fn name(endpoint: &str) -> EndpointName {
    EndpointName::new(endpoint).unwrap()
}
