//! Slots as links hold them.

use super::*;
use crate::{
    transcript::tests::heard,
    upstream::{Reason, Refusal},
};

fn turns(sessions: usize) -> Turns {
    Turns::new(sessions, 20, Duration::from_secs(5), Arc::default())
}

fn fill(in_use: usize, limit: usize, waiting: usize) -> Fill {
    Fill { in_use, limit, waiting }
}

fn too_many(turn: &mut Turn) {
    let cause = Refusal::RateLimited { retry_after: None, reason: Reason::default() };
    turn.note(&Report::State(LinkState::Reconnecting { tries: 1, cause }));
}

#[tokio::test]
async fn dropping_a_turn_frees_its_slot_or_its_place() {
    let turns = turns(2);
    let first = turns.ask(2, Class::New);
    let mut second = turns.ask(2, Class::New);
    let third = turns.ask(1, Class::New);
    assert_eq!(turns.fill(), fill(2, 2, 3));
    drop(second.pop());
    assert_eq!(turns.fill(), fill(2, 2, 2));
    drop(first);
    assert!(second[0].is_granted() && third[0].is_granted());
    drop((second, third));
    assert_eq!(turns.fill(), fill(0, 2, 0));
    assert!(turns.state().parties.is_empty());
}

#[tokio::test]
async fn a_track_is_told_of_the_slot_that_is_granted_because_the_other_track_needs_none() {
    let turns = turns(2);
    let _holder = turns.ask(1, Class::New);
    let mut both = turns.ask(2, Class::New);
    let granted = tokio::spawn(both[0].granted());
    drop(both.pop());
    tokio::time::timeout(Duration::from_secs(20), granted).await.expect("it is told").unwrap();
    assert!(both[0].is_granted() && turns.state().parties.is_empty());
}

#[tokio::test]
async fn who_waits_is_woken_by_who_leaves() {
    let turns = turns(1);
    let holder = turns.ask(1, Class::New).pop().unwrap();
    let waiter = turns.ask(1, Class::New).pop().unwrap();
    assert!(turns.take(1, Class::New).is_none());
    let granted = tokio::spawn(waiter.granted());
    drop(holder);
    granted.await.unwrap();
    assert!(waiter.is_granted());
}

#[tokio::test]
async fn a_plan_of_one_gives_the_tracks_of_a_call_one_after_the_other() {
    let turns = turns(1);
    let mut both = turns.ask(2, Class::New);
    assert_eq!(both.iter().map(Turn::is_granted).collect::<Vec<_>>(), [true, false]);
    drop(both.remove(0));
    assert!(both[0].is_granted());
}

#[tokio::test]
async fn a_link_that_was_refused_gives_its_slot_back_and_is_first_in_the_queue() {
    let turns = turns(3);
    let mut held: Vec<Turn> = turns.ask(3, Class::New);
    let open: Vec<Open> = held.iter_mut().take(2).map(Turn::opened).collect();
    let waiting = turns.ask(1, Class::New).pop().unwrap();
    too_many(&mut held[2]);
    assert_eq!((turns.fill(), held[2].is_granted()), (fill(2, 2, 2), false));
    drop((held.remove(0), open));
    assert!(held[1].is_granted() && !waiting.is_granted());
}

#[tokio::test]
async fn only_a_link_that_was_live_comes_before_those_that_were_not() {
    let turns = turns(2);
    let mut held = turns.ask(2, Class::New);
    let mut live = held.pop().unwrap();
    drop(live.opened());
    live.note(&Report::Interim(heard("hello", 0, 0)));
    let mut closed_at_once = held.pop().unwrap();
    drop(closed_at_once.opened());
    too_many(&mut closed_at_once);
    too_many(&mut live);
    assert_eq!((closed_at_once.class(), live.class()), (Class::New, Class::Reconnect));
}

#[tokio::test]
async fn a_slot_that_was_given_back_is_asked_for_again_and_one_that_never_was_is_not() {
    let turns = turns(1);
    let mut turn = turns.ask(1, Class::New).pop().unwrap();
    let cause = Refusal::Language { reason: Reason::default() };
    turn.note(&Report::State(LinkState::Refused(cause)));
    assert_eq!(turns.fill(), fill(0, 1, 0));
    let mut never = turns.none();
    never.want();
    turn.want();
    turn.want();
    assert_eq!((turns.fill(), turn.is_granted(), never.is_granted()), (fill(1, 1, 0), true, false));
}

#[tokio::test]
async fn time_alone_serves_who_waits_for_growth_and_for_the_budget() {
    let turns = Turns::new(500, 200, Duration::from_secs(5), Arc::default());
    let stop = CancellationToken::new();
    let keeper = tokio::spawn(turns.clone().keep_time(stop.clone()));
    let mut turn = turns.ask(1, Class::New).pop().unwrap();
    too_many(&mut turn);
    assert!(!turn.is_granted());
    turn.granted().await;
    let began = clock::now();
    for _ in 0..140 {
        turn.may_connect().await;
    }
    assert!(clock::now() - began >= Duration::from_millis(195), "40 of them at 200 a second");
    stop.cancel();
    keeper.await.unwrap();
}

#[tokio::test]
async fn an_overlap_is_a_slot_for_a_moment() {
    let turns = turns(2);
    let turn = turns.ask(1, Class::New).pop().unwrap();
    let overlap = turn.overlap();
    assert!(overlap.is_some() && turn.overlap().is_none());
    drop(overlap);
    assert_eq!(turns.fill(), fill(1, 2, 0));
}
