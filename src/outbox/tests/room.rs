//! A ledger that is full of what waits for long.

use super::*;
use crate::outbox::away::AWAY_MAX;

const HOUR: u64 = 3_600;

/// Room for ten; as many calls whose first event was refused, each with an hour to wait, or a little more than the one before.
fn full(ordered: bool) -> World {
    let mut world = World::new(&[("crm", ordered)]);
    world.ledger.held_max = 10;
    (0..10).for_each(|n| world.pending("crm", n, &format!("s{n}"), 1));
    assert_eq!(world.begun().len(), 10);
    (0..10).for_each(|n| world.settle(n, again(HOUR + n)));
    assert_eq!(world.ledger.room(&name("crm")), 0);
    world
}

#[test]
fn what_waits_for_longest_gives_way_to_what_is_due() {
    let mut world = full(true);
    world.ledger.make_room(&name("crm"), 3, world.now);
    assert_eq!(world.ledger.room(&name("crm")), 3);
    world.pending("crm", 20, "new", 1);
    assert_eq!(world.begun(), [20]);
    let away = |world: &World, n: u64| world.ledger.knows(&name("crm"), id(n), &SessionId::new(&format!("s{n}")).unwrap());
    assert!((0..10).all(|n| away(&world, n)) && !away(&world, 11));
    assert!((0..7).all(|n| world.ledger.lane_of.contains_key(&id(n))) && !world.ledger.lane_of.contains_key(&id(7)));
}

#[test]
fn what_is_due_soon_does_not_give_way() {
    let mut world = World::new(&[("crm", true)]);
    world.ledger.held_max = 1;
    world.pending("crm", 1, "a", 1);
    assert_eq!(world.begun(), [1]);
    world.ledger.make_room(&name("crm"), 1, world.now);
    assert_eq!(world.ledger.room(&name("crm")), 0, "it is under way");
    world.settle(1, again(60));
    world.ledger.make_room(&name("crm"), 1, world.now);
    assert_eq!(world.ledger.room(&name("crm")), 0, "it is due in a minute");
}

#[test]
fn a_lane_that_is_away_is_asked_for_when_it_is_due_and_not_before() {
    for ordered in [true, false] {
        let mut world = full(ordered);
        world.ledger.make_room(&name("crm"), 10, world.now);
        assert_eq!((world.ledger.poll_back(&name("crm")), world.ledger.is_idle()), (None, true));
        assert_eq!(world.ledger.poll_timeout(), Some(world.now + Duration::from_secs(HOUR)));
        world.pass(HOUR);
        let lane = world.ledger.poll_back(&name("crm")).unwrap().clone();
        assert_eq!(lane, if ordered { LaneKey::Session(SessionId::new("s0").unwrap()) } else { LaneKey::Single(id(0)) });
        let due = Due { used: 1, ..world.due(0, "s0", 1) };
        world.ledger.handle_back(&name("crm"), &lane, vec![due], world.now);
        assert_eq!((world.begun(), world.ledger.poll_back(&name("crm"))), (vec![0], None));
    }
}

#[test]
fn what_comes_for_a_lane_that_is_away_waits_for_the_rest_of_it() {
    let mut world = full(true);
    world.ledger.make_room(&name("crm"), 10, world.now);
    world.pending("crm", 20, "s4", 2);
    assert!(world.begun().is_empty(), "the first one goes before it");
    let lane = world.ledger.poll_back(&name("crm")).unwrap().clone();
    let waiting = Due { used: 1, at: world.now + Duration::from_secs(9), ..world.due(4, "s4", 1) };
    let back = vec![waiting, world.due(20, "s4", 2)];
    world.ledger.handle_back(&name("crm"), &lane, back, world.now);
    assert!(world.begun().is_empty());
    world.pass(9);
    assert_eq!(world.begun(), [4]);
    world.settle(4, Next::Delivered);
    assert_eq!(world.begun(), [20]);
}

#[test]
fn a_lane_that_was_erased_meanwhile_is_gone_when_it_is_asked_for() {
    let mut world = full(true);
    world.ledger.make_room(&name("crm"), 10, world.now);
    world.pass(HOUR + 10);
    while let Some(lane) = world.ledger.poll_back(&name("crm")).cloned() {
        world.ledger.handle_back(&name("crm"), &lane, vec![], world.now);
    }
    assert_eq!((world.ledger.poll_timeout(), world.ledger.room(&name("crm"))), (None, 10));
}

#[test]
fn there_is_a_bound_on_what_is_away() {
    let mut away = crate::outbox::away::Away::default();
    let now = crate::clock::now();
    (0..AWAY_MAX as u64).for_each(|n| away.put(LaneKey::Single(id(n)), now));
    assert!(away.is_full());
    away.is_back(&LaneKey::Single(id(0)));
    assert!(!away.is_full());
}
