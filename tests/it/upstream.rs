//! What the speech service may do wrong: the caller's words survive it, or it is said what was lost and why.

use futures_util::future::join_all;
use pulse_bridge::emulate::{Fault, Faults};
use serde_json::Value;

use crate::{
    http, log,
    phone::{Phone, assert_whole, frames, one_call, plain, recording, spoken},
    stage::{AUTH_TOKEN, Plan, SECRET, Stage, of_type, text_of, until},
};

/// Where the recording's speech is under way, in bytes.
const IN_MID_SPEECH: u64 = 48_000;

fn refuse(status: u16) -> Fault {
    Fault::Refuse { status, retry_after: (status == 429).then_some(1) }
}

/// Batch is refused as well, so that what streaming does not do is not done.
fn without_batch(faults: Faults) -> Faults {
    faults.and_always(Fault::BatchRefuse { status: 403, retry_after: None, form: None })
}

fn close(code: u16) -> Fault {
    Fault::Close { after_bytes: 160, code }
}

fn error_frame() -> Fault {
    Fault::Error { after_bytes: 160, message: "Invalid audio".to_owned() }
}

async fn staged(faults: Faults) -> Stage {
    log::watch();
    Stage::with(Plan { faults, ..Plan::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_by_readyz_and_log_and_loses_nothing_silently() {
    let cases = [
        ("CA401", refuse(401), "API key (401"),
        ("CA400", refuse(400), "did not accept the parameters (400"),
        ("CA403", refuse(403), "plan lacks what was asked for (403"),
        ("CA429", refuse(429), "too many sessions or requests of this account (429"),
        ("CA503", refuse(503), "answered 503 instead"),
        ("CA1008", close(1008), "by its policy (1008"),
        ("CA1000", close(1000), "before its first message (code 1000)"),
        ("CA1011", error_frame(), "reported an error (Invalid audio)"),
    ];
    join_all(cases.map(|(call, fault, cause)| async move {
        log::watch();
        let settings = vec![("PULSE_BRIDGE_UPSTREAM_SLOT_WAIT", "3 s".to_owned())];
        let mut stage = Stage::with(Plan { faults: without_batch(Faults::always(fault)), settings, ..Plan::default() }).await;
        let events = one_call(&mut stage, call).await;
        assert_lost_wholly(&events, if ["CA429", "CA1008"].contains(&call) { "quota" } else { "upstream_lost" });
        assert_cause_told(&stage, call, cause).await;
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_service_the_call_ends_in_time_and_says_what_was_lost() {
    log::watch();
    let settings = vec![("PULSE_BRIDGE_UPSTREAM_URL", "ws://127.0.0.1:9/waves/v1/stt/live".to_owned())];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let events = one_call(&mut stage, "CAabsent").await;
    assert_lost_wholly(&events, "upstream_lost");
    assert_cause_told(&stage, "CAabsent", "cannot be reached").await;
    stage.end().await;
}

/// The call ended with one gap over all its audio, and says that it is not complete.
fn assert_lost_wholly(events: &[Value], reason: &str) {
    let completed = of_type(events, "call.completed");
    assert_eq!(completed.len(), 1);
    assert_eq!((&completed[0]["complete"], &completed[0]["end_reason"]), (&false.into(), &"stop".into()));
    let gaps = of_type(events, "transcript.gap");
    assert!(gaps.iter().all(|gap| gap["reason"] == reason), "{gaps:?}");
    let lost: u64 = gaps.iter().map(|gap| gap["to_ms"].as_u64().unwrap() - gap["from_ms"].as_u64().unwrap()).sum();
    assert_eq!(lost, 11_600, "{gaps:?}");
    assert_eq!(completed[0]["tracks"][0]["gaps"].as_array().unwrap().len(), gaps.len());
    assert_eq!(text_of(events, "inbound"), "");
}

async fn assert_cause_told(stage: &Stage, call: &str, cause: &str) {
    let ready = http::get(stage, "/readyz").await.json();
    assert_eq!(ready["speech"]["state"], "failing", "{ready:#}");
    assert!(ready["speech"]["reason"].as_str().unwrap().contains(cause), "{ready:#}");
    let told = log::lines(&[call, cause]);
    assert!(!told.is_empty(), "{:#?}", log::lines(&[call]));
    for secret in ["sk_test", AUTH_TOKEN, SECRET] {
        assert!(!ready.to_string().contains(secret));
        assert!(log::lines(&[secret]).is_empty(), "no secret is logged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_once_costs_nothing() {
    let once = [("CA1x429", refuse(429)), ("CA1x1008", close(1008)), ("CA1x1000", close(1000)), ("CA1xError", error_frame())];
    join_all(once.map(|(call, fault)| async move {
        let mut stage = staged(Faults::default().and_on_attempts(&[0], fault)).await;
        let events = one_call(&mut stage, call).await;
        assert_whole(&events);
        assert!(stage.heard_of(call).len() > 1, "{call}: it was dialled again");
        let ready = http::get(&stage, "/readyz").await.json();
        assert_ne!(ready["speech"]["state"], "failing", "{call}: what is over is not told as trouble: {ready:#}");
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_in_mid_call_leaves_the_same_text() {
    let drops = [[0].as_slice(), &[0, 1]];
    join_all(drops.map(|attempts| async move {
        let fault = Fault::Drop { after_bytes: IN_MID_SPEECH };
        let mut stage = staged(Faults::default().and_on_attempts(attempts, fault)).await;
        let call = format!("CAdrop{}", attempts.len());
        let events = one_call(&mut stage, &call).await;
        assert_whole(&events);
        let track = &of_type(&events, "call.completed")[0]["tracks"][0];
        assert!(track["reconnects"].as_u64().unwrap() >= 1, "{track:#}");
        assert_eq!((&track["gaps"], &track["sent_ms"]), (&Value::Array(Vec::new()), &11_600.into()));
        let metrics = http::get(&stage, "/metrics").await;
        assert!(metrics.text().contains(r#"pulse_bridge_upstream_reconnects_total{reason="dropped"}"#), "{}", metrics.text());
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_that_comes_twice_is_one_event() {
    let mut stage = staged(Faults::always(Fault::DuplicateFinal)).await;
    let events = one_call(&mut stage, "CAtwice").await;
    assert_whole(&events);
    let finals = stage.heard_of("CAtwice")[0].finals.iter().filter(|text| !text.is_empty()).count();
    assert_eq!(of_type(&events, "transcript.final").len() * 2, finals, "the service said each twice");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_says_is_last_ends_the_call_once_and_in_time() {
    let mut stage = staged(Faults::always(Fault::NeverLast)).await;
    let events = one_call(&mut stage, "CAneverlast").await;
    assert_whole(&events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_interim_at_the_end_becomes_a_provisional_final() {
    let mut stage = staged(without_batch(Faults::always(Fault::Stall { after_bytes: IN_MID_SPEECH }))).await;
    let events = one_call(&mut stage, "CAstall").await;
    let finals = of_type(&events, "transcript.final");
    let provisional: Vec<_> = finals.iter().filter(|data| data["provisional"] == true).collect();
    assert_eq!(provisional.len(), 1, "{finals:#?}");
    assert!(plain(&spoken("mid-word")).starts_with(&plain(&text_of(&events, "inbound"))));
    assert_eq!(of_type(&events, "call.completed").len(), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_no_audio_while_the_phone_speaks_costs_no_audio() {
    let faults = Faults::default().and_on_attempts(&[0, 1, 2], refuse(503));
    let mut stage = staged(faults).await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAslow").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.stop().await;
    assert_eq!(phone.closed().await.0, 1000, "the phone is never kept waiting for the service");
    let events = stage.events_of("CAslow").await;
    assert_whole(&events);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_and_started_again_costs_no_word() {
    let mut stage = Stage::with(Plan::default()).await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAkilled").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio) / 2).await;
    until(|| stage.heard.connections().iter().any(|connection| connection.bytes > 0)).await;
    stage.speech.kill().await;
    stage.speech.live(Faults::default()).await;
    phone.speak(&audio, frames(&audio) / 2..frames(&audio)).await;
    phone.stop().await;
    let events = stage.events_of("CAkilled").await;
    assert_whole(&events);
    assert_eq!(stage.heard.connections().len(), 2);
    stage.end().await;
}
