//! What lies on the disk, byte by byte, and who can read it.

use super::*;
use crate::store::rewrap;

/// Said, typed, set or answered in [`planted`].
const WORDS: [&str; 4] = ["mangosteen", "rambutan", "jackfruit", "tamarillo"];

#[tokio::test]
async fn what_was_said_stands_in_no_byte_of_any_file_while_running_or_closed() {
    let (store, folder) = open();
    let (session, body) = planted(&store).await;
    assert!(files(&folder).keys().any(|name| name.ends_with("-wal")), "the log is in use");
    assert_eq!(found(&folder, &WORDS), Vec::<String>::new());
    store.close().await;
    drop(store);
    assert_eq!(found(&folder, &WORDS), Vec::<String>::new());

    let again = reopen(&folder, "k1");
    assert_eq!(again.events(&session, 0, 9).await.unwrap()[0].body, body);
    let live = only_live(&again).await;
    assert_eq!(live.session.start.context["keywords"], WORDS[2]);
    assert_eq!(live.segments[0].line.text.as_str(), WORDS[1]);
    let delivery = again.deliveries(DeliveryFilter::default()).await.unwrap().items[0].id;
    let (_, attempts) = again.delivery(delivery).await.unwrap().unwrap();
    assert_eq!(attempts[0].answer.as_deref(), Some(WORDS[3].as_bytes()));
}

#[tokio::test]
async fn a_text_that_was_moved_or_changed_does_not_open() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit((1..=3).map(|seq| gap_event(&session, seq, &["crm"])).collect()).await.unwrap();
    let other = Connection::open(folder.0.join("bridge.db")).unwrap();
    other.execute("UPDATE events SET body = (SELECT body FROM events WHERE seq = 1) WHERE seq = 2", ()).unwrap();
    other.execute("UPDATE events SET body = x'00' WHERE seq = 3", ()).unwrap();
    for seq in [2, 3] {
        assert_eq!(store.events(&session, seq - 1, 1).await, Err(StoreError::Unopened("event")));
    }
    assert_eq!(store.events(&session, 0, 1).await.unwrap().len(), 1);
    let live = only_live(&store).await;
    assert_eq!((live.next_seq, live.gaps.len()), (4, 1), "a restart goes on with what opens");
}

#[tokio::test]
async fn a_call_whose_master_key_is_gone_is_named_and_stops_no_other() {
    let (store, folder) = open();
    let (session, body) = planted(&store).await;
    store.commit(vec![gap_event(&session, 2, &["crm"])]).await.unwrap();
    let waiting = pending(&store, &["crm"]).await[0];
    store.close().await;

    let later = reopen(&folder, "k2");
    let gone = StoreError::NoKey("k1".to_owned());
    assert!(gone.is_unreadable() && gone.to_string().contains("the master key k1"));
    assert_eq!(later.events(&session, 0, 9).await, Err(gone.clone()));
    assert_eq!(later.segments(&session).await, Err(gone.clone()));
    let (segments, are_all) = later.segments_that_open(&session).await.unwrap();
    assert!(segments.is_empty() && !are_all, "what is missing is known to be missing");
    assert_eq!(later.outgoing(waiting).await, Err(gone));
    assert_eq!(later.keyless().await.unwrap(), [("k1".to_owned(), 1)]);
    let sent = later.deliveries(DeliveryFilter::default()).await.unwrap().items.last().unwrap().id;
    let (_, attempts) = later.delivery(sent).await.unwrap().unwrap();
    assert_eq!((attempts[0].status, &attempts[0].answer), (Some(200), &None), "its history is still told");

    let new = masters("k2").new_data_key(&session_id(9)).1;
    let Write::Session(second) = new_session(&session_id(9), "CA2") else { unreachable!() };
    let begun = Write::Session(Box::new(NewSession { key: new, ..*second }));
    later.commit(vec![begun, gap_event(&session_id(9), 1, &[])]).await.unwrap();
    assert_eq!(later.events(&session_id(9), 0, 9).await.unwrap().len(), 1);
    assert_eq!(later.calls(CallFilter::default()).await.unwrap().items.len(), 2);
    assert_eq!(later.live(&session).await.unwrap().unwrap().next_seq, 3);

    let park = Write::Park { delivery: waiting, reason: "no key".to_owned() };
    later.commit(vec![park, gap_event(&session, 3, &[])]).await.unwrap();
    assert_eq!(later.events(&session, 2, 9).await.unwrap()[0].seq, 3, "what is still to be stored has a key");
    assert_eq!(later.delivery(waiting).await.unwrap().unwrap().0.state, "parked");
    later.close().await;

    let both = reopen(&folder, "k2,k1");
    let events = both.events(&session, 0, 9).await.unwrap();
    assert_eq!((events.len(), &events[0].body), (3, &body), "with its key everything is there again");
    assert!(matches!(both.segments_that_open(&session).await.unwrap(), (segments, true) if segments.len() == 1));
    assert_eq!(both.keyless().await.unwrap(), []);
}

