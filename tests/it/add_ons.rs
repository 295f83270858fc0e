//! What the service adds where it is asked to, and what it says where the plan lacks it.

use pulse_bridge::emulate::{Fault, Faults};
use serde_json::{Value, json};

use crate::{
    http, log,
    phone::{good_call, one_call, until_completed},
    stage::{Plan, SECRET, Stage, load, of_type},
};

const ALL_ON: [(&str, &str); 3] = [
    ("PULSE_BRIDGE_UPSTREAM_EMOTION_DETECTION", "true"),
    ("PULSE_BRIDGE_UPSTREAM_GENDER_DETECTION", "true"),
    ("PULSE_BRIDGE_UPSTREAM_VAD_EVENTS", "true"),
];

fn all_on() -> Vec<(&'static str, String)> {
    ALL_ON.map(|(name, value)| (name, value.to_owned())).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_languages_emotion_and_gender_reach_the_events_redacted() {
    let mut stage = Stage::with(Plan { settings: all_on(), ..Plan::default() }).await;
    let call = stage.call("pay-by-card").await.call_sid;
    let events = stage.events_of(&call).await;
    let finals = of_type(&events, "transcript.final");
    assert!(finals.len() > 4);
    for data in &finals {
        assert_eq!((&data["language"], &data["languages"]), (&json!("en"), &json!(["en"])));
        assert_eq!(data["emotion"], json!({"neutral": 0.9, "happiness": 0.1}));
        assert_eq!(data["gender"], json!({"female": 0.8, "male": 0.2}));
        let utterances = data["utterances"].as_array().unwrap();
        assert_eq!(utterances.len(), 1, "{data:#}");
        let (one, bounds) = (&utterances[0], |it: &Value| (it["start_ms"].as_u64().unwrap(), it["end_ms"].as_u64().unwrap()));
        assert_eq!((one["text"].as_str(), &one["speaker"]), (data["text"].as_str(), &data["speaker"]));
        assert!(bounds(one) == bounds(data), "{data:#}");
    }
    let card = finals.iter().find(|data| data["text"].as_str().unwrap().contains("[CREDIT_CARD_1]")).expect("a number is said");
    assert!(card["utterances"][0]["text"].as_str().unwrap().contains("[CREDIT_CARD_1]"), "{card:#}");
    assert!(events.iter().all(|event| !event["type"].as_str().unwrap().starts_with("speech.")), "nobody asked for these");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_asked_for_is_null() {
    let mut stage = Stage::new().await;
    let events = one_call(&mut stage, "CAplain").await;
    for data in of_type(&events, "transcript.final") {
        assert_eq!((&data["emotion"], &data["gender"], &data["provisional"]), (&Value::Null, &Value::Null, &json!(false)));
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_activity_goes_to_an_endpoint_that_lists_it_on_the_call_s_clock() {
    let endpoints = |url: &str| {
        format!(
            "[[webhook.endpoints]]\nname = \"live\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\nevents = [\"speech.started\", \"speech.ended\", \"call.completed\"]\n"
        )
    };
    let plan = Plan { settings: all_on(), endpoints: Some(Box::new(endpoints)), ..Plan::default() };
    let mut stage = Stage::with(plan).await;
    let call = stage.call("pay-by-card").await.call_sid;
    let mut events = stage.rest_of_events().await;
    // Nothing waits for what is not stored.
    events.extend(stage.end_with_events().await);
    let at = |kind: &str, track: &str| {
        let of_track = of_type(&events, kind).into_iter().filter(|data| data["track"] == track);
        of_track.map(|data| data["at_ms"].as_u64().unwrap()).collect::<Vec<u64>>()
    };
    for (track, truth) in &load("pay-by-card").truth {
        let (started, ended) = (at("speech.started", track.as_str()), at("speech.ended", track.as_str()));
        let first = truth.words[0].start_ms;
        assert!(started.iter().any(|at| at.abs_diff(first) <= 40), "{track} begins at {first}: {started:?}");
        assert!(!ended.is_empty() && started.len().abs_diff(ended.len()) <= 1, "{track}: {started:?} {ended:?}");
    }
    let speech = of_type(&events, "speech.started");
    assert!(speech.iter().all(|data| data["call_sid"] == call.as_str() && data.get("seq").is_none()), "{speech:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_lacks_a_flag_is_told_by_the_setting_to_switch_off() {
    log::watch();
    let lacks = |flag: &str| Faults::always(Fault::RefuseFlag { flag: flag.to_owned() });
    for (call, flag) in [("CApii", "redact_pii"), ("CAdiarize", "diarize")] {
        let mut stage = Stage::with(Plan { faults: lacks(flag), ..Plan::default() }).await;
        good_call(&stage, call).await;
        until_completed(&mut stage, &[call]).await;
        let advice = format!("switch off upstream.{flag} or change the plan");
        let ready = http::get(&stage, "/readyz").await.json();
        assert!(ready["speech"]["reason"].as_str().unwrap().contains(&advice), "{ready:#}");
        assert!(!log::lines(&[call, &advice]).is_empty(), "{:#?}", log::lines(&[call]));
        stage.end().await;
    }
    let settings = vec![("PULSE_BRIDGE_UPSTREAM_REDACT_PII", "false".to_owned())];
    let mut stage = Stage::with(Plan { faults: lacks("redact_pii"), settings, ..Plan::default() }).await;
    let events = one_call(&mut stage, "CAwithout").await;
    assert_eq!(events.last().unwrap()["data"]["complete"], true, "that is all that it takes");
    stage.end().await;
}
