//! The real binary is killed in the middle of a call and started again: audio is on disk from its first frame until a stored
//! final covers it, a final is stored with its event and deliveries, and only then is anyone told and the mark moved.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use hyper::Method;
use pulse_bridge::{
    event::Direction,
    keys::MasterKeys,
    media::{CallSid, Chunk, Offset, SessionId, StreamSid, Track},
    receive::Received,
    replay::{self, Pace, Progress, Recording},
    segment::{Role, TrackKey},
    spool::{
        FileName, Spool,
        seal::{DataKey, WrappedKey},
    },
    store::{NewSession, Store, Write},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use url::Url;

use crate::{
    binary::address_of,
    http::ask_url,
    phone::{Phone, recording},
    stage::{Stage, accepted, assert_unbroken, ids, load, of_type, until},
};

/// Finals before the kill. The third one is the agent's "mm-hmm" while the caller is in the middle of the card number.
const FINALS_BEFORE: usize = 3;
/// The end of that "mm-hmm": all the audio up to here was there, or its final could not have come, in milliseconds.
const THERE_BY_THEN_MS: u64 = 12_770;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bridge_loses_no_word_and_no_event() {
    let mut stage = Stage::new().await;
    let settings = stage.settings_for_a_binary();
    let mut events: BTreeMap<u64, Value> = BTreeMap::new();
    let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    kill_in_the_middle(&mut stage, "CAkilled", &mut events, &mut bodies).await;

    let second = Binary::start(&settings).await;
    while events.values().all(|event| event["type"] != "call.completed") {
        take(&mut stage, &mut events, &mut bodies).await;
    }
    let events: Vec<Value> = events.into_values().collect();
    assert_unbroken(&events);
    let completed = &events.last().unwrap()["data"];
    assert_eq!(completed["end_reason"], "crash");
    assert_eq!(completed["complete"], false, "what the caller said after the kill is gone, and the event says so");
    assert!(of_type(&events, "transcript.final").iter().any(|data| data["recovered"] == true), "{events:#?}");
    assert_every_word_once(&events, THERE_BY_THEN_MS);
    drop(second);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_call_is_ended_with_the_language_and_keywords_that_it_had_last() {
    let mut stage = Stage::new().await;
    let settings = stage.settings_for_a_binary();
    let mut first = Binary::start(&settings).await;
    let mut phone = Phone::dial_at(first.address.parse().unwrap(), "CAtuned", "/media/twilio").await.ok().unwrap();
    phone.start_with(&["inbound"], &serde_json::json!({"keywords": "Acme:2"})).await;
    phone.speak(&recording("mid-word"), 0..100).await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    let url = format!("http://{}/v1/calls/CAtuned/language", first.address);
    let answer = ask_url(&url, Method::POST, &[], r#"{"language":"es"}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    first.kill();
    let before = stage.heard_of("CAtuned").len();

    let second = Binary::start(&settings).await;
    stage.rest_of_events().await;
    let heard = stage.heard_of("CAtuned");
    assert!(heard.len() > before, "what the caller said is transcribed after the kill");
    for log in &heard[before..] {
        for (name, value) in [("language", "es"), ("keywords", "Acme:2")] {
            assert!(log.query.contains(&(name.to_owned(), value.to_owned())), "{:?}", log.query);
        }
    }
    drop(second);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_that_cannot_be_read_is_kept_for_a_start_that_can() {
    let mut stage = Stage::new().await;
    let (mut events, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    kill_in_the_middle(&mut stage, "CAunread", &mut events, &mut bodies).await;
    let data_dir = stage.data_dir.join("binary");
    let session = SessionId::new(events[&1]["data"]["session_id"].as_str().unwrap()).unwrap();
    let track = TrackKey { stream: 0, track: Track::Inbound };
    // A folder in a file's place is the one thing that even root fails to read.
    let name = FileName { session: session.clone(), track, first: Offset(u64::MAX) }.render().unwrap();
    let in_the_way = data_dir.join("spool").join(name);
    std::fs::create_dir(&in_the_way).unwrap();
    let spooled = files_in(&data_dir.join("spool"));
    assert!(spooled.len() > 1, "audio is left: {spooled:?}");

    let second = stage.another(&data_dir).await;
    assert_eq!(second.recovered, 1);
    until(|| second.calls.left_to_recover() == 0).await;
    let ready = ask_url(&format!("http://{}/readyz", second.address), Method::GET, &[], "").await.json();
    assert_eq!((&ready["ready"], &ready["recovery"]["state"]), (&true.into(), &"failing".into()), "{ready:#}");
    second.close().await;
    assert_eq!(files_in(&data_dir.join("spool")), spooled);

    std::fs::remove_dir(&in_the_way).unwrap();
    let third = stage.another(&data_dir).await;
    while events.values().all(|event| event["type"] != "call.completed") {
        take(&mut stage, &mut events, &mut bodies).await;
    }
    let events: Vec<Value> = events.into_values().collect();
    assert_unbroken(&events);
    assert!(of_type(&events, "transcript.final").iter().any(|data| data["recovered"] == true), "{events:#?}");
    assert_every_word_once(&events, THERE_BY_THEN_MS);
    third.close().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_that_no_call_needs_any_more_is_gone_after_a_start() {
    let stage = Stage::new().await;
    let data_dir = stage.data_dir.join("later");
    std::fs::create_dir_all(&data_dir).unwrap();
    let session = SessionId::new(&format!("ses_{}", pulse_bridge::clock::ulid())).unwrap();
    let spool = Spool::open(&data_dir.join("spool")).unwrap();
    let key = TrackKey { stream: 0, track: Track::Inbound };
    let audio = Chunk { offset: Offset(0), at_ms: 0, audio: vec![0x55; 480].into(), received: pulse_bridge::clock::now() };
    let track = spool.track(&session, key, &DataKey::new([7; 32]));
    track.append(&audio).unwrap();
    spool.flush().await;
    assert!(spool.sessions().await.unwrap().contains(&session));
    drop((track, spool));

    let later = stage.another(&data_dir).await;
    let spool = Spool::open(&data_dir.join("spool")).unwrap();
    assert!(spool.sessions().await.unwrap().is_empty());
    later.close().await;
    stage.end().await;
}

/// Plays to a bridge of its own that is killed while the caller says the card number; takes what was delivered by then.
async fn kill_in_the_middle(
    stage: &mut Stage,
    call: &str,
    events: &mut BTreeMap<u64, Value>,
    bodies: &mut BTreeMap<String, Vec<u8>>,
) {
    let mut first = Binary::start(&stage.settings_for_a_binary()).await;
    let ids = Some(ids(call, &format!("MZ-{call}")));
    let phone = replay::Settings { to: first.media(), pace: Pace::Times(4.0), ids, ..stage.phone() };
    let playing =
        tokio::spawn(
            async move { replay::play(&Recording::of_fixture(load("pay-by-card")), &phone, &Progress::default()).await },
        );
    while events.values().filter(|event| event["type"] == "transcript.final").count() < FINALS_BEFORE {
        take(stage, events, bodies).await;
    }
    first.kill();
    assert_eq!(playing.await.unwrap().ended, "failed", "the phone saw its bridge die");
}

fn files_in(folder: &std::path::Path) -> BTreeSet<std::ffi::OsString> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_master_key_is_gone_still_ends_once_and_says_what_is_lost() {
    let mut stage = Stage::new().await;
    let data_dir = stage.data_dir.join("rekeyed");
    std::fs::create_dir_all(&data_dir).unwrap();
    let session = SessionId::new(&format!("ses_{}", pulse_bridge::clock::ulid())).unwrap();
    let store = Store::open(&data_dir.join("bridge.sqlite"), Arc::new(MasterKeys::open_or_make(&data_dir).unwrap())).unwrap();
    let key = WrappedKey { key_id: "gone".into(), sealed: vec![7; 80] };
    store.commit(live_call(&session, "CArekeyed", key)).await.unwrap();
    store.close().await;
    let spool = Spool::open(&data_dir.join("spool")).unwrap();
    let track = spool.track(&session, TrackKey { stream: 0, track: Track::Inbound }, &DataKey::new([7; 32]));
    for offset in [0, 480] {
        let at_ms = offset / 8;
        let audio = vec![0x55; 480].into();
        track.append(&Chunk { offset: Offset(offset), at_ms, audio, received: pulse_bridge::clock::now() }).unwrap();
    }
    spool.flush().await;
    drop((track, spool));

    let later = stage.another(&data_dir).await;
    assert_eq!(later.recovered, 1);
    for (from_ms, to_ms) in [(0, 120), (120, 320)] {
        let gap = stage.next_event().await;
        assert_eq!((&gap["type"], &gap["data"]["reason"]), (&"transcript.gap".into(), &"crash".into()));
        assert_eq!((&gap["data"]["from_ms"], &gap["data"]["to_ms"]), (&from_ms.into(), &to_ms.into()));
    }
    let completed = stage.next_event().await;
    assert_eq!((&completed["type"], &completed["data"]["end_reason"]), (&"call.completed".into(), &"crash".into()));
    assert_eq!(completed["data"]["complete"], false);
    later.close().await;
    stage.end().await;
}

/// The rows of a call that is on the line, with one track.
pub(crate) fn live_call(session: &SessionId, call: &str, key: WrappedKey) -> Vec<Write> {
    let new = NewSession {
        id: session.clone(),
        call_sid: CallSid::new(call).unwrap(),
        dialect: "twilio".into(),
        account_sid: None,
        direction: Direction::Inbound,
        from: None,
        to: None,
        webhook: None,
        started_wall_ms: 1,
        key,
        context: serde_json::json!({}),
    };
    let stream_sid = StreamSid::new(&format!("MZ-{call}")).unwrap();
    let track = TrackKey { stream: 0, track: Track::Inbound };
    vec![
        Write::Session(Box::new(new)),
        Write::Stream { session: session.clone(), stream: 0, dialect: "twilio", stream_sid, at_ms: 0 },
        Write::Track { session: session.clone(), key: track, role: Role::caller() },
    ]
}

/// Takes one delivery; one that comes again must be the same bytes.
pub(crate) async fn take(stage: &mut Stage, events: &mut BTreeMap<u64, Value>, bodies: &mut BTreeMap<String, Vec<u8>>) {
    note(&stage.next_delivery().await, events, bodies);
}

/// As [`take`], of a delivery that came.
pub(crate) fn note(delivery: &Received, events: &mut BTreeMap<u64, Value>, bodies: &mut BTreeMap<String, Vec<u8>>) {
    let event = accepted(delivery);
    let id = delivery.webhook_id.clone().unwrap();
    let before = bodies.insert(id, delivery.body.to_vec());
    assert!(before.is_none_or(|before| before == delivery.body), "the same webhook-id with other bytes");
    let seq = event["data"]["seq"].as_u64().unwrap();
    let before = events.insert(seq, event.clone());
    assert!(before.is_none_or(|before| before == event), "two events of one number");
}

/// Each word of the truth that ends before `until_ms` is in the transcript once, but for those that were redacted.
fn assert_every_word_once(events: &[Value], until_ms: u64) {
    let mut said: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut redacted: Vec<(String, u64, u64)> = Vec::new();
    let mut ids = BTreeSet::new();
    for data in of_type(events, "transcript.final") {
        assert!(ids.insert(data["segment_id"].to_string()), "two segments of one id");
        let track = data["track"].as_str().unwrap();
        for word in data["words"].as_array().unwrap() {
            if word["redacted"] == true {
                redacted.push((track.to_owned(), word["start_ms"].as_u64().unwrap(), word["end_ms"].as_u64().unwrap()));
            } else {
                *said.entry((track.to_owned(), word["text"].as_str().unwrap().to_lowercase())).or_default() += 1;
            }
        }
    }
    let truth = load("pay-by-card");
    let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut in_all: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut checked = 0;
    for (track, truth) in &truth.truth {
        for word in &truth.words {
            *in_all.entry((track.to_string(), word.text.to_lowercase())).or_default() += 1;
        }
        for word in truth.words.iter().filter(|word| word.end_ms <= until_ms) {
            let middle = u64::midpoint(word.start_ms, word.end_ms);
            let is_redacted = redacted.iter().any(|(of, from, to)| of == track.as_str() && (*from..=*to).contains(&middle));
            if !is_redacted {
                *expected.entry((track.to_string(), word.text.to_lowercase())).or_default() += 1;
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "too little was said to prove anything: {checked} words before {until_ms} ms");
    for (word, heard) in &said {
        assert!(in_all.get(word).is_some_and(|count| heard <= count), "{word:?} was heard {heard} times, more than it was said");
    }
    for (word, count) in expected {
        let heard = said.get(&word).copied().unwrap_or(0);
        assert!(heard >= count, "{word:?} was said {count} times and heard {heard} times\n{events:#?}");
    }
}

/// The real program; killed when it is dropped.
pub(crate) struct Binary {
    child: Child,
    pub address: String,
}

impl Binary {
    /// Starts it and waits for its start line.
    pub(crate) async fn start(settings: &[(String, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"))
            .arg("serve")
            .env_clear()
            .envs(settings.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = address_of(&mut child).await;
        Self { child, address }
    }

    fn media(&self) -> Url {
        Url::parse(&format!("ws://{}/media/twilio", self.address)).unwrap()
    }

    /// Tells it to stop.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> i32 {
        let mut code = None;
        until(|| {
            code = self.child.try_wait().unwrap();
            code.is_some()
        })
        .await;
        code.and_then(|code| code.code()).expect("it ended by itself")
    }

    /// As `kill -9` does: no chance to write anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
