use std::{path::PathBuf, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use rusqlite::Connection;
use ulid::Ulid;

use self::live::only_live;
use super::*;
use crate::{
    event::{Data, Direction, Event, Line, SpeechActivity, TranscriptGap, TranscriptText},
    media::{CallSid, EndReason, Gap, GapReason, Offset, StreamSid, Track},
    pii::Redacted,
    segment::{Latency, Redaction, Role, TrackKey, Word},
    store::{Ended, NewSession, Standing},
    webhook::{Answer, Attempt, Failure},
};

const KEY: TrackKey = TrackKey { stream: 0, track: Track::Inbound };

#[tokio::test]
async fn a_session_is_read_back_as_it_was_written() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let context = serde_json::json!({"language": "es"});
    let changed = Write::Context { session: session.clone(), context };
    store.commit(vec![mark(&session, 800), mark(&session, 400), changed]).await.unwrap();
    let live = only_live(&store).await;
    assert_eq!(live.session.start.call_sid.as_str(), "CA1");
    assert_eq!(live.session.start.key.key_id, "k1");
    assert!(masters("k1").data_key(&session, &live.session.start.key).is_some());
    assert_eq!(live.session.start.context["language"], "es");
    assert_eq!((live.session.tracks[0].mark, live.session.tracks[0].mark_at_ms), (Offset(800), 100));
    assert_eq!(live.session.tracks[0].role, Role::caller());
    assert_eq!(live.streams, [(0, StreamSid::new("MZ1").unwrap(), 0)]);
    assert_eq!(live.next_seq, 1);
}

#[tokio::test]
async fn the_mark_of_a_joined_stream_lies_on_the_calls_clock() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let (key, stream_sid) = (TrackKey { stream: 1, ..KEY }, StreamSid::new("MZ2").unwrap());
    let joined = Write::Stream { session: session.clone(), stream: 1, dialect: "twilio", stream_sid, at_ms: 30_000 };
    let track = Write::Track { session: session.clone(), key, role: Role::caller() };
    let moved = Write::Mark { session: session.clone(), key, offset: Offset(16_000) };
    store.commit(vec![joined, track, mark(&session, 8_000), moved]).await.unwrap();
    let marks: Vec<u64> = store.call("CA1").await.unwrap().unwrap().tracks.iter().map(|track| track.mark_at_ms).collect();
    assert_eq!(marks, [1_000, 32_000]);
}

#[tokio::test]
async fn a_stream_that_was_seen_before_is_refused_and_leaves_nothing() {
    let (store, _folder) = open();
    begin(&store, "CA1", "MZ1").await;
    let second = session_id(2);
    let refused = store.commit(vec![new_session(&second, "CA2"), stream(&second, "MZ1")]).await;
    assert_eq!(refused, Err(StoreError::SeenBefore));
    assert!(store.call(second.as_str()).await.unwrap().is_none());
    let elsewhere = Write::Stream {
        session: second.clone(),
        stream: 0,
        dialect: "telnyx",
        stream_sid: StreamSid::new("MZ1").unwrap(),
        at_ms: 0,
    };
    assert!(store.commit(vec![new_session(&second, "CA2"), elsewhere]).await.is_ok());
}

#[tokio::test]
async fn a_failing_unit_takes_no_other_of_its_group_with_it() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let units = [
        vec![gap_event(&session, 1, &["crm"])],
        vec![gap_event(&session, 2, &["crm"]), gap_event(&session, 7, &["crm"])],
        vec![gap_event(&session, 2, &["crm"])],
    ];
    let mut connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    schema::prepare(&connection).unwrap();
    let mut numbers = write::Numbers::behind(0);
    let answers = write::commit(&mut connection, &ring(), &units, &mut numbers);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(answers[1], Err(StoreError::OutOfOrder));
    let seqs: Vec<u64> = store.events(&session, 0, 9).await.unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2]);
    let pending = store.pending(&name("crm"), 0, 9).await.unwrap();
    assert_eq!(pending.iter().map(|delivery| delivery.seq).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn numbers_have_no_gaps_and_no_doubles() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    assert_eq!(store.commit(vec![gap_event(&session, 2, &[])]).await, Err(StoreError::OutOfOrder));
    store.commit(vec![gap_event(&session, 1, &[])]).await.unwrap();
    assert_eq!(store.commit(vec![gap_event(&session, 1, &[])]).await, Err(StoreError::OutOfOrder));
    let passing = Data::SpeechStarted(SpeechActivity { track: Track::Inbound, at_ms: 0 });
    let passing = Event::passing(clock::ulid(), 5, &session, &CallSid::new("CA1").unwrap(), &passing);
    let unstored = store.commit(vec![Write::Event { event: passing, endpoints: vec![] }]).await;
    assert_eq!(unstored, Err(StoreError::Misfit));
}

