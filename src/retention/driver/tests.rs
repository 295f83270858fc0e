use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    media::{Chunk, EndReason, Offset, Track},
    segment::TrackKey,
    spool::seal::DataKey,
    store::{
        DeliveryFilter, Ended, Standing,
        driver::tests::{Folder, begin, gap_event, name, open},
    },
    webhook::{Answer, Attempt, DeliveryId},
};

/// Behind everything that a test makes now.
fn later() -> u64 {
    clock::wall_ms() + 3_600_000
}

fn keeper() -> (Keeper, Folder) {
    let (store, folder) = open();
    let spool = Spool::open(&folder.0.join("spool")).unwrap();
    (Keeper { store, spool, metrics: Arc::default() }, folder)
}

async fn end(store: &Store, session: &SessionId) {
    let end = Ended { wall_ms: clock::wall_ms(), reason: EndReason::Stop, duration_ms: 1, complete: true };
    store.commit(vec![Write::Ended { session: session.clone(), end }]).await.unwrap();
}

/// A session with an event for `crm`; gives its delivery.
async fn call(store: &Store, call: &str, standing: Option<Standing>) -> (SessionId, DeliveryId) {
    let session = begin(store, call, &format!("MZ-{call}")).await;
    store.commit(vec![gap_event(&session, 1, &["crm"])]).await.unwrap();
    let delivery = store.pending(&name("crm"), 0, 9).await.unwrap().last().unwrap().id;
    if let Some(standing) = standing {
        settle(store, delivery, standing).await;
    }
    (session, delivery)
}

async fn settle(store: &Store, delivery: DeliveryId, standing: Standing) {
    let outcome = Ok(Answer { status: 200, retry_after: None, kept: "thanks".into() });
    let attempt = Attempt { wall_ms: clock::wall_ms(), took: Duration::from_millis(3), outcome };
    let lease = Write::Lease { deliveries: vec![delivery], until_wall_ms: 0 };
    store.commit(vec![lease, Write::Verdict { delivery, attempt, standing }]).await.unwrap();
}

fn parked() -> Standing {
    Standing::Parked { reason: "gave up".to_owned() }
}

async fn is_there(store: &Store, session: &SessionId) -> bool {
    store.call(session.as_str()).await.unwrap().is_some()
}