#[tokio::test]
async fn a_key_that_was_made_in_a_unit_that_failed_seals_nothing() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.close().await;
    let mut connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    schema::prepare(&connection).unwrap();
    let units = [vec![gap_event(&session, 1, &[]), gap_event(&session, 7, &[])], vec![gap_event(&session, 1, &[])]];
    let ring = Keyring::new(masters("k2"), clock::random);
    let answers = write::commit(&mut connection, &ring, &units, &mut write::Numbers::behind(0));
    assert!(answers[0].is_err() && answers[1].is_ok());
    drop(connection);
    assert_eq!(reopen(&folder, "k2").events(&session, 0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn data_keys_come_under_the_first_master_key_and_the_older_one_can_go() {
    let (store, folder) = open();
    let (session, body) = planted(&store).await;
    store.commit((0..150).map(|n| new_session(&session_id(n), "CA1")).collect()).await.unwrap();
    let before = only_live(&store).await.session.start.key.sealed;
    assert!(holds(&folder, &before));
    store.close().await;

    // Once without the old key, so that this call has two.
    let without = reopen(&folder, "k2");
    without.commit(vec![gap_event(&session, 2, &[])]).await.unwrap();
    without.close().await;
    let both = reopen(&folder, "k3,k2,k1");
    assert_eq!(both.rewrap().await.unwrap(), 152);
    assert_eq!(both.rewrap().await.unwrap(), 0);
    // The readers of the store before may still be letting go of the file, which holds the fold up for a moment.
    let gone = async {
        while holds(&folder, &before) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the old wrapping is in no file");
    both.close().await;
    let first = reopen(&folder, "k3");
    assert_eq!(first.events(&session, 0, 9).await.unwrap()[0].body, body);
    assert_eq!(first.events(&session, 1, 9).await.unwrap().len(), 1);
    assert_eq!(first.keyless().await.unwrap(), []);
}

#[tokio::test]
async fn a_data_key_that_does_not_unwrap_holds_up_no_other() {
    let (store, folder) = open();
    store.commit((0..70).map(|n| new_session(&session_id(n), "CA1")).collect()).await.unwrap();
    let other = Connection::open(folder.0.join("bridge.db")).unwrap();
    other.execute("UPDATE sessions SET data_key = x'00' WHERE id < ?", [session_id(66).as_str()]).unwrap();
    store.close().await;
    assert_eq!(reopen(&folder, "k2,k1").rewrap().await.unwrap(), 4);
}

#[tokio::test]
async fn a_data_key_that_is_erased_between_two_steps_hides_no_other() {
    let (store, folder) = open();
    store.commit((0..70).map(|n| new_session(&session_id(n), "CA1")).collect()).await.unwrap();
    let mut other = Connection::open(folder.0.join("bridge.db")).unwrap();
    other.execute("UPDATE sessions SET data_key = x'00' WHERE id < ?", [session_id(66).as_str()]).unwrap();
    let both = masters("k2,k1");
    let step = rewrap::Step::new(rewrap::Table::Sessions, "k1").take(&mut other, &both).unwrap();
    store.commit((0..10).map(|n| Write::Erase(session_id(n))).collect()).await.unwrap();
    let step = step.take(&mut other, &both).unwrap();
    assert_eq!((step.done(), step.take(&mut other, &both).unwrap().is_over()), (4, true));
}

#[tokio::test]
async fn erasing_a_session_leaves_no_trace_of_it_and_its_key_in_no_file() {
    let (store, folder) = open();
    let (session, _) = planted(&store).await;
    let key = store.call("CA1").await.unwrap().unwrap().start.key.sealed;
    assert!(holds(&folder, &key));
    store.commit(vec![Write::Erase(session.clone())]).await.unwrap();
    assert!(!holds(&folder, &key), "it is shredded by the time that the answer comes");
    let connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    for table in ["sessions", "data_keys", "streams", "tracks", "events", "segments", "deliveries", "attempts"] {
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn what_was_erased_right_before_a_crash_is_gone_after_the_next_start() {
    let (store, folder) = open();
    let (session, _) = planted(&store).await;
    let key = store.call("CA1").await.unwrap().unwrap().start.key.sealed;
    let reader = Connection::open(folder.0.join("bridge.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM sessions", (), |row| row.get(0)).unwrap();
    store.commit(vec![Write::Erase(session)]).await.unwrap();
    assert!(holds(&folder, &key), "somebody still reads what was there before");
    let crashed = Folder::new();
    for (name, bytes) in files(&folder) {
        std::fs::write(crashed.0.join(name), bytes).unwrap();
    }
    let _again = reopen(&crashed, "k1");
    assert!(!holds(&crashed, &key));
}

/// A session with each of [`WORDS`] in its place: an event of seq 1 with its delivery, a final, the context, an answer.
async fn planted(store: &Store) -> (SessionId, bytes::Bytes) {
    let session = begin(store, "CA1", "MZ1").await;
    let Write::Event { event, endpoints } = gap_event(&session, 1, &["crm"]) else { unreachable!() };
    let body = bytes::Bytes::from(format!("{{\"text\":\"{} {}\"}}", WORDS[0], WORDS[0].repeat(2000)));
    let event = Write::Event { event: Event { kind: "transcript.final", body: body.clone(), ..event }, endpoints };
    let Write::Segment { stream, seq, mut text, .. } = segment(&session, 1, "seg_a", 0) else { unreachable!() };
    text.text = Redacted::certified(WORDS[1]);
    let said = Write::Segment { session: session.clone(), stream, seq, text };
    let context = Write::Context { session: session.clone(), context: serde_json::json!({"keywords": WORDS[2]}) };
    store.commit(vec![event, said, context]).await.unwrap();
    let kept = Ok(Answer { status: 200, retry_after: None, kept: WORDS[3].into() });
    store.commit(verdict(pending(store, &["crm"]).await[0], kept, Standing::Delivered)).await.unwrap();
    (session, body)
}

pub(super) fn files(folder: &Folder) -> std::collections::BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(&folder.0).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

fn holds(folder: &Folder, bytes: &[u8]) -> bool {
    files(folder).values().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

/// Which of the words stand in which file.
pub(super) fn found(folder: &Folder, words: &[&str]) -> Vec<String> {
    let all = files(folder);
    let stands = |word: &&str, file: &[u8]| file.windows(word.len()).any(|window| window == word.as_bytes());
    all.iter()
        .flat_map(|(name, file)| words.iter().filter(|word| stands(word, file)).map(move |word| format!("{word} in {name}")))
        .collect()
}