#[tokio::test]
async fn a_session_has_one_end_and_one_completed() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let completed = |seq| {
        let Write::Event { event, endpoints } = gap_event(&session, seq, &[]) else { unreachable!() };
        Write::Event { event: Event { kind: "call.completed", ..event }, endpoints }
    };
    let end = Ended { wall_ms: 9000, reason: EndReason::Disconnect, duration_ms: 8000, complete: true };
    let ended = Write::Ended { session: session.clone(), end };
    store.commit(vec![completed(1), ended.clone()]).await.unwrap();
    assert_eq!(store.commit(vec![completed(2)]).await, Err(StoreError::OutOfOrder));
    assert_eq!(store.commit(vec![ended]).await, Err(StoreError::Misfit));
    assert!(store.unfinished().await.unwrap().is_empty());
    assert_eq!(store.call("CA1").await.unwrap().unwrap().ended, Some(end));
}

#[tokio::test]
async fn a_live_session_knows_its_finals_and_gaps_after_a_restart() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &[]), segment(&session, 1, "seg_b", 500)]).await.unwrap();
    store.commit(vec![gap_event(&session, 2, &[]), segment(&session, 2, "seg_a", 0)]).await.unwrap();
    store.close().await;
    assert_eq!(store.commit(vec![gap_event(&session, 3, &[])]).await, Err(StoreError::Closed));
    drop(store);

    let again = reopen(&folder, "k1");
    let live = only_live(&again).await;
    assert_eq!(live.next_seq, 3);
    let lines: Vec<&Line> = live.segments.iter().map(|segment| &segment.line).collect();
    assert_eq!((lines[0].segment_id.as_str(), lines[1].segment_id.as_str()), ("seg_a", "seg_b"));
    assert_eq!((lines[0].text.as_str(), live.segments[0].key), ("[SSN_1] please", KEY));
    assert_eq!(live.segments[0].redactions, ["SSN"]);
    assert_eq!(live.segments[0].speakers, ["inbound:0", "inbound:1"], "whoever says a word of it has a label");
    assert_eq!(live.gaps, vec![(Track::Inbound, Gap { from_ms: 1, to_ms: 2, reason: GapReason::Quota }); 2]);
}

#[tokio::test]
async fn events_come_back_byte_for_byte_behind_a_number() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let writes: Vec<Write> = (1..=4).map(|seq| gap_event(&session, seq, &[])).collect();
    let bodies: Vec<_> = writes
        .iter()
        .map(|write| if let Write::Event { event, .. } = write { event.body.clone() } else { unreachable!() })
        .collect();
    store.commit(writes).await.unwrap();
    let back = store.events(&session, 1, 2).await.unwrap();
    assert_eq!(back.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(back[0].body, bodies[1]);
}

#[tokio::test]
async fn calls_are_listed_newest_first_in_pages() {
    let (store, _folder) = open();
    for n in 1..=5 {
        let session = session_id(n);
        store.commit(vec![new_session(&session, "CA1")]).await.unwrap();
        if n < 3 {
            let end = Ended { wall_ms: 1, reason: EndReason::Stop, duration_ms: 1, complete: true };
            store.commit(vec![Write::Ended { session, end }]).await.unwrap();
        }
    }
    let ids = |page: &Page<Session>| page.items.iter().map(|session| session.start.id.clone()).collect::<Vec<_>>();
    let first = store.calls(CallFilter { limit: 2, ..CallFilter::default() }).await.unwrap();
    assert_eq!(ids(&first), [session_id(5), session_id(4)]);
    let rest = store.calls(CallFilter { limit: 3, cursor: first.next_cursor, ..CallFilter::default() }).await.unwrap();
    assert_eq!((ids(&rest), rest.next_cursor), (vec![session_id(3), session_id(2), session_id(1)], None));
    let ended = store.calls(CallFilter { live: Some(false), ..CallFilter::default() }).await.unwrap();
    assert_eq!(ids(&ended), [session_id(2), session_id(1)]);
    assert_eq!(store.call("CA1").await.unwrap().unwrap().start.id, session_id(5));
}

