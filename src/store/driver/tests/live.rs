//! Sessions that have no end yet.

use super::*;
use crate::{media::Received, store::StreamEnd};

/// Far longer than a question takes that waits for nobody.
const PATIENCE: Duration = Duration::from_mins(1);

/// The only one.
pub(super) async fn only_live(store: &Store) -> LiveSession {
    let session = store.unfinished().await.unwrap().pop().unwrap();
    store.live(&session).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_end_of_a_stream_is_read_back() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    assert!(only_live(&store).await.ends.is_empty());
    let came = Received { received_ms: 12_000, filled_ms: 40, end_ms: 12_340 };
    let ended = |stream, reason| {
        let received = vec![(Track::Inbound, came), (Track::Outbound, Received::default())];
        Write::StreamEnded { session: session.clone(), stream, reason, received }
    };
    assert_eq!(only_live(&store).await.session.tracks[0].received, None);
    store.commit(vec![ended(0, EndReason::Shutdown)]).await.unwrap();
    let live = only_live(&store).await;
    assert_eq!(live.ends, [StreamEnd { stream: 0, reason: EndReason::Shutdown }]);
    assert_eq!(live.session.tracks.iter().map(|track| track.received).collect::<Vec<_>>(), [Some(came)], "it has one track");
    assert_eq!(store.commit(vec![ended(1, EndReason::Stop)]).await, Err(StoreError::Misfit));
}

#[tokio::test]
async fn what_changes_of_the_context_leaves_the_rest_of_it() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let changed = |context| Write::Context { session: session.clone(), context };
    let paused = serde_json::json!([{"stream": 0, "track": "inbound", "from_ms": 7}]);
    store.commit(vec![changed(serde_json::json!({"paused": paused}))]).await.unwrap();
    store.commit(vec![changed(serde_json::json!({"language": "es", "keywords": null}))]).await.unwrap();
    let expected = serde_json::json!({"language": "es", "keywords": null, "paused": paused});
    assert_eq!(only_live(&store).await.session.start.context, expected);
    store.commit(vec![changed(serde_json::json!({"paused": []}))]).await.unwrap();
    assert_eq!(only_live(&store).await.session.start.context["paused"], serde_json::json!([]));
}

#[tokio::test]
async fn a_long_question_holds_up_no_other_while_one_reader_is_free() {
    let (store, _folder) = open();
    let (free, held) = std::sync::mpsc::channel::<()>();
    let long = store.clone();
    let long = tokio::spawn(async move { long.ask(move |_| Ok(held.recv().is_err())).await });
    for _ in 0..10 {
        assert!(tokio::time::timeout(PATIENCE, store.call("CA1")).await.unwrap().unwrap().is_none());
    }
    drop(free);
    assert_eq!(long.await.unwrap(), Ok(true));
}

#[tokio::test]
async fn an_event_that_goes_finds_its_segment_without_reading_all_of_the_sessions() {
    let (_store, folder) = open();
    let connection = rusqlite::Connection::open(folder.0.join("bridge.db")).unwrap();
    // What the foreign key asks for each event.
    let plan = "EXPLAIN QUERY PLAN SELECT 1 FROM segments WHERE session_id = ? AND seq = ?";
    let plan: String = connection.query_row(plan, ("ses_1", 1), |row| row.get(3)).unwrap();
    assert!(plan.contains("segments_by_event"), "{plan}");
}

#[tokio::test]
async fn as_many_long_questions_as_the_api_may_have_read_hold_up_no_delivery_and_no_stream() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &["crm"])]).await.unwrap();
    let (began, mut begins) = mpsc::unbounded_channel();
    let (frees, long): (Vec<_>, Vec<_>) = (0..READERS)
        .map(|_| {
            let (free, held) = std::sync::mpsc::channel::<()>();
            let (store, began) = (store.clone(), began.clone());
            let question = move |_: &Connection| {
                began.send(()).unwrap();
                Ok(held.recv().is_err())
            };
            (free, tokio::spawn(async move { store.ask(question).await }))
        })
        .unzip();
    for _ in 0..READERS {
        begins.recv().await.unwrap();
    }
    let others = async {
        let pending = store.pending(&name("crm"), 0, 9).await.unwrap();
        assert!(store.outgoing(pending[0].id).await.unwrap().is_some());
        assert!(store.has_stream("twilio", &StreamSid::new("MZ1").unwrap()).await.unwrap());
        assert!(store.paused().await.unwrap().is_empty());
        assert!(store.live(&store.unfinished().await.unwrap()[0]).await.unwrap().is_some());
    };
    tokio::time::timeout(PATIENCE, others).await.expect("they have a reader of their own");
    drop(frees);
    for long in long {
        assert_eq!(long.await.unwrap(), Ok(true));
    }
}
