//! What a service may hear wrongly or not at all: half-open connections, speakers with other numbers, finals that never come.

use futures_util::future::join_all;

use crate::{
    faults::call_under,
    http,
    phone::{Phone, assert_whole, frames, recording},
    stage::{Plan, Stage, faults, of_type},
};

/// The causes for which connections of this stage were opened again.
async fn reconnects(stage: &Stage) -> Vec<String> {
    let metrics = http::get(stage, "/metrics").await;
    let causes = metrics.text().lines().filter_map(|line| line.strip_prefix("pulse_bridge_upstream_reconnects_total{reason=\""));
    let counted = causes.filter(|cause| !cause.ends_with(" 0"));
    counted.filter_map(|cause| cause.split_once('"').map(|(cause, _)| cause.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_audio_and_says_nothing_is_left_in_mid_call() {
    let faults = faults(r#"{"attempts":[0],"kind":"stall","after_bytes":8000}"#);
    let mut stage = Stage::with(Plan { faults, ..Plan::default() }).await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAdeaf").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    let mut events = Vec::new();
    while of_type(&events, "transcript.final").is_empty() {
        events.push(stage.next_event().await);
    }
    assert_eq!(stage.heard_of("CAdeaf").len(), 2, "it was heard over another connection while the phone was there");
    assert_eq!(reconnects(&stage).await, ["deaf"]);
    phone.stop().await;
    while of_type(&events, "call.completed").is_empty() {
        events.push(stage.next_event().await);
    }
    assert_whole(&events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_keeps_a_label_whatever_number_the_next_connection_gives() {
    let number = |number: u32| {
        format!(r#"{{"attempts":[0],"kind":"drop","after_finals":1}},{{"attempts":[1],"kind":"relabel","speaker":{number}}}"#)
    };
    for (call, rules) in [("CAsame", number(0)), ("CAother", number(1))] {
        let (events, stage) = call_under(call, &rules).await;
        assert_whole(&events);
        let finals = of_type(&events, "transcript.final");
        assert!(finals.len() > 1 && stage.heard_of(call).len() > 1, "{call}");
        assert!(finals.iter().all(|data| data["speaker"] == "inbound:0"), "{call}: {finals:#?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_whose_final_never_comes_are_heard_over_the_next_connection() {
    join_all(
        [
            ("CAsecond", r#"{"attempts":[0],"kind":"missing_final"}"#),
            ("CAall", r#"{"attempts":[0],"kind":"missing_final","every":1}"#),
        ]
        .map(|(call, rules)| async move {
            let (events, stage) = call_under(call, rules).await;
            assert_whole(&events);
            assert_eq!(reconnects(&stage).await, ["missing_final"], "{call}");
            assert!(of_type(&events, "transcript.final").iter().all(|data| data["provisional"] == false), "{call}");
            stage.end().await;
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_whose_final_never_comes_at_all_are_told_as_they_were_shown() {
    let (events, stage) = call_under("CAnone", r#"{"kind":"missing_final","every":1}"#).await;
    let finals = of_type(&events, "transcript.final");
    assert!(!finals.is_empty() && finals.iter().all(|data| data["provisional"] == true), "{finals:#?}");
    assert_eq!(of_type(&events, "call.completed").len(), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_that_comes_late_changes_nothing() {
    let (events, stage) = call_under("CAlatefinal", r#"{"kind":"late_final"}"#).await;
    assert_whole(&events);
    assert_eq!(reconnects(&stage).await, [""; 0]);
    stage.end().await;
}