#[tokio::test]
async fn verdicts_are_history_and_a_retry_comes_back_at_a_new_place() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &["crm", "audit"])]).await.unwrap();
    let made = pending(&store, &["crm", "audit"]).await;
    let failed = Standing::Pending { attempts: 1, next_wall_ms: 77, reason: "status 500".into() };
    let kept = Ok(Answer { status: 500, retry_after: None, kept: vec![0xFF, 0x00] });
    store.commit(verdict(made[0], kept, failed)).await.unwrap();
    let parked = Standing::Parked { reason: "timeout".into() };
    store.commit(verdict(made[0], Err(Failure::Timeout), parked)).await.unwrap();

    let (delivery, attempts) = store.delivery(made[0]).await.unwrap().unwrap();
    assert_eq!((delivery.state.as_str(), delivery.attempts, delivery.reason.as_deref()), ("parked", 2, Some("timeout")));
    assert_eq!((attempts[0].status, attempts[0].answer.as_deref()), (Some(500), Some(&[0xFF, 0x00][..])));
    assert_eq!((attempts[1].n, attempts[1].status, attempts[1].failure.as_deref()), (2, None, Some("timeout")));
    assert!(store.pending(&name("crm"), 0, 9).await.unwrap().is_empty());
    assert!(store.outgoing(made[0]).await.unwrap().is_none());

    let (mut places, before) = (store.places(), *store.places().borrow());
    assert_eq!(store.commit(vec![Write::Retry(made[0])]).await.unwrap().retried, 1);
    assert!(places.has_changed().unwrap() && *places.borrow_and_update() > before);
    let again = store.pending(&name("crm"), before, 9).await.unwrap();
    assert_eq!((again[0].id, again[0].attempts), (made[0], 0));
    assert!(store.outgoing(made[0]).await.unwrap().is_some());
    let taken = Ok(Answer { status: 200, retry_after: None, kept: Vec::new() });
    store.commit(verdict(made[0], taken, Standing::Delivered)).await.unwrap();
    let listed = store.deliveries(DeliveryFilter::default()).await.unwrap();
    let tried: Vec<_> = listed.items.iter().map(|delivery| (delivery.id == made[0], delivery.attempts)).collect();
    assert!(tried.contains(&(true, 3)) && tried.contains(&(false, 0)), "over all rounds, the last one too: {tried:?}");
}

#[tokio::test]
async fn a_session_is_found_by_its_id_also_where_a_later_call_took_that_for_its_name() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let imposter = begin(&store, session.as_str(), "MZ2").await;
    assert!(imposter.as_str() > session.as_str(), "it is the newer one");
    assert_eq!(store.call(session.as_str()).await.unwrap().unwrap().start.id, session);
}

#[tokio::test]
async fn many_callers_at_once_are_all_answered_and_all_stored() {
    let (store, _folder) = open();
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..600 {
        let store = store.clone();
        callers.spawn(async move { store.commit(vec![new_session(&session_id(n), "CA1")]).await });
    }
    while let Some(answer) = callers.join_next().await {
        assert!(answer.unwrap().is_ok());
    }
    assert_eq!(store.unfinished().await.unwrap().len(), 600);
}

