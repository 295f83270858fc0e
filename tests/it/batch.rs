//! What streaming could not do comes by batch: the service is away from the middle of a call, or from its beginning, until after its end.

use std::{collections::BTreeMap, net::SocketAddr};

use pulse_bridge::emulate::{ConnectionLog, Fault, Faults};
use serde_json::Value;

use crate::{
    faults::{assert_right, assert_words},
    http, log,
    phone::{Phone, frames, one_call, recording},
    restart::{Binary, take},
    stage::{Plan, Stage, assert_unbroken, faults, of_type, until},
};

/// More attempts than any call makes here.
const MANY: u32 = 500;

/// The streaming routes refuse everybody.
fn no_stream() -> Faults {
    Faults::always(Fault::Refuse { status: 503, retry_after: None })
}

/// The first connection of each track is lost behind its first final, and there is no other.
fn lost_in_the_middle() -> Faults {
    let attempts: Vec<u32> = (1..MANY).collect();
    faults(r#"{"attempts":[0],"kind":"drop","after_finals":1}"#)
        .and_on_attempts(&attempts, Fault::Refuse { status: 503, retry_after: None })
}

fn refuse(status: u16) -> Fault {
    Fault::BatchRefuse { status, retry_after: None, form: None }
}

async fn staged(faults: Faults, settings: &[(&'static str, &str)]) -> Stage {
    log::watch();
    let own = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let settings = [("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "1 s".to_owned())].into_iter().chain(own).collect();
    Stage::with(Plan { faults, settings, ..Plan::default() }).await
}

fn batches(stage: &Stage) -> Vec<ConnectionLog> {
    stage.heard.connections().into_iter().filter(|noted| noted.route == 'G').collect()
}

fn assert_recovered(events: &[Value], from: usize) {
    let finals = of_type(events, "transcript.final");
    assert!(finals.len() > from && finals[from..].iter().all(|data| data["recovered"] == true), "{finals:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_any_stream_is_transcribed_after_it_by_batch() {
    for form in ["pcm16", "mulaw"] {
        let mut stage = staged(no_stream(), &[("PULSE_BRIDGE_UPSTREAM_BATCH_FORMAT", form)]).await;
        let events = one_call(&mut stage, "CAbatch").await;
        assert_right("CAbatch", &events);
        assert_recovered(&events, 0);
        let track = &events.last().unwrap()["data"]["tracks"][0];
        assert_eq!((&track["sent_ms"], &track["finalized_ms"]), (&11_600.into(), &11_600.into()), "{track:#}");
        let asked = batches(&stage).remove(0);
        assert_eq!((asked.path.as_str(), asked.key.as_deref()), ("/waves/v1/stt/", Some("…")));
        for (name, value) in [("model", "pulse"), ("language", "en"), ("word_timestamps", "true"), ("diarize", "true")] {
            assert!(asked.query.contains(&(name.to_owned(), value.to_owned())), "{name}: {asked:?}");
        }
        let metrics = http::get(&stage, "/metrics").await;
        for line in [r#"upstream_batch_requests_total{verdict="heard"} 1"#, "upstream_backfilled_seconds_total 11.6"] {
            assert!(metrics.text().contains(&format!("pulse_bridge_{line}")), "{line}: {}", metrics.text());
        }
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_across_the_hang_up_is_filled_from_where_streaming_left_off() {
    let mut stage = staged(lost_in_the_middle(), &[]).await;
    let events = one_call(&mut stage, "CAacross").await;
    assert_right("CAacross", &events);
    assert_eq!(of_type(&events, "transcript.final").iter().filter(|data| data["provisional"] == true).count(), 0);
    let recovered: Vec<_> = of_type(&events, "transcript.final").iter().map(|data| data["recovered"] == true).collect();
    assert!(!recovered[0] && recovered[1..].contains(&true), "{events:#?}");
    let asked: u64 = batches(&stage).iter().map(|noted| noted.bytes).sum();
    assert!(asked < 2 * 11_600 * 8, "what streaming had done is not sent again: {asked} bytes");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_endpoint_that_fails_for_a_while_costs_nothing() {
    let limited = Fault::BatchRefuse { status: 429, retry_after: Some(2), form: None };
    let faults = no_stream().and_on_attempts(&[0], refuse(503)).and_on_attempts(&[1], limited);
    let mut stage = staged(faults, &[]).await;
    let events = one_call(&mut stage, "CAfails").await;
    assert_right("CAfails", &events);
    let asked = batches(&stage);
    assert_eq!(asked.iter().map(|noted| noted.refused).collect::<Vec<_>>(), [Some(503), Some(429), None]);
    assert!(asked[2].at_ms - asked[1].at_ms >= 2_000, "Retry-After is kept");
    assert!(!log::lines(&["CAfails", "rate_limited", "it is tried again"]).is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_sent_in_halves() {
    let mut stage = staged(no_stream().and_always(Fault::BatchTooLarge { bytes: 150_000 }), &[]).await;
    let events = one_call(&mut stage, "CAlarge").await;
    assert_right("CAlarge", &events);
    let refused: Vec<_> = batches(&stage).iter().map(|noted| noted.refused).collect();
    assert!(refused.len() >= 3 && refused[0] == Some(413) && refused[1..].iter().all(Option::is_none), "{refused:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_batch_refuses_is_a_gap_with_the_reason_of_the_outage_and_the_service_s_words_in_the_log() {
    let decode = Fault::BatchDecodeError { tag: Some(7) };
    let rows = [
        ("CAdecode", decode, "could not decode the file"),
        ("CAplan", refuse(403), "says that the plan lacks what was asked for"),
        ("CAkey", refuse(401), "did not accept the API key"),
        ("CAparameter", refuse(400), "did not accept upstream.language (400: Invalid query parameters)"),
    ];
    for (call, fault, cause) in rows {
        let mut stage = staged(no_stream().and_always(fault), &[("PULSE_BRIDGE_UPSTREAM_BATCH_FORMAT", "mulaw")]).await;
        let events = one_call(&mut stage, call).await;
        let completed = &events.last().unwrap()["data"];
        let gap = serde_json::json!([{"from_ms": 0, "reason": "upstream_lost", "to_ms": 11_600}]);
        assert_eq!((&completed["complete"], &completed["tracks"][0]["gaps"]), (&false.into(), &gap), "{call}: {completed:#}");
        let told = log::lines(&[call, cause]);
        assert_eq!((told.len(), batches(&stage).len()), (1, 1), "{call}: {told:?}");
        stage.end().await;
    }
}

/// The bridge is killed while the first batch request waits for its answer, and started again.
async fn killed_in_batch(call: &str, faults: Faults) -> Vec<Value> {
    let slow = Fault::BatchDelay { ms: 120_000 };
    let mut stage = staged(faults.and_on_attempts(&[0], slow), &[]).await;
    let settings = stage.settings_for_a_binary();
    let mut first = Binary::start(&settings).await;
    let address: SocketAddr = first.address.parse().unwrap();
    let audio = recording("mid-word");
    let mut phone = Phone::dial_at(address, call, "/media/twilio").await.unwrap();
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.end().await;
    let (mut events, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    until(|| batches(&stage).iter().any(|noted| noted.bytes > 0)).await;
    first.kill();

    let second = Binary::start(&settings).await;
    while events.values().all(|event: &Value| event["type"] != "call.completed") {
        take(&mut stage, &mut events, &mut bodies).await;
    }
    drop(second);
    assert_eq!(batches(&stage).len(), 2, "what had no answer is asked once more");
    stage.end().await;
    let events: Vec<Value> = events.into_values().collect();
    assert_unbroken(&events);
    events
}

/// Every word once and at its place, and the end that the call had before the kill.
fn assert_whole_in_spite_of_the_kill(call: &str, events: &[Value]) {
    assert_words(call, events);
    let completed = &events.last().unwrap()["data"];
    assert_eq!((&completed["end_reason"], &completed["complete"]), (&"stop".into(), &true.into()), "{call}: {completed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_batch_is_under_way_costs_no_word_and_doubles_none() {
    let events = killed_in_batch("CAkilledbatch", no_stream()).await;
    assert_whole_in_spite_of_the_kill("CAkilledbatch", &events);
    assert_recovered(&events, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_batch_behind_a_stream_that_was_lost_keeps_what_was_stored_and_fills_the_rest() {
    let events = killed_in_batch("CAkilledpart", lost_in_the_middle()).await;
    assert_whole_in_spite_of_the_kill("CAkilledpart", &events);
}
