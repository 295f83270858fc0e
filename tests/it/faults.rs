//! A plan of each kind of fault, over a whole call: where no audio was lost the words are right and at their places.

use futures_util::future::join_all;
use pulse_bridge::media::Track;
use serde_json::Value;

use crate::{
    log,
    phone::{assert_whole, one_call, plain, spoken},
    stage::{Plan, Stage, faults, load, of_type, text_of},
};

/// How far a word may be from where it was spoken.
const TIME_MS: u64 = 20;

/// A good call to a bridge whose speech service misbehaves like this.
pub(crate) async fn call_under(call: &str, rules: &str) -> (Vec<Value>, Stage) {
    log::watch();
    let mut stage = Stage::with(Plan { faults: faults(rules), ..Plan::default() }).await;
    let events = one_call(&mut stage, call).await;
    (events, stage)
}

/// Nothing was lost, no word is anywhere else than where it was spoken, and there is no gap.
pub(crate) fn assert_right(call: &str, events: &[Value]) {
    assert_words(call, events);
    assert_whole(events);
    assert_eq!(of_type(events, "transcript.gap"), Vec::<&Value>::new(), "{call}");
}

/// Every word was heard once, where it was spoken.
pub(crate) fn assert_words(call: &str, events: &[Value]) {
    assert_eq!(plain(&text_of(events, "inbound")), plain(&spoken("mid-word")), "{call}: {:#}", events.last().unwrap());
    let finals = of_type(events, "transcript.final");
    let mut words: Vec<&Value> = finals.iter().flat_map(|data| data["words"].as_array().unwrap()).collect();
    words.sort_by_key(|word| word["start_ms"].as_u64());
    let truth = &load("mid-word").truth[&Track::Inbound];
    let spoken: Vec<_> = truth.words.iter().filter(|word| !word.cut).collect();
    assert_eq!(words.len(), spoken.len(), "{call}");
    for (word, spoken) in words.into_iter().zip(spoken) {
        assert_eq!(plain(word["text"].as_str().unwrap()), plain(&spoken.text), "{call}");
        for (name, expected) in [("start_ms", spoken.start_ms), ("end_ms", spoken.end_ms)] {
            assert!(word[name].as_u64().unwrap().abs_diff(expected) <= TIME_MS, "{call}: {name} of {word}, spoken at {expected}");
        }
    }
}

async fn are_right(rows: &[(&str, &str)]) {
    join_all(rows.iter().map(|(call, rules)| async move {
        let (events, stage) = call_under(call, rules).await;
        assert_right(call, &events);
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_message_looks_like_its_words_are_right() {
    are_right(&[
        ("CAlast", r#"{"kind":"text_on_last"}"#),
        ("CAspeaker", r#"{"kind":"string_speaker"}"#),
        ("CAnumbers", r#"{"kind":"string_numbers"}"#),
        ("CAgarbage", r#"{"kind":"garbage","every_bytes":800}"#),
        ("CAjitter", r#"{"kind":"jitter","ms":150}"#),
        ("CAall", r#"{"kind":"garbage"},{"kind":"string_numbers"},{"kind":"duplicate_final"},{"kind":"text_on_last"}"#),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_connection_ends_its_words_come_over_the_next_one() {
    are_right(&[
        ("CAbad", r#"{"attempts":[0],"kind":"bad_frame","after_bytes":48000}"#),
        ("CAhuge", r#"{"attempts":[0],"kind":"huge","after_bytes":48000}"#),
        ("CA1005", r#"{"attempts":[0],"kind":"close","after_bytes":48000,"code":1005}"#),
        ("CAfinal", r#"{"attempts":[0],"kind":"drop","after_finals":1}"#),
        ("CAerror", r#"{"attempts":[0,1],"kind":"error","after_bytes":48000}"#),
        ("CAlate", r#"{"attempts":[0],"kind":"late_accept","ms":800}"#),
        ("CAflap", r#"{"attempts":[0,1],"kind":"flap","after_ms":30}"#),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_slow_or_silent_costs_no_word() {
    are_right(&[
        ("CAslow", r#"{"kind":"slow","bytes_per_second":48000}"#),
        ("CAnever", r#"{"attempts":[0],"kind":"late_accept"}"#),
        ("CApong", r#"{"kind":"pong_silence"}"#),
        ("CAping", r#"{"kind":"ping_silence"}"#),
        ("CAvad", r#"{"kind":"late_vad"}"#),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_that_ends_inside_a_word_loses_no_letter() {
    // The halves of words may be names to the gate: it is told to leave names alone.
    let settings = vec![("PULSE_BRIDGE_REDACTION_TYPES", "pii,-person".to_owned())];
    let plan = Plan { faults: faults(r#"{"kind":"mid_word_final"}"#), settings, ..Plan::default() };
    let mut stage = Stage::with(plan).await;
    let events = one_call(&mut stage, "CAmid").await;
    let letters = |text: &str| plain(text).replace(' ', "");
    assert_eq!(letters(&text_of(&events, "inbound")), letters(&spoken("mid-word")).replace("person1", "daniel"));
    assert_eq!(events.last().unwrap()["data"]["complete"], true);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_split_over_finals_is_redacted_all_the_same() {
    let mut stage = Stage::with(Plan { faults: faults(r#"{"kind":"split_entity"}"#), ..Plan::default() }).await;
    let played = stage.call_as("pay-by-card", &stage.phone()).await;
    let events = stage.events_of(&played.call_sid).await;
    let text = text_of(&events, "inbound");
    assert!(text.contains("[CREDIT_CARD_1]"), "{text}");
    for digits in ["four five", "nine one", "eight eight", "three four", "six seven"] {
        assert!(!text.contains(digits), "{digits} in {text}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_start_over_in_mid_connection_cost_no_word() {
    for (call, rule) in [
        ("CAclock", r#"{"attempts":[0],"kind":"reset_clock","after_bytes":72000}"#),
        ("CAclocks", r#"{"kind":"reset_clock","after_bytes":24000}"#),
    ] {
        let (events, stage) = call_under(call, rule).await;
        assert_eq!(plain(&text_of(&events, "inbound")), plain(&spoken("mid-word")), "{call}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_says_a_word_is_a_gap_over_the_whole_call() {
    let (events, stage) = call_under("CAmute", r#"{"kind":"stall"},{"kind":"batch_refuse","status":403}"#).await;
    let completed = &events.last().unwrap()["data"];
    let gap = serde_json::json!([{"from_ms": 0, "reason": "upstream_lost", "to_ms": 11_600}]);
    assert_eq!((&completed["complete"], &completed["tracks"][0]["gaps"]), (&false.into(), &gap), "{completed:#}");
    stage.end().await;
}

/// The service hears the first six seconds and nothing of the rest. Either that is heard over another connection, or it is a gap.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_that_fell_silent_did_not_hear_is_heard_by_another_or_declared_lost() {
    for (call, rule) in [
        ("CAstall", r#"{"attempts":[0],"kind":"stall","after_bytes":48000}"#),
        ("CAstuck", r#"{"attempts":[0],"kind":"slow","after_bytes":48000}"#),
    ] {
        let (events, stage) = call_under(call, rule).await;
        let completed = &events.last().unwrap()["data"];
        let is_whole = plain(&text_of(&events, "inbound")) == plain(&spoken("mid-word"));
        assert!(is_whole || completed["complete"] == false, "{call}: {completed:#}");
        stage.end().await;
    }
}
