//! Many deliveries sent again at once.

use super::{super::again::AT_ONCE, *};
use crate::store::DeliveryState;

#[tokio::test]
async fn more_than_one_unit_takes_are_all_sent_again_each_session_in_its_order() {
    let (store, _folder) = open();
    let count = 2 * AT_ONCE as u64 + 100;
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit((1..=count).map(|seq| gap_event(&session, seq, &["crm"])).collect()).await.unwrap();
    let waiting = store.pending(&name("crm"), 0, usize::MAX).await.unwrap();
    let park = |delivery| Write::Park { delivery, reason: "timeout".into() };
    store.commit(waiting.iter().rev().map(|pending| park(pending.id)).collect()).await.unwrap();
    assert!(store.pending(&name("crm"), 0, 1).await.unwrap().is_empty());
    let parked = DeliveryFilter { state: Some(DeliveryState::Parked), limit: 1, ..DeliveryFilter::default() };
    assert_eq!(store.retry_all(parked.clone()).await.unwrap(), count);
    let again = store.pending(&name("crm"), 0, usize::MAX).await.unwrap();
    assert!(again.iter().map(|pending| pending.seq).eq(1..=count), "reading by places gives them in the order of seq");
    assert_eq!(store.retry_all(parked).await.unwrap(), 0);
}

#[tokio::test]
async fn what_has_left_the_filters_state_meanwhile_is_not_sent_again() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &["crm", "audit"])]).await.unwrap();
    let deliveries = pending(&store, &["crm", "audit"]).await;
    let taken = Ok(Answer { status: 200, retry_after: None, kept: Vec::new() });
    let parked = Standing::Parked { reason: "timeout".into() };
    store.commit(verdict(deliveries[0], taken, Standing::Delivered)).await.unwrap();
    store.commit(verdict(deliveries[1], Err(Failure::Timeout), parked)).await.unwrap();
    let again = Write::RetryThese { deliveries: deliveries.clone(), state: Some(DeliveryState::Parked) };
    assert_eq!(store.commit(vec![again]).await.unwrap().retried, 1);
    assert_eq!(store.delivery(deliveries[0]).await.unwrap().unwrap().0.state, "delivered");
}

#[tokio::test]
async fn many_are_retried_by_what_they_have_in_common() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &["crm", "audit"]), gap_event(&session, 2, &["crm"])]).await.unwrap();
    for delivery in pending(&store, &["crm", "audit"]).await {
        let parked = Standing::Parked { reason: "timeout".into() };
        store.commit(verdict(delivery, Err(Failure::Timeout), parked)).await.unwrap();
    }
    let filter = DeliveryFilter { state: Some(DeliveryState::Parked), endpoint: Some("crm".into()), ..DeliveryFilter::default() };
    let listed = store.deliveries(filter.clone()).await.unwrap();
    assert_eq!(listed.items.iter().map(|delivery| delivery.seq).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(store.retry_all(filter).await.unwrap(), 2);
    let others = DeliveryFilter { call_sid: Some("CA1".into()), since_wall_ms: Some(6), ..DeliveryFilter::default() };
    assert!(store.deliveries(others).await.unwrap().items.is_empty());
    let backlogs = store.backlogs().await.unwrap();
    assert_eq!((backlogs[0].endpoint.as_str(), backlogs[0].pending, backlogs[0].parked), ("audit", 0, 1));
    assert_eq!((backlogs[1].pending, backlogs[1].oldest_wall_ms), (2, Some(5)));
}
