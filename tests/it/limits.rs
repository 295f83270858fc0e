//! The bounds of calls, and how a call ends when one is reached.

use std::time::Duration;

use pulse_bridge::{
    clock,
    event::{CallDtmf, Data, Event},
    media::{CallSid, SessionId, Track},
    store::Write,
};
use serde_json::Value;

use crate::{
    http,
    phone::{Phone, assert_whole, frames, good_call, one_call, plain, recording, spoken, until_completed},
    stage::{Plan, Stage, of_type, text_of, until},
};

async fn with(name: &'static str, value: &str) -> Stage {
    Stage::with(Plan { settings: vec![(name, value.to_owned())], ..Plan::default() }).await
}

/// Waits for this call's next event, which is to be of this type.
async fn next(stage: &mut Stage, call: &str, kind: &str) -> Value {
    let event = stage.next_event().await;
    assert_eq!((&event["type"], &event["data"]["call_sid"]), (&kind.into(), &call.into()), "{event:#}");
    event
}

fn completed(events: &[Value]) -> &Value {
    let completed = of_type(events, "call.completed");
    assert_eq!(completed.len(), 1, "exactly one terminal event");
    completed[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_the_limit_is_refused_and_the_first_goes_on() {
    let mut stage = with("PULSE_BRIDGE_INGEST_MAX_CALLS", "1").await;
    let audio = recording("mid-word");
    let mut first = Phone::dial(&stage, "CAfirst").await;
    // Upgraded while there was room, started when there is none.
    let mut second = Phone::dial(&stage, "CAsecond").await;
    first.start().await;
    let started = next(&mut stage, "CAfirst", "call.started").await;
    first.speak(&audio, 0..200).await;
    second.start().await;
    let (code, why) = second.closed().await;
    assert_eq!(code, 1013);
    assert!(why.contains("ingest.max_calls"), "{why}");
    assert_eq!(Phone::dial_to(&stage, "CAthird", "/media/twilio").await.err(), Some(503));
    let ready = http::get(&stage, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["calls"]["state"]), (503, &"refusing".into()));
    first.speak(&audio, 200..frames(&audio)).await;
    first.end().await;
    let mut events = vec![started];
    while events.last().unwrap()["type"] != "call.completed" {
        events.push(stage.next_event().await);
    }
    assert!(events.iter().all(|event| event["data"]["call_sid"] == "CAfirst"));
    assert_whole(&events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_says_nothing_more_ends_as_timeout() {
    let mut stage = with("PULSE_BRIDGE_INGEST_SILENCE", "1 s").await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAsilent").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    assert_eq!(phone.closed().await, (1008, "no message came for too long".to_owned()));
    let events = stage.events_of("CAsilent").await;
    assert_eq!(completed(&events)["end_reason"], "timeout");
    assert_eq!(completed(&events)["complete"], true);
    assert_eq!(plain(&text_of(&events, "inbound")), plain(&spoken("mid-word")));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_the_longest_length_ends_as_timeout() {
    let mut stage = with("PULSE_BRIDGE_INGEST_MAX_CALL", "1 s").await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAendless").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    assert_eq!(phone.closed().await, (1008, "the call is longer than the limit".to_owned()));
    let events = stage.events_of("CAendless").await;
    assert_eq!(completed(&events)["end_reason"], "timeout");
    assert_eq!(plain(&text_of(&events, "inbound")), plain(&spoken("mid-word")));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_a_live_call_once_and_keeps_its_last_words() {
    let mut stage = Stage::new().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAshut").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    let started = next(&mut stage, "CAshut", "call.started").await;
    // The first final shows that the audio is on its way.
    let first = next(&mut stage, "CAshut", "transcript.final").await;
    let (closed, rest) = tokio::join!(phone.closed(), stage.end_with_events());
    assert_eq!(closed, (1001, "the bridge is shutting down".to_owned()));
    let events: Vec<Value> = [started, first].into_iter().chain(rest).collect();
    crate::stage::assert_unbroken(&events);
    assert_eq!(completed(&events)["end_reason"], "shutdown");
    assert_eq!(plain(&text_of(&events, "inbound")), plain(&spoken("mid-word")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_after_one_without_a_stop_joins_its_session_even_when_all_places_are_taken() {
    let mut stage = with("PULSE_BRIDGE_INGEST_MAX_CALLS", "1").await;
    let audio = recording("mid-word");
    let mut first = Phone::dial(&stage, "CAjoin").await;
    first.start().await;
    first.speak(&audio, 0..290).await;
    first.hang_up(&stage).await;
    let mut second = Phone::dial(&stage, "CAjoin").await.named("MZ-second");
    second.start().await;
    second.speak(&audio, 290..frames(&audio)).await;
    second.end().await;
    let events = stage.events_of("CAjoin").await;
    let sessions: std::collections::BTreeSet<&str> =
        events.iter().filter_map(|event| event["data"]["session_id"].as_str()).collect();
    assert_eq!(sessions.len(), 1, "one session");
    assert_eq!(of_type(&events, "call.started").len(), 1);
    let end = completed(&events);
    assert_eq!((&end["end_reason"], &end["tracks"][0]["received_ms"]), (&"stop".into(), &11_600.into()));
    let gaps = of_type(&events, "transcript.gap");
    assert!(gaps.iter().all(|gap| gap["reason"] == "disconnected"), "{gaps:#?}");
    assert!(text_of(&events, "inbound").contains("table for Friday"), "{}", text_of(&events, "inbound"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_deserted_while_a_stream_of_its_call_is_there() {
    let mut stage = Stage::new().await;
    let mut phone = Phone::dial(&stage, "CAquiet").await;
    phone.start().await;
    phone.speak(&recording("mid-word"), 0..10).await;
    next(&mut stage, "CAquiet", "call.started").await;
    let entry = stage.bridge.calls.registry().all().remove(0);
    until(|| entry.pulse.received_ms() > 0).await;
    let much_later = clock::now() + Duration::from_hours(1);
    assert!(!entry.pulse.is_deserted(much_later, Duration::ZERO));
    phone.hang_up(&stage).await;
    assert!(entry.pulse.is_deserted(much_later, Duration::ZERO));
    let mut second = Phone::dial(&stage, "CAquiet").await.named("MZ-second");
    second.start().await;
    second.end().await;
    while stage.next_event().await["type"] != "call.completed" {}
    assert!(entry.pulse.is_deserted(much_later, Duration::ZERO), "the second is gone too");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_session_died_is_closed_with_a_reason() {
    let mut stage = Stage::new().await;
    let mut phone = Phone::dial(&stage, "CAdied").await;
    phone.start().await;
    let started = next(&mut stage, "CAdied", "call.started").await;
    let session = SessionId::new(started["data"]["session_id"].as_str().unwrap()).unwrap();
    // Somebody else's event in the place of the session's next one: the store refuses that one for good, which ends its task.
    let dtmf = Data::CallDtmf(CallDtmf { track: Track::Inbound, at_ms: 0, digit: None, masked: true });
    let event = Event::new(clock::ulid(), clock::wall_ms(), &session, &CallSid::new("CAdied").unwrap(), 2, &dtmf);
    stage.bridge.store.commit(vec![Write::Event { event, endpoints: Vec::new() }]).await.unwrap();
    let digit = r#"{"event":"dtmf","streamSid":"MZ-CAdied","dtmf":{"track":"inbound_track","digit":"5"}}"#;
    phone.say(digit).await;
    while stage.next_event().await["type"] != "call.completed" {}
    phone.say(digit).await;
    let (code, why) = phone.closed().await;
    assert_eq!((code, why.contains("is over")), (1011, true), "{why}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_after_a_stop_opens_a_session_of_its_own() {
    let mut stage = Stage::new().await;
    let first = one_call(&mut stage, "CAagain").await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAagain").await.named("MZ-again");
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.end().await;
    let second = stage.events_of("CAagain").await;
    assert_whole(&first);
    assert_whole(&second);
    assert_ne!(first[0]["data"]["session_id"], second[0]["data"]["session_id"]);
    let newest = http::get(&stage, "/v1/calls/CAagain").await.json();
    assert_eq!(newest["session_id"], second[0]["data"]["session_id"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_does_not_hide_the_session_that_its_call_has() {
    let mut stage = Stage::new().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAhidden").await;
    phone.start().await;
    phone.speak(&audio, 0..100).await;
    next(&mut stage, "CAhidden", "call.started").await;
    let mut replayed = Phone::dial(&stage, "CAhidden").await;
    replayed.start().await;
    assert_eq!(replayed.closed().await.0, 1008);
    phone.hang_up(&stage).await;
    let mut second = Phone::dial(&stage, "CAhidden").await.named("MZ-more");
    second.start().await;
    second.end().await;
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "call.completed") {
        kinds.push(stage.next_event().await["type"].as_str().unwrap().to_owned());
    }
    assert!(!kinds.contains(&"call.started".to_owned()), "the second stream joined: {kinds:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_fails_is_told_with_its_cause_and_the_call_goes_on() {
    let mut stage = Stage::new().await;
    let ready = http::get(&stage, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["spool"]["state"]), (200, &"ready".into()));
    std::fs::remove_dir_all(stage.data_dir.join("spool")).unwrap();
    good_call(&stage, "CAunsafe").await;
    assert_whole(&until_completed(&mut stage, &["CAunsafe"]).await["CAunsafe"]);
    let ready = http::get(&stage, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["spool"]["state"]), (200, &"failing".into()));
    assert!(ready.json()["spool"]["reason"].as_str().unwrap().contains("open: "));
    stage.end().await;
}
