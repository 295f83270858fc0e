//! Connections that are replaced while the call goes on: before the service's limit, and for another language.

use std::{sync::Arc, time::Duration};

use hyper::Method;
use pulse_bridge::{
    emulate::HeardLog,
    replay::{self, Pace},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    http::{Answer, ask, get},
    phone::{Phone, assert_whole, frames, plain, recording, until_completed},
    stage::{Plan, Stage, faults, of_type, text_of, until},
};

/// Words' times may differ by so much, as each connection counts from its own first byte.
const SLACK_MS: u64 = 40;

async fn limited(limit: &str) -> Stage {
    Stage::with(Plan { settings: vec![("PULSE_BRIDGE_UPSTREAM_SESSION_LIMIT", limit.to_owned())], ..Plan::default() }).await
}

async fn faulty(rules: &str) -> Stage {
    Stage::with(Plan { faults: faults(rules), ..Plan::default() }).await
}

/// A call at twice the pace of speech; its events and its id.
async fn played(stage: &mut Stage) -> (Vec<Value>, String) {
    let phone = replay::Settings { pace: Pace::Times(2.0), ..stage.phone() };
    let call = stage.call_as("pay-by-card", &phone).await.call_sid;
    (stage.events_of(&call).await, call)
}

/// The most connections of one track that were there at once, until told to stop.
async fn most_at_once(heard: HeardLog, stop: Arc<Notify>) -> usize {
    let mut most = 0;
    let is_there = |track: &str| {
        let of_track = |(name, value): &(String, String)| name == "external_session_id" && value.ends_with(track);
        heard.connections().iter().filter(|log| log.ended.is_none() && log.query.iter().any(of_track)).count()
    };
    loop {
        most = [".inbound", ".outbound"].map(is_there).into_iter().fold(most, usize::max);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            () = stop.notified() => return most,
        }
    }
}

