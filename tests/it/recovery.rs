//! What an earlier run left: many calls at once, a service that is away when they are to be ended, a bridge that is killed again meanwhile.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use hyper::Method;
use pulse_bridge::{
    clock,
    emulate::Faults,
    keys::MasterKeys,
    media::{Chunk, EndReason, Offset, Received, SessionId, Track},
    segment::{Role, TrackKey},
    spool::{FileName, Spool},
    store::{Store, Write},
};
use serde_json::Value;

use crate::{
    http,
    phone::{Phone, assert_whole, frames, plain, recording, spoken},
    restart::{Binary, live_call, take},
    stage::{Plan, Stage, assert_unbroken, faults, of_type, text_of, until},
};

/// More than may be brought back at once.
const MANY: usize = 500;
/// One in four of the plan's 100 sessions.
const AT_ONCE: usize = 25;

/// Calls of one track that a bridge left on the line, each with a little audio.
async fn leave_calls(data_dir: &Path, count: usize) -> Vec<SessionId> {
    let mut left = Vec::new();
    std::fs::create_dir_all(data_dir).unwrap();
    let keys = Arc::new(MasterKeys::open_or_make(data_dir).unwrap());
    let store = Store::open(&data_dir.join("bridge.sqlite"), Arc::clone(&keys)).unwrap();
    let spool = Spool::open(&data_dir.join("spool")).unwrap();
    for n in 0..count {
        let session = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
        let (key, wrapped) = keys.new_data_key(&session);
        store.commit(live_call(&session, &format!("CAleft{n}"), wrapped)).await.unwrap();
        let track = spool.track(&session, TrackKey { stream: 0, track: Track::Inbound }, &key);
        track.append(&Chunk { offset: Offset(0), at_ms: 0, audio: vec![0xFF; 4_800].into(), received: clock::now() }).unwrap();
        left.push(session);
    }
    spool.flush().await;
    store.close().await;
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_earlier_calls_are_brought_back_a_few_at_a_time_beside_new_ones() {
    let mut stage = Stage::new().await;
    let data_dir = stage.data_dir.join("many");
    leave_calls(&data_dir, MANY).await;
    let later = stage.another(&data_dir).await;
    assert_eq!(later.recovered, MANY);
    let mut phone = Phone::dial_at(later.address, "CAnew", "/media/twilio").await.expect("a new call is taken");
    phone.start().await;
    let audio = recording("mid-word");
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.end().await;
    let mut completed = BTreeMap::new();
    let mut new = Vec::new();
    while completed.len() <= MANY {
        let event = stage.next_event().await;
        let call = event["data"]["call_sid"].as_str().unwrap().to_owned();
        if event["type"] == "call.completed" {
            assert_eq!(completed.insert(call.clone(), event["data"]["end_reason"].clone()), None, "one end for each call");
        }
        if call == "CAnew" {
            new.push(event);
        }
    }
    assert_whole(&new);
    assert_eq!(completed.values().filter(|reason| **reason == "crash").count(), MANY);
    // The service may notice an end a moment later than the bridge.
    assert!(stage.heard.most_open() < 2 * AT_ONCE, "{} at once", stage.heard.most_open());
    until(|| later.calls.left_to_recover() == 0).await;
    later.close().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_calls_are_taken_while_earlier_ones_wait_for_a_service_that_is_away() {
    let settings = vec![("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "60 s".to_owned())];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let data_dir = stage.data_dir.join("waiting");
    leave_calls(&data_dir, 1).await;
    stage.speech.kill().await;
    let later = stage.another(&data_dir).await;
    let url = format!("http://{}/readyz", later.address);
    let ready: Value = serde_json::from_str(&http::ask_at(&url).await).unwrap();
    assert_eq!((&ready["ready"], &ready["recovery"]["state"]), (&true.into(), &"recovering".into()), "{ready:#}");
    assert_eq!(ready["recovery"]["reason"], "calls of an earlier run that are still to be ended: 1");
    let mut phone = Phone::dial_at(later.address, "CAmeanwhile", "/media/twilio").await.expect("a new call is taken");
    phone.start().await;
    let audio = recording("mid-word");
    phone.speak(&audio, 0..frames(&audio)).await;
    stage.speech.live(Faults::default()).await;
    phone.end().await;
    let mut events = BTreeMap::<String, Vec<Value>>::new();
    while events.values().flatten().filter(|event| event["type"] == "call.completed").count() < 2 {
        let event = stage.next_event().await;
        events.entry(event["data"]["call_sid"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    assert_whole(&events["CAmeanwhile"]);
    until(|| later.calls.left_to_recover() == 0).await;
    later.close().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_start_can_end_is_told_of_and_may_be_erased() {
    let stage = Stage::new().await;
    let data_dir = stage.data_dir.join("unread");
    let session = leave_calls(&data_dir, 1).await.pop().unwrap();
    let track = TrackKey { stream: 0, track: Track::Inbound };
    // A folder in a file's place is the one thing that even root fails to read.
    let name = FileName { session: session.clone(), track, first: Offset(u64::MAX) }.render().unwrap();
    std::fs::create_dir(data_dir.join("spool").join(name)).unwrap();
    let later = stage.another(&data_dir).await;
    until(|| later.calls.left_to_recover() == 0).await;
    let ask = async |method: Method, path: &str| http::ask_url(&format!("http://{}{path}", later.address), method, &[], "").await;
    let ready = ask(Method::GET, "/readyz").await.json();
    assert_eq!((&ready["ready"], &ready["recovery"]["state"]), (&true.into(), &"failing".into()), "{ready:#}");
    let reason = ready["recovery"]["reason"].as_str().unwrap();
    assert!(reason.contains("next start to end: 1 (its spooled audio cannot be read)"), "{reason}");
    assert_eq!(ask(Method::DELETE, "/v1/calls/CAleft0").await.status, 204);
    ask(Method::GET, &format!("/v1/calls/{session}")).await.problem(404);
    assert_eq!(ask(Method::GET, "/readyz").await.json()["recovery"]["state"], "ready");
    assert_eq!(std::fs::read_dir(data_dir.join("spool")).unwrap().count(), 1, "the folder alone is left");
    later.close().await;
    assert!(stage.end_with_events().await.is_empty(), "nothing was told of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_being_brought_back_is_not_erased_before_its_end() {
    let stall = faults(r#"{"attempts":[0],"kind":"stall","after_bytes":100}"#);
    let mut stage = Stage::with(Plan { faults: stall, ..Plan::default() }).await;
    let data_dir = stage.data_dir.join("returning");
    leave_calls(&data_dir, 1).await;
    let later = stage.another(&data_dir).await;
    let url = format!("http://{}/v1/calls/CAleft0", later.address);
    until(|| !stage.heard_of("CAleft0").is_empty()).await;
    let refused = http::ask_url(&url, Method::DELETE, &[], "").await.problem(409);
    assert!(refused.contains("being brought back"), "{refused}");
    while stage.next_event().await["type"] != "call.completed" {}
    until(|| later.calls.left_to_recover() == 0).await;
    assert_eq!(http::ask_url(&url, Method::DELETE, &[], "").await.status, 204);
    later.close().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_killed_again_while_it_recovers_ends_the_call_once_and_whole() {
    let mut stage = Stage::new().await;
    let settings = stage.settings_for_a_binary();
    let (mut events, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    let mut first = Binary::start(&settings).await;
    let mut phone = Phone::dial_at(first.address.parse().unwrap(), "CAagain", "/media/twilio").await.unwrap();
    phone.start().await;
    let audio = recording("mid-word");
    phone.speak(&audio, 0..frames(&audio)).await;
    let heard = |stage: &Stage| stage.heard_of("CAagain").iter().map(|log| log.bytes).sum::<u64>();
    until(|| heard(&stage) >= 11_500 * 8).await;
    first.kill();
    // As soon as it is up, and in the middle of it.
    Binary::start(&settings).await.kill();
    let connections = stage.heard_of("CAagain").len();
    let mut third = Binary::start(&settings).await;
    until(|| stage.heard_of("CAagain").get(connections).is_some_and(|log| log.bytes > 0)).await;
    third.kill();

    let fourth = Binary::start(&settings).await;
    while events.values().all(|event: &Value| event["type"] != "call.completed") {
        take(&mut stage, &mut events, &mut bodies).await;
    }
    drop(fourth);
    assert!(stage.end_with_events().await.is_empty(), "nothing comes behind the end");
    let events: Vec<Value> = events.into_values().collect();
    assert_unbroken(&events);
    assert_eq!(plain(&text_of(&events, "inbound")), plain(&spoken("mid-word")));
    assert_eq!(of_type(&events, "transcript.gap").len(), 1, "what was on its way at the first kill, told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_of_a_call_that_was_killed_opens_a_session_of_its_own() {
    let mut stage = Stage::new().await;
    let settings = stage.settings_for_a_binary();
    let mut first = Binary::start(&settings).await;
    let mut phone = Phone::dial_at(first.address.parse().unwrap(), "CAmoved", "/media/twilio").await.unwrap();
    phone.start().await;
    phone.speak(&recording("mid-word"), 0..200).await;
    let started = stage.next_event().await;
    first.kill();
    let second = Binary::start(&settings).await;
    let mut phone = Phone::dial_at(second.address.parse().unwrap(), "CAmoved", "/media/twilio").await.unwrap().named("MZmoved");
    phone.start().await;
    phone.stop().await;
    let mut ends = BTreeMap::new();
    while ends.len() < 2 {
        let event = stage.next_event().await;
        if event["type"] == "call.completed" {
            let session = event["data"]["session_id"].clone();
            ends.insert(session == started["data"]["session_id"], event["data"]["end_reason"].clone());
        }
    }
    assert_eq!((&ends[&true], &ends[&false]), (&"crash".into(), &"stop".into()));
    drop(second);
    stage.end().await;
}

/// A call whose stream was over when the bridge was killed: a second came on each track, and of the agent's the disk has so much.
async fn leave_ended(data_dir: &Path, agent_ms: u64) {
    std::fs::create_dir_all(data_dir).unwrap();
    let keys = Arc::new(MasterKeys::open_or_make(data_dir).unwrap());
    let store = Store::open(&data_dir.join("bridge.sqlite"), Arc::clone(&keys)).unwrap();
    let spool = Spool::open(&data_dir.join("spool")).unwrap();
    let session = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    let (data_key, wrapped) = keys.new_data_key(&session);
    let agent = TrackKey { stream: 0, track: Track::Outbound };
    let mut unit = live_call(&session, "CAended", wrapped);
    unit.push(Write::Track { session: session.clone(), key: agent, role: Role::agent() });
    let received = Received { received_ms: 900, filled_ms: 100, end_ms: 1_000 };
    let received = vec![(Track::Inbound, received), (Track::Outbound, received)];
    unit.push(Write::StreamEnded { session: session.clone(), stream: 0, reason: EndReason::Stop, received });
    store.commit(unit).await.unwrap();
    for (key, ms) in [(TrackKey { track: Track::Inbound, ..agent }, 1_000), (agent, agent_ms)] {
        let audio = vec![0xFF; usize::try_from(ms * 8).unwrap()].into();
        let track = spool.track(&session, key, &data_key);
        track.append(&Chunk { offset: Offset(0), at_ms: 0, audio, received: clock::now() }).unwrap();
    }
    spool.flush().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_whose_last_audio_the_disk_has_lost_says_so_though_the_other_one_is_whole() {
    for (agent_ms, lost) in [(1_000, None), (700, Some((700, 1_000)))] {
        let mut stage = Stage::new().await;
        let data_dir = stage.data_dir.join("ended");
        leave_ended(&data_dir, agent_ms).await;
        let bridge = stage.another(&data_dir).await;
        let events = stage.rest_of_events().await;
        let gaps: Vec<_> = of_type(&events, "transcript.gap")
            .iter()
            .map(|gap| (gap["track"].clone(), gap["from_ms"].as_u64(), gap["to_ms"].as_u64()))
            .collect();
        let expected: Vec<_> = lost.iter().map(|(from, to)| ("outbound".into(), Some(*from), Some(*to))).collect();
        assert_eq!(gaps, expected);
        let completed = of_type(&events, "call.completed")[0];
        assert_eq!((&completed["end_reason"], &completed["complete"]), (&"stop".into(), &lost.is_none().into()));
        for track in completed["tracks"].as_array().unwrap() {
            assert_eq!((&track["received_ms"], &track["filled_ms"]), (&900.into(), &100.into()), "{track:#}");
        }
        bridge.close().await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bridge_on_the_same_folder_is_refused_and_the_first_ones_calls_go_on() {
    let mut stage = Stage::new().await;
    let data_dir = stage.data_dir.join("shared");
    let first = stage.another(&data_dir).await;
    let mut phone = Phone::dial_at(first.address, "CAfirst", "/media/twilio").await.unwrap();
    phone.start().await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    let refused = stage.try_another(&data_dir).await.err().expect("it does not start").to_string();
    assert!(refused.starts_with("another pulse-bridge uses ") && refused.contains("PULSE_BRIDGE_DATA_DIR"), "{refused}");
    let audio = recording("mid-word");
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.end().await;
    let events = stage.rest_of_events().await;
    assert_eq!(plain(&text_of(&events, "inbound")), plain(&spoken("mid-word")));
    assert_eq!(of_type(&events, "call.completed")[0]["end_reason"], "stop");
    first.close().await;
    stage.another(&data_dir).await.close().await;
    stage.end().await;
}