#[tokio::test]
async fn only_an_ended_call_with_everything_delivered_is_erased_and_only_when_it_is_old_enough() {
    let (keeper, _folder) = keeper();
    let store = &keeper.store;
    let (done, _) = call(store, "CAdone", Some(Standing::Delivered)).await;
    let (live, _) = call(store, "CAlive", Some(Standing::Delivered)).await;
    let (given_up, _) = call(store, "CAparked", Some(parked())).await;
    let (waiting, _) = call(store, "CAwaiting", None).await;
    for session in [&done, &given_up, &waiting] {
        end(store, session).await;
    }
    assert_eq!(keeper.remove(Kind::Calls, clock::wall_ms() - 1_000).await.unwrap().removed, 0, "it ended just now");
    assert_eq!(keeper.remove(Kind::Calls, later()).await.unwrap(), Step { removed: 1, more: false });
    assert!(!is_there(store, &done).await);
    for session in [&live, &given_up, &waiting] {
        assert!(is_there(store, session).await, "{session}");
    }
    assert!(store.events(&done, 0, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_parked_delivery_goes_by_the_time_that_it_has_been_parked_and_then_its_call_may() {
    let (keeper, _folder) = keeper();
    let (store, began) = (&keeper.store, clock::wall_ms());
    let (session, delivery) = call(store, "CAparked", Some(parked())).await;
    let (live, kept) = call(store, "CAlive", Some(parked())).await;
    end(store, &session).await;
    assert_eq!(
        keeper.remove(Kind::Parked, began).await.unwrap().removed,
        0,
        "its event is from 1970, but it was parked just now"
    );
    assert_eq!(keeper.remove(Kind::Parked, later()).await.unwrap(), Step { removed: 1, more: false });
    assert!(store.delivery(delivery).await.unwrap().is_none());
    assert!(store.delivery(kept).await.unwrap().is_some(), "its call is live");
    assert_eq!(keeper.remove(Kind::Calls, later()).await.unwrap().removed, 1);
    assert!(!is_there(store, &session).await && is_there(store, &live).await);
}

#[tokio::test]
async fn what_is_asked_for_by_hand_meanwhile_stays() {
    let (keeper, _folder) = keeper();
    let store = &keeper.store;
    let (session, delivery) = call(store, "CA1", Some(parked())).await;
    end(store, &session).await;
    let parked = store.old_parked(later(), 9).await.unwrap();
    store.commit(vec![Write::Retry(delivery)]).await.unwrap();
    assert_eq!(store.commit(vec![Write::ForgetParked(parked)]).await.unwrap().removed, 0);
    assert!(store.delivery(delivery).await.unwrap().is_some());
    let erased = store.commit(vec![Write::OnlyIfOver(session.clone()), Write::Erase(session.clone())]).await;
    assert_eq!(erased, Err(StoreError::Misfit));
    assert!(is_there(store, &session).await);
}

#[tokio::test]
async fn old_attempts_go_and_their_delivery_stays_unless_it_is_still_being_tried() {
    let (keeper, _folder) = keeper();
    let store = &keeper.store;
    let (session, delivered) = call(store, "CA1", Some(Standing::Delivered)).await;
    let again = Standing::Pending { attempts: 1, next_wall_ms: later(), reason: "status 503".to_owned() };
    let (other, pending) = call(store, "CA2", Some(again)).await;
    end(store, &session).await;
    end(store, &other).await;
    assert_eq!(keeper.remove(Kind::Attempts, later()).await.unwrap(), Step { removed: 1, more: false });
    assert!(store.delivery(delivered).await.unwrap().unwrap().1.is_empty());
    assert_eq!(store.delivery(pending).await.unwrap().unwrap().1.len(), 1);
}

#[tokio::test]
async fn a_call_too_large_for_one_step_loses_its_deliveries_first_and_goes_whole_at_last() {
    let (keeper, _folder) = keeper();
    let store = &keeper.store;
    let session = begin(store, "CAlong", "MZlong").await;
    let events = 2 * u64::from(STEP_ROWS) + 10;
    for seq in 1..=events {
        store.commit(vec![gap_event(&session, seq, &["crm"])]).await.unwrap();
    }
    for due in store.pending(&name("crm"), 0, 2_000).await.unwrap() {
        settle(store, due.id, Standing::Delivered).await;
    }
    end(store, &session).await;
    let (mut steps, mut removed) = (0, 0);
    loop {
        let step = keeper.remove(Kind::Calls, later()).await.unwrap();
        (steps, removed) = (steps + 1, removed + step.removed);
        if !step.more {
            break;
        }
        assert_eq!(store.events(&session, 0, 2_000).await.unwrap().len() as u64, events, "its events stay to the last");
    }
    assert_eq!((steps, removed), (3, 1));
    assert!(store.deliveries(DeliveryFilter::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn audio_of_a_session_that_is_no_more_goes_and_no_other() {
    let (keeper, _folder) = keeper();
    let (here, _) = call(&keeper.store, "CA1", None).await;
    let gone = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    let key = DataKey::new(clock::random());
    let track = TrackKey { stream: 0, track: Track::Inbound };
    for session in [&here, &gone] {
        let line = keeper.spool.track(session, track, &key);
        let chunk = Chunk { offset: Offset(0), at_ms: 0, audio: vec![0; 160].into(), received: clock::now() };
        line.append(&chunk).unwrap();
        line.flush().await;
    }
    assert_eq!(keeper.remove(Kind::Audio, 0).await.unwrap(), Step { removed: 1, more: false });
    assert_eq!(keeper.spool.sessions().await.unwrap().into_iter().collect::<Vec<_>>(), [here]);
}