#[tokio::test]
async fn the_file_is_synced_at_each_commit_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (store, folder) = open();
    let settings = store
        .ask(|connection| {
            let setting = |name: &str| connection.query_row(&format!("PRAGMA {name}"), (), |row| row.get::<_, i64>(0));
            Ok((setting("synchronous")?, setting("foreign_keys")?, setting("user_version")?))
        })
        .await
        .unwrap();
    assert_eq!(settings, (2, 1, i64::try_from(schema::VERSION).unwrap()));
    let mode = std::fs::metadata(folder.0.join("bridge.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

mod again;
mod at_rest;
mod clear;
mod failing;
mod live;

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let folder = Folder::new();
    let path = folder.0.join("bridge.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert_eq!(Store::open(&path, masters("k1")).err(), Some(StoreError::TooNew(99)));
}

/// A folder of its own for one test, removed with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("pulse-bridge-{}", clock::ulid()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn open() -> (Store, Folder) {
    let folder = Folder::new();
    (reopen(&folder, "k1"), folder)
}

/// The store in a folder, with the master keys of these ids.
pub(crate) fn reopen(folder: &Folder, ids: &str) -> Store {
    Store::open(&folder.0.join("bridge.db"), masters(ids)).unwrap()
}

/// Master keys of these ids, separated by commas: one id means one key.
pub(crate) fn masters(ids: &str) -> Arc<MasterKeys> {
    let one = |id: &str| format!("{id}:{}", BASE64_STANDARD.encode([id.bytes().fold(0, u8::wrapping_add); 32]));
    let list = ids.split(',').map(one).collect::<Vec<_>>().join(",");
    Arc::new(MasterKeys::parse(&list.into()).unwrap())
}

fn ring() -> Keyring {
    Keyring::new(masters("k1"), clock::random)
}

pub(crate) async fn begin(store: &Store, call_sid: &str, stream_sid: &str) -> SessionId {
    let session = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    let track = Write::Track { session: session.clone(), key: KEY, role: Role::caller() };
    store.commit(vec![new_session(&session, call_sid), stream(&session, stream_sid), track]).await.unwrap();
    session
}

/// A stored event made at 5 ms past the epoch.
pub(crate) fn gap_event(session: &SessionId, seq: u64, endpoints: &[&str]) -> Write {
    let gap = Gap { from_ms: 1, to_ms: 2, reason: GapReason::Quota };
    let data = Data::TranscriptGap(TranscriptGap::new(Track::Inbound, gap));
    let event = Event::new(clock::ulid(), 5, session, &CallSid::new("CA1").unwrap(), seq, &data);
    Write::Event { event, endpoints: endpoints.iter().map(|endpoint| name(endpoint)).collect() }
}

pub(crate) fn name(endpoint: &str) -> EndpointName {
    EndpointName::new(endpoint).unwrap()
}

async fn pending(store: &Store, endpoints: &[&str]) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    for endpoint in endpoints {
        found.extend(store.pending(&name(endpoint), 0, 9).await.unwrap().iter().map(|delivery| delivery.id));
    }
    found
}

fn session_id(n: u64) -> SessionId {
    SessionId::new(&format!("ses_{}", Ulid::from_parts(n, 0))).unwrap()
}

fn new_session(session: &SessionId, call_sid: &str) -> Write {
    Write::Session(Box::new(NewSession {
        id: session.clone(),
        call_sid: CallSid::new(call_sid).unwrap(),
        dialect: "twilio".into(),
        account_sid: Some("AC1".into()),
        direction: Direction::Outbound,
        from: Some("0100".into()),
        to: None,
        webhook: Some(name("crm")),
        started_wall_ms: 1,
        key: masters("k1").new_data_key(session).1,
        context: serde_json::json!({"language": "en"}),
    }))
}

fn stream(session: &SessionId, stream_sid: &str) -> Write {
    let stream_sid = StreamSid::new(stream_sid).unwrap();
    Write::Stream { session: session.clone(), stream: 0, dialect: "twilio", stream_sid, at_ms: 0 }
}

fn mark(session: &SessionId, offset: u64) -> Write {
    Write::Mark { session: session.clone(), key: KEY, offset: Offset(offset) }
}

fn segment(session: &SessionId, seq: u64, id: &str, start_ms: u64) -> Write {
    let redaction = Redaction {
        kind: "SSN".into(),
        label: "[SSN_1]".into(),
        start_ms: 0,
        end_ms: 1,
        source: "bridge",
        why: crate::redact::Why { reason: crate::redact::Reason::Shape, start: 0, end: 1 },
    };
    let text = TranscriptText {
        segment_id: Some(id.into()),
        track: Track::Inbound,
        role: Role::caller(),
        speaker: "inbound:0".into(),
        start_ms,
        end_ms: start_ms + 400,
        text: Redacted::certified("[SSN_1] please"),
        words: vec![Word {
            text: Redacted::certified("please"),
            start_ms,
            end_ms: start_ms + 400,
            confidence: None,
            speaker: "inbound:1".into(),
            speaker_confidence: None,
            redacted: false,
        }],
        utterances: vec![],
        language: None,
        languages: vec![],
        emotion: None,
        gender: None,
        redactions: vec![redaction],
        beeps: Some(Vec::new()),
        provisional: false,
        recovered: false,
        latency: Latency::default(),
    };
    Write::Segment { session: session.clone(), stream: 0, seq, text: Box::new(text) }
}

/// An attempt from its lease to its end.
fn verdict(delivery: DeliveryId, outcome: Result<Answer, Failure>, standing: Standing) -> Vec<Write> {
    let attempt = Attempt { wall_ms: 50, took: Duration::from_millis(3), outcome };
    vec![Write::Lease { deliveries: vec![delivery], until_wall_ms: 0 }, Write::Verdict { delivery, attempt, standing }]
}
