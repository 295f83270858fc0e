//! Calls over a bad line: every kind of fault that `replay --faults` plans, and what the bridge makes of it.

use std::collections::BTreeMap;

use pulse_bridge::replay::{
    self, Played, Progress, Recording,
    expect::{self, Comparison, Neutral},
    faults::Faults,
};
use serde_json::{Value, json};

use crate::{
    replay::kept,
    stage::{Stage, fixtures_dir, load},
};

/// How far a word may move when frames came late, twice or in another order.
const MOVED_MS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_the_second_call_leaves_the_first_alone() {
    let stage = Stage::new().await;
    let faults = Faults::of_json(r#"{"faults":[{"kind":"lost","calls":[2],"to_ms":1000}]}"#).unwrap();
    let phone = replay::Settings { faults: faults.into(), ..stage.phone() };
    let recording = Recording::of_fixture(load("mid-word"));
    let played = replay::play_all(&[&recording; 2], &phone, &Progress::default()).await;
    let lost: Vec<BTreeMap<&str, u64>> = played.into_iter().map(|call| call.faults).collect();
    assert_eq!(lost, [BTreeMap::new(), [("lost", 100)].into()]);
    stage.end().await;
}

/// Plays pay-by-card under these rules, three times as fast as speech; its result and its events.
async fn faulty(stage: &mut Stage, rules: &str) -> (Played, Vec<Neutral>) {
    let faults = Faults::of_json(&format!(r#"{{"seed":7,"faults":[{rules}]}}"#)).unwrap();
    let phone = replay::Settings { faults: faults.into(), ..stage.phone() };
    let played = stage.call_as("pay-by-card", &phone).await;
    assert_eq!(played.error, None, "{rules}");
    let events = expect::neutral(stage.events_of(&played.call_sid).await);
    (played, events)
}

/// Nothing differs from what the fixture gives without faults, but times by a little.
fn assert_nothing_lost(rules: &str, events: &[Neutral]) {
    let expected = kept(&fixtures_dir().join("pay-by-card/expected.jsonl"));
    let compared = Comparison::new(&expected, events, MOVED_MS);
    assert!(compared.is_same(), "{rules}\n{}", compared.shown("pay-by-card"));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_twice_cost_no_word_and_no_time() {
    let mut stage = Stage::new().await;
    let rules = r#"{"kind":"doubled","share":0.2}"#;
    let (played, events) = faulty(&mut stage, rules).await;
    assert!(played.faults["doubled"] > 500, "{:?}", played.faults);
    assert_nothing_lost(rules, &events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_up_to_60_ms_late_cost_no_word_and_no_time() {
    let mut stage = Stage::new().await;
    let rules = r#"{"kind":"late","share":0.05,"by_ms":60}"#;
    let (played, events) = faulty(&mut stage, rules).await;
    assert!(played.faults["late"] > 100, "{:?}", played.faults);
    assert_nothing_lost(rules, &events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_out_of_order_by_two_cost_no_word_and_no_time() {
    let mut stage = Stage::new().await;
    let rules = r#"{"kind":"out_of_order","share":0.05,"by_frames":2}"#;
    let (played, events) = faulty(&mut stage, rules).await;
    assert!(played.faults["out_of_order"] > 100, "{:?}", played.faults);
    assert_nothing_lost(rules, &events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_runs_away_by_200_millionths_costs_no_word_and_no_time() {
    let mut stage = Stage::new().await;
    for ppm in [200, -200] {
        let rules = format!(r#"{{"kind":"drift","ppm":{ppm}}}"#);
        let (played, events) = faulty(&mut stage, &rules).await;
        assert!(played.faults["drift"] > 3000, "{:?}", played.faults);
        assert_nothing_lost(&rules, &events);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_together_costs_no_word_and_no_time() {
    let mut stage = Stage::new().await;
    let rules = r#"{"kind":"doubled","share":0.05},{"kind":"late","share":0.03,"by_ms":40},{"kind":"drift","ppm":150},
        {"kind":"out_of_order","share":0.03,"by_frames":1}"#;
    let (_, events) = faulty(&mut stage, rules).await;
    assert_nothing_lost(rules, &events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_lost_in_a_pause_are_declared_and_cost_no_word() {
    let mut stage = Stage::new().await;
    let rules = r#"{"kind":"lost","track":"inbound","from_ms":4000,"to_ms":4400}"#;
    let (played, events) = faulty(&mut stage, rules).await;
    assert_eq!(played.faults, [("lost", 20)].into());
    let mut expected = kept(&fixtures_dir().join("pay-by-card/expected.jsonl"));
    let inbound = &mut expected.last_mut().unwrap().event["data"]["tracks"][0];
    inbound["filled_ms"] = 400.into();
    inbound["received_ms"] = 37_600.into();
    let gap = json!({"from_ms": 4000, "to_ms": 4400, "reason": "disconnected"});
    inbound["gaps"] = json!([gap]);
    expected.last_mut().unwrap().event["data"]["complete"] = false.into();
    let mut told = json!({"type": "transcript.gap", "data": gap});
    told["data"]["track"] = "inbound".into();
    expected.insert(2, Neutral { seq: None, event: told });
    let compared = Comparison::new(&expected, &events, MOVED_MS);
    assert!(compared.is_same(), "{}", compared.shown("pay-by-card"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_lost_under_a_word_cost_that_word_alone_and_are_declared() {
    let mut stage = Stage::new().await;
    // Under "okay" at 27.758 to 28.115 s.
    let rules = r#"{"kind":"lost","track":"inbound","from_ms":27700,"to_ms":28200}"#;
    let (_, events) = faulty(&mut stage, rules).await;
    let expected = kept(&fixtures_dir().join("pay-by-card/expected.jsonl"));
    let said = |events: &[Neutral], track: &str| -> Vec<(Value, Value)> {
        let finals = events.iter().map(|neutral| &neutral.event["data"]).filter(|data| data["words"].is_array());
        finals.filter(|data| data["track"] == track).map(|data| (data["text"].clone(), data["start_ms"].clone())).collect()
    };
    assert_eq!(said(&events, "outbound"), said(&expected, "outbound"));
    let mut left = said(&expected, "inbound");
    left.retain(|(text, _)| text != "okay");
    assert_eq!(said(&events, "inbound"), left);
    let inbound = &events.last().unwrap().event["data"]["tracks"][0];
    assert_eq!((&inbound["filled_ms"], &inbound["received_ms"]), (&json!(500), &json!(37_500)));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_a_disconnect_with_every_word_before_it() {
    let mut stage = Stage::new().await;
    let (played, events) = faulty(&mut stage, r#"{"kind":"abrupt_close","at_ms":9000}"#).await;
    assert_eq!((played.ended, played.tracks.values().map(|track| track.bytes).max()), ("disconnect", Some(72_000)));
    let completed = &events.last().unwrap().event["data"];
    assert_eq!((&completed["end_reason"], &completed["duration_ms"]), (&json!("disconnect"), &json!(9000)));
    let texts: Vec<&str> =
        completed["transcript"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts[..2], ["hi I'd like to pay my bill", "sure what is the card number"], "{texts:?}");
    stage.end().await;
}
