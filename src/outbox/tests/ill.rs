//! The ledger with an endpoint that is ill.

use super::*;
use crate::outbox::breaker::{OPENS_AFTER, PROBE_MAX};

/// The attempts under way when the endpoint is found to be ill.
const FIRST: u64 = AT_ONCE as u64;

#[test]
fn a_lonely_call_at_a_dead_endpoint_sees_exactly_the_contracts_delays_and_is_parked() {
    let mut world = World::new(&[("crm", true)]);
    (1..=2).for_each(|id| world.pending("crm", id, "a", id));
    let (mut began, mut waits) = (world.now, Vec::new());
    loop {
        let Some(output) = world.ledger.poll_output() else {
            world.now = world.ledger.poll_timeout().unwrap();
            world.ledger.handle_timeout(world.now);
            continue;
        };
        if number(output.id) == 2 {
            break;
        }
        waits.push((world.now - began).as_secs_f64().round());
        began = world.now;
        assert_eq!(output.probe, None);
        world.fail(1, schedule::next(output.used, Verdict::Retry, u32::MAX / 2 + 1));
    }
    let expected: Vec<f64> = schedule::DELAYS.iter().map(Duration::as_secs_f64).collect();
    assert_eq!(waits, expected);
    assert_eq!(world.flow("crm"), Flow::Probing);
}

/// So many calls of one event each, and the attempts that open the breaker.
fn ill(calls: u64) -> World {
    let mut world = World::new(&[("crm", true), ("audit", true)]);
    (0..calls).for_each(|n| world.pending("crm", n, &format!("s{n}"), 1));
    for n in world.begun() {
        world.fail(n, again(3600));
    }
    assert_eq!(world.flow("crm"), Flow::Probing);
    world
}

#[test]
fn an_ill_endpoint_gets_one_probe_at_a_time_and_its_deliveries_keep_their_steps() {
    let mut world = ill(100);
    world.pending("audit", 1000, "s1", 1);
    assert_eq!(world.begun(), [1000], "the other endpoint goes on");
    assert!(world.ledger.poll_output().is_none());
    let (began, mut probed) = (world.now, Vec::new());
    for _ in 0..10 {
        world.now = world.ledger.poll_timeout().unwrap();
        world.ledger.handle_timeout(world.now);
        let probe = world.ledger.poll_output().unwrap();
        assert_eq!((probe.probe, probe.used), (Some(began), 0), "it has been ill since its fifth failure");
        assert!(world.ledger.poll_output().is_none(), "one at a time");
        let next = schedule::after_probe(probe.used, Verdict::Retry, Duration::ZERO, 0);
        world.fail(number(probe.id), next);
        probed.push(number(probe.id));
    }
    assert_eq!(probed, (FIRST..FIRST + 10).collect::<Vec<_>>(), "each in its turn");
}

#[test]
fn ten_minutes_down_cost_few_probes_no_steps_and_everything_comes_when_it_is_back() {
    let mut world = ill(300);
    let (began, mut probes) = (world.now, 0);
    while world.now - began < Duration::from_mins(10) {
        world.now = world.ledger.poll_timeout().unwrap();
        world.ledger.handle_timeout(world.now);
        while let Some(probe) = world.ledger.poll_output() {
            probes += 1;
            world.fail(number(probe.id), schedule::after_probe(probe.used, Verdict::Retry, Duration::ZERO, 0));
        }
    }
    assert!((14..=18).contains(&probes), "{probes}");
    let back = world.now;
    let mut delivered = Vec::new();
    while (delivered.len() as u64) < 300 - FIRST {
        for n in world.begun() {
            world.settle(n, Next::Delivered);
            delivered.push(n);
        }
        if world.flow("crm") == Flow::Probing {
            world.now = world.ledger.poll_timeout().unwrap();
            world.ledger.handle_timeout(world.now);
        }
    }
    assert!(world.now - back <= PROBE_MAX.mul_f64(1.2), "one pause at most");
    assert_eq!(world.flow("crm"), Flow::Open);
    delivered.sort_unstable();
    assert_eq!(delivered, (FIRST..300).collect::<Vec<_>>(), "all that were held; the first ones wait for their own step");
}

#[test]
fn what_began_before_it_opened_may_close_it() {
    let mut world = World::new(&[("crm", true)]);
    (0..FIRST + 4).for_each(|n| world.pending("crm", n, &format!("s{n}"), 1));
    let begun = world.begun();
    (0..u64::from(OPENS_AFTER)).for_each(|n| world.fail(n, again(3600)));
    assert_eq!((world.flow("crm"), world.begun()), (Flow::Probing, vec![]));
    world.settle(begun[9], Next::Delivered);
    assert_eq!((world.flow("crm"), world.begun()), (Flow::Open, (FIRST..FIRST + 4).collect()));
}

#[test]
fn a_shutdown_does_not_wait_for_an_ill_endpoint() {
    let world = ill(100);
    assert!(world.ledger.is_idle());
}

#[test]
fn a_probe_that_is_gone_or_cannot_be_leased_does_not_stop_the_probing() {
    let mut world = ill(100);
    for settled in [Settled::Gone, Settled::Unstored] {
        world.now += PROBE_MAX;
        world.ledger.handle_timeout(world.now);
        let probe = world.ledger.poll_output().unwrap();
        world.ledger.handle_settled(probe.id, settled, world.now);
    }
    world.pass(UNSTORED_REST.as_secs());
    assert!(world.ledger.poll_output().is_some_and(|begin| begin.probe.is_some()));
}