/// Every word of a track with its beginning.
fn words(events: &[Value], track: &str) -> Vec<(String, u64)> {
    let mut words: Vec<(String, u64)> = of_type(events, "transcript.final")
        .into_iter()
        .filter(|data| data["track"] == track)
        .flat_map(|data| data["words"].as_array().unwrap())
        .map(|word| (plain(word["text"].as_str().unwrap()), word["start_ms"].as_u64().unwrap()))
        .collect();
    words.sort_by_key(|(_, start)| *start);
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_limit_of_a_few_seconds_costs_no_word_and_doubles_none() {
    let (mut short, mut long) = (limited("4 s").await, limited("1 h").await);
    let stop = Arc::new(Notify::new());
    let watching = tokio::spawn(most_at_once(short.heard.clone(), Arc::clone(&stop)));
    let ((rotated, call), (whole, _)) = tokio::join!(played(&mut short), played(&mut long));
    stop.notify_one();
    assert_eq!(watching.await.unwrap(), 2, "one beside the one in use, and no more");

    for track in ["inbound", "outbound"] {
        assert_eq!(plain(&text_of(&rotated, track)), plain(&text_of(&whole, track)));
        let (rotated, whole) = (words(&rotated, track), words(&whole, track));
        assert_eq!(rotated.len(), whole.len());
        for (one, other) in rotated.iter().zip(&whole) {
            assert!(one.0 == other.0 && one.1.abs_diff(other.1) <= SLACK_MS, "{one:?} {other:?}");
        }
    }
    let speakers = |events: &[Value]| {
        let mut all: Vec<_> =
            of_type(events, "transcript.final").iter().map(|data| data["speaker"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all.dedup();
        all
    };
    assert_eq!(speakers(&rotated), speakers(&whole));
    assert_rotated(&short, &call, &rotated).await;
    short.end().await;
    long.end().await;
}

/// Some four connections a track for the 19 s, each parted with politely; nothing of it looks like trouble.
async fn assert_rotated(stage: &Stage, call: &str, events: &[Value]) {
    let completed = of_type(events, "call.completed")[0];
    assert_eq!(completed["complete"], true);
    for track in completed["tracks"].as_array().unwrap() {
        assert_eq!((&track["reconnects"], &track["gaps"]), (&json!(0), &json!([])), "{track:#}");
    }
    let connections = stage.heard_of(call);
    assert!((8..=14).contains(&connections.len()), "{}", connections.len());
    for connection in &connections {
        let close = connection.controls.last().map(String::as_str);
        assert_eq!((close, connection.ended), (Some(r#"{"type":"close_stream"}"#), Some("server")), "{connection:#?}");
    }
    let metrics = get(stage, "/metrics").await;
    let line = format!(r#"pulse_bridge_upstream_reconnects_total{{reason="rotated"}} {}"#, connections.len() - 2);
    assert!(metrics.text().contains(&line), "{line} is not in {}", metrics.text());
    assert_eq!(metrics.text().matches("pulse_bridge_upstream_reconnects_total{").count(), 1);
    assert_ne!(get(stage, "/readyz").await.json()["speech"]["state"], "failing");
}

async fn post(stage: &Stage, path: &str, body: &str) -> Answer {
    ask(stage, Method::POST, path, &[("content-type", "application/json")], body).await
}

/// What the connections of a call were asked for, in their order.
fn languages(stage: &Stage, call: &str) -> Vec<String> {
    let language = |query: &[(String, String)]| query.iter().find(|(name, _)| name == "language").unwrap().1.clone();
    stage.heard_of(call).iter().map(|log| language(&log.query)).collect()
}

/// Speaks these frames of the recording at a phone's pace.
async fn speak_on(phone: &mut Phone, frames: std::ops::Range<usize>) {
    let audio = recording("mid-word");
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for frame in frames {
        tick.tick().await;
        phone.speak(&audio, frame..frame + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_takes_over_in_mid_call_and_no_word_is_lost() {
    let mut stage = Stage::new().await;
    let last = frames(&recording("mid-word"));
    let mut phone = Phone::dial(&stage, "CAlanguage").await;
    phone.start().await;
    speak_on(&mut phone, 0..100).await;
    let answer = post(&stage, "/v1/calls/CAlanguage/language", r#"{"language":"es","keywords":"Acme:2"}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let told = json!([{"stream": 0, "track": "inbound", "when": "next_silence", "reason": null}]);
    assert_eq!((&answer.json()["tracks"], &answer.json()["call_sid"]), (&told, &json!("CAlanguage")));
    speak_on(&mut phone, 100..last).await;
    phone.end().await;
    let events = stage.events_of("CAlanguage").await;
    assert_whole(&events);
    assert_eq!(languages(&stage, "CAlanguage"), ["en", "es"]);
    assert!(stage.heard_of("CAlanguage")[1].query.contains(&("keywords".to_owned(), "Acme:2".to_owned())));
    let finals = of_type(&events, "transcript.final");
    assert_eq!((&finals.last().unwrap()["language"], &finals.last().unwrap()["languages"]), (&json!("es"), &json!(["es"])));
    post(&stage, "/v1/calls/CAlanguage/language", r#"{"language":"en"}"#).await.problem(409);
    post(&stage, "/v1/calls/CAlanguage/finalize", "").await.problem(409);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_the_service_refuses_is_told_and_the_call_goes_on_as_before() {
    let mut stage = faulty(r#"{"kind":"refuse_language","language":"ja"}"#).await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CArefused").await;
    phone.start().await;
    phone.speak(&audio, 0..100).await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    let refused = post(&stage, "/v1/calls/CArefused/language", r#"{"language":"ja"}"#).await.problem(422);
    assert!(refused.starts_with("the call goes on as before: ") && refused.contains("does not serve the language"), "{refused}");
    phone.speak(&audio, 100..frames(&audio)).await;
    phone.end().await;
    let events = stage.rest_of_events().await;
    let text = text_of(&events, "inbound");
    assert_eq!(plain(&text), plain(&crate::phone::spoken("mid-word")));
    assert_eq!(languages(&stage, "CArefused"), ["en", "ja"]);
    stage.end().await;
}

/// The next connection of the caller's track is answered so late.
fn late(ms: u64) -> String {
    format!(r#"{{"kind":"late_accept","ms":{ms},"attempts":[1],"session":".inbound"}}"#)
}

/// What the connections of one track were asked for.
fn queries(stage: &Stage, call: &str, track: &str) -> Vec<Vec<(String, String)>> {
    let is_its = |(name, value): &(String, String)| name == "external_session_id" && value.ends_with(track);
    let all = stage.heard_of(call).into_iter().filter(|log| log.query.iter().any(is_its));
    all.map(|log| log.query).collect()
}

fn has(query: &[(String, String)], name: &str, value: &str) -> bool {
    query.contains(&(name.to_owned(), value.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_that_is_opened_while_a_change_is_asked_gets_it_too() {
    let stage = faulty(&late(2_000)).await;
    let mut phone = Phone::dial(&stage, "CAbetween").await;
    phone.start().await;
    speak_on(&mut phone, 0..50).await;
    let other_track = async {
        until(|| queries(&stage, "CAbetween", ".inbound").len() == 2).await;
        let media = phone.media("outbound", 1_000, &[0x55; 160]);
        phone.say(media).await;
    };
    let (answer, ()) = tokio::join!(post(&stage, "/v1/calls/CAbetween/language", r#"{"language":"es"}"#), other_track);
    assert_eq!((answer.status, answer.json()["tracks"].as_array().unwrap().len()), (202, 1), "{}", answer.text());
    until(|| queries(&stage, "CAbetween", ".outbound").iter().any(|query| has(query, "language", "es"))).await;
    assert!(has(&queries(&stage, "CAbetween", ".outbound")[0], "language", "en"), "it began before anybody agreed");
    phone.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_at_once_are_both_taken() {
    let stage = faulty(&late(1_000)).await;
    let mut phone = Phone::dial(&stage, "CAboth").await;
    phone.start().await;
    speak_on(&mut phone, 0..50).await;
    let path = "/v1/calls/CAboth/language";
    let (one, other) = tokio::join!(post(&stage, path, r#"{"language":"es"}"#), post(&stage, path, r#"{"keywords":"Acme:2"}"#));
    assert_eq!((one.status, other.status), (202, 202), "{} {}", one.text(), other.text());
    let last = stage.heard_of("CAboth").pop().unwrap();
    assert!(has(&last.query, "language", "es") && has(&last.query, "keywords", "Acme:2"), "{:?}", last.query);
    phone.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_service_has_not_answered_is_part_of_the_next_one_and_of_no_new_track() {
    let mut stage = faulty(&late(8_000)).await;
    let mut phone = Phone::dial(&stage, "CAasked").await;
    phone.start().await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    speak_on(&mut phone, 0..50).await;
    let asked = post(&stage, "/v1/calls/CAasked/language", r#"{"language":"es"}"#).await;
    assert_eq!(asked.json()["tracks"][0]["when"], "when_the_service_answers", "{}", asked.text());
    let media = phone.media("outbound", 1_000, &[0x55; 160]);
    phone.say(media).await;
    let of_track = |track: &str| queries(&stage, "CAasked", track);
    until(|| !of_track(".outbound").is_empty()).await;
    assert!(has(&of_track(".outbound")[0], "language", "en"), "nobody has agreed to the other one");
    let taken = post(&stage, "/v1/calls/CAasked/language", r#"{"keywords":"Acme:2"}"#).await;
    assert_eq!(taken.status, 202, "{}", taken.text());
    for track in [".inbound", ".outbound"] {
        let last = of_track(track).pop().unwrap();
        assert!(has(&last, "language", "es") && has(&last, "keywords", "Acme:2"), "{track}: {last:?}");
    }
    phone.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finalize_brings_the_final_of_what_was_said_so_far() {
    let mut stage = Stage::new().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAflush").await;
    phone.start().await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    // In the middle of the first sentence.
    phone.speak(&audio, 0..250).await;
    let answer = post(&stage, "/v1/calls/CAflush/finalize", "").await;
    assert_eq!((answer.status, &answer.json()["tracks"]), (202, &json!(1)));
    let event = stage.next_event().await;
    assert_eq!(event["type"], "transcript.final", "without another word of the phone's: {event:#}");
    phone.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_cannot_be_is_refused_and_says_what_can() {
    let mut stage = Stage::new().await;
    let mut phone = Phone::dial(&stage, "CAwish").await;
    phone.start().await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    for body in ["", "es", "[]", "{}", r#"{"lang":"es"}"#, r#"{"language":7}"#, r#"{"language":null}"#] {
        let detail = post(&stage, "/v1/calls/CAwish/language", body).await.problem(400);
        assert!(detail.contains(r#"{"language":"es"}"#), "{body}: {detail}");
    }
    for body in [r#"{"language":""}"#, r#"{"language":"e s"}"#, r#"{"keywords":"[\"a\"]"}"#] {
        post(&stage, "/v1/calls/CAwish/language", body).await.problem(422);
    }
    for verb in ["language", "finalize", "pause", "resume"] {
        post(&stage, &format!("/v1/calls/CAnobody/{verb}"), r#"{"language":"es"}"#).await.problem(404);
        get(&stage, &format!("/v1/calls/CAwish/{verb}")).await.problem(405);
        let page = [("origin", "https://example.com")];
        ask(&stage, Method::POST, &format!("/v1/calls/CAwish/{verb}"), &page, r#"{"language":"es"}"#).await.problem(403);
    }
    until(|| !languages(&stage, "CAwish").is_empty()).await;
    assert_eq!(languages(&stage, "CAwish"), ["en"]);
    phone.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_s_parameters_choose_language_and_keywords() {
    let mut stage = Stage::new().await;
    for (call, parameters, language, keywords) in [
        ("CAes", json!({"language": "es", "keywords": "Acme:2"}), "es", Some("Acme:2")),
        ("CAbad", json!({"language": "no language", "keywords": "[1]"}), "en", None),
    ] {
        let mut phone = Phone::dial(&stage, call).await;
        phone.start_with(&["inbound"], &parameters).await;
        phone.speak(&recording("mid-word"), 0..10).await;
        phone.end().await;
        until_completed(&mut stage, &[call]).await;
        assert_eq!(languages(&stage, call), [language], "{call}");
        let given = stage.heard_of(call)[0].query.iter().find(|(name, _)| name == "keywords").map(|(_, value)| value.clone());
        assert_eq!(given.as_deref(), keywords, "{call}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wishes_want_the_api_token() {
    let settings = vec![("PULSE_BRIDGE_API_TOKEN", "operator-token-0123456789".to_owned())];
    let stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    for verb in ["language", "finalize", "pause", "resume"] {
        let path = format!("/v1/calls/CA1/{verb}");
        post(&stage, &path, r#"{"language":"es"}"#).await.problem(401);
        let right = [("authorization", "Bearer operator-token-0123456789")];
        ask(&stage, Method::POST, &path, &right, r#"{"language":"es"}"#).await.problem(404);
    }
    stage.end().await;
}
