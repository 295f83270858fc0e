//! Whole calls over the older ASR: the same words without times, whatever happens to a stream, and every cause told.

use std::net::SocketAddr;

use futures_util::future::join_all;
use pulse_bridge::{
    demo::settings_for,
    doctor,
    emulate::{self, Auth, ConnectionLog, Emulator, Faults, HeardLog},
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    http, log,
    phone::{Phone, assert_whole, frames, good_call, one_call, plain, recording, until_completed},
    speech::script,
    stage::{Plan, Stage, faults, of_type, text_of, until},
};

/// Bridges at once, so that none waits for a processor longer than a handshake may take.
const AT_ONCE: usize = 4;
/// Where the recording's speech is under way, in bytes.
const IN_MID_SPEECH: u64 = 48_000;

/// The older ASR; ends with the test.
pub(crate) struct Service {
    address: SocketAddr,
    heard: HeardLog,
    _end: DropGuard,
}

impl Service {
    /// Any free port.
    pub(crate) async fn start(faults: Faults, auth: Auth) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard, end) = (listener.local_addr().unwrap(), HeardLog::default(), CancellationToken::new());
        let emulator = Emulator { speech: script().await.into(), faults, auth, log: heard.clone() };
        tokio::spawn(emulate::serve(listener, emulator, end.clone()));
        Self { address, heard, _end: end.drop_guard() }
    }

    /// The settings that lead here.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PULSE_BRIDGE_UPSTREAM_URL", format!("ws://{}/api/v1/asr", self.address)),
            ("PULSE_BRIDGE_UPSTREAM_PROTOCOL", "asr".to_owned()),
        ]
    }

    /// A bridge that speaks to it.
    pub(crate) async fn stage(&self, more: &[(&'static str, &str)]) -> Stage {
        log::watch();
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Stage::with(Plan { settings: self.settings().into_iter().chain(more).collect(), ..Plan::default() }).await
    }

    /// What it heard.
    pub(crate) fn connections(&self) -> Vec<ConnectionLog> {
        self.heard.connections()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tracks_of_a_call_say_the_same_as_over_pulse_without_words_and_with_numbers_redacted() {
    let service = Service::start(Faults::default(), Auth::AnyKey).await;
    let mut stage = service.stage(&[("PULSE_BRIDGE_UPSTREAM_ASR_REDACT_SENSITIVE_DATA", "ssn")]).await;
    let played = stage.call("pay-by-card").await;
    let events = stage.events_of(&played.call_sid).await;
    stage.end().await;
    let mut pulse = Stage::new().await;
    let played = pulse.call("pay-by-card").await;
    let expected = pulse.events_of(&played.call_sid).await;
    pulse.end().await;

    assert_eq!((&events[0]["data"]["speech"], &expected[0]["data"]["speech"]), (&"asr".into(), &"pulse".into()));
    for track in ["inbound", "outbound"] {
        assert_eq!(plain(&text_of(&events, track)), plain(&text_of(&expected, track)), "{track}");
    }
    assert!(text_of(&events, "inbound").contains("[CREDIT_CARD_1]"), "{}", text_of(&events, "inbound"));
    for data in of_type(&events, "transcript.final") {
        assert_eq!(data["words"], Value::Array(Vec::new()), "{data:#}");
        assert!(data["start_ms"].as_u64() < data["end_ms"].as_u64(), "{data:#}");
    }
    assert_eq!(events.last().unwrap()["data"]["complete"], true);
    assert!(
        service
            .connections()
            .iter()
            .all(|noted| noted.ended == Some("server") && noted.controls.last().is_some_and(String::is_empty))
    );
    assert_eq!(service.connections().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_is_lost_or_doubled_however_a_stream_breaks() {
    let rows = [
        ("CAasr-whole", String::new()),
        ("CAasr-bare", r#"{"kind":"bare_results"}"#.to_owned()),
        ("CAasr-drop", format!(r#"{{"attempts":[0],"kind":"drop","after_bytes":{IN_MID_SPEECH}}}"#)),
        ("CAasr-final", r#"{"attempts":[0],"kind":"drop","after_finals":1}"#.to_owned()),
        ("CAasr-twice", format!(r#"{{"attempts":[0,1],"kind":"drop","after_bytes":{IN_MID_SPEECH}}}"#)),
        ("CAasr-close", format!(r#"{{"attempts":[0],"kind":"close","after_bytes":{IN_MID_SPEECH}}}"#)),
        ("CAasr-error", format!(r#"{{"attempts":[0],"kind":"error","after_bytes":{IN_MID_SPEECH}}}"#)),
        ("CAasr-refuse", r#"{"attempts":[0],"kind":"refuse","status":503}"#.to_owned()),
        ("CAasr-limit", r#"{"attempts":[0],"kind":"rate_limit"}"#.to_owned()),
        ("CAasr-last", r#"{"kind":"never_last"}"#.to_owned()),
    ];
    for some in rows.chunks(AT_ONCE) {
        join_all(some.iter().map(|(call, rules)| async move {
            let service = Service::start(faults(rules), Auth::AnyKey).await;
            let mut stage = service.stage(&[]).await;
            let events = one_call(&mut stage, call).await;
            assert_whole(&events);
            assert_eq!(of_type(&events, "transcript.gap"), Vec::<&Value>::new(), "{call}");
            stage.end().await;
        }))
        .await;
    }
}

/// It falls silent in a pause that has ended a turn, and between two words of one, which are asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_silent_beyond_the_limit_is_heard_when_it_speaks_again() {
    join_all([("CAasr-pause", 470), ("CAasr-between", 320)].map(|(call, silent_from)| async move {
        let service = Service::start(faults(r#"{"kind":"socket_timeout","after_ms":2500}"#), Auth::AnyKey).await;
        let mut stage = service.stage(&[]).await;
        let audio = recording("mid-word");
        let mut phone = Phone::dial(&stage, call).await;
        phone.start().await;
        phone.speak(&audio, 0..silent_from).await;
        until(|| service.connections().first().is_some_and(|noted| noted.ended.is_some())).await;
        phone.speak(&audio, silent_from..frames(&audio)).await;
        phone.end().await;
        let events = stage.events_of(call).await;
        assert_whole(&events);
        let told = log::lines(&[call]);
        assert!(log::lines(&[call, "reconnecting"]).is_empty(), "silence is no failure: {told:#?}");
        assert!(!log::lines(&[call, "idle"]).is_empty(), "{told:#?}");
        assert_ne!(http::get(&stage, "/readyz").await.json()["speech"]["state"], "failing");
        assert_eq!(service.connections().len(), 2, "{told:#?}");
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_service_has_against_us_is_told_by_readyz_and_log_and_what_is_fatal_is_asked_once() {
    let rows = [
        ("CAasr-key", "", Auth::Key("sk_other".into()), "did not accept the API key (Unauthorized Invalid or missing API key)"),
        ("CAasr-plan", r#"{"kind":"no_subscription"}"#, Auth::AnyKey, "has no plan or no credits for this key (No subscription"),
        (
            "CAasr-credits",
            r#"{"kind":"no_credits"}"#,
            Auth::AnyKey,
            "has no plan or no credits for this key (Insufficient credits",
        ),
        (
            "CAasr-region",
            r#"{"kind":"region","languages":["hi","es"]}"#,
            Auth::AnyKey,
            "did not accept the parameters (audioLanguage must be one of the following values: hi, es)",
        ),
        ("CAasr-full", r#"{"kind":"rate_limit"}"#, Auth::AnyKey, "has too many streams of this account (Rate limit exceeded"),
    ];
    join_all(rows.map(|(call, rules, auth, cause)| async move {
        let service = Service::start(faults(rules), auth).await;
        // Who is told of the quota waits for a session behind the call's end.
        let mut stage = service.stage(&[("PULSE_BRIDGE_UPSTREAM_SLOT_WAIT", "2 s")]).await;
        let events = one_call(&mut stage, call).await;
        let completed = &events.last().unwrap()["data"];
        let reason = if call == "CAasr-full" { "quota" } else { "upstream_lost" };
        let gap = serde_json::json!([{"from_ms": 0, "reason": reason, "to_ms": 11_600}]);
        assert_eq!((&completed["complete"], &completed["tracks"][0]["gaps"]), (&false.into(), &gap), "{call}");
        let ready = http::get(&stage, "/readyz").await.json();
        assert_eq!(ready["speech"]["state"], "failing", "{ready:#}");
        assert!(ready["speech"]["reason"].as_str().unwrap().contains(cause), "{ready:#}");
        assert!(!log::lines(&[call, cause]).is_empty(), "{:#?}", log::lines(&[call]));
        assert_eq!(service.connections().len() == 1, call != "CAasr-full", "{call}: {}", service.connections().len());
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_activity_comes_where_it_is_asked_for_by_the_call_s_clock() {
    let service = Service::start(Faults::default(), Auth::AnyKey).await;
    let endpoints = |url: &str| {
        format!(
            "[[webhook.endpoints]]\nname = \"all\"\nurl = \"{url}\"\nsecrets = [\"{}\"]\nevents = {:?}\n",
            crate::stage::SECRET,
            pulse_bridge::event::KINDS
        )
    };
    let voice = ("PULSE_BRIDGE_UPSTREAM_ASR_EMIT_VOICE_ACTIVITY", "true".to_owned());
    let settings = service.settings().into_iter().chain([voice]).collect();
    let mut stage = Stage::with(Plan { settings, endpoints: Some(Box::new(endpoints)), ..Plan::default() }).await;
    good_call(&stage, "CAasr-voice").await;
    let spoken = |event: &Value| {
        let kind = event["type"].as_str().unwrap().to_owned();
        kind.starts_with("speech.").then(|| (kind, event["data"]["at_ms"].as_u64().unwrap()))
    };
    let mut at: Vec<(String, u64)> = stage.rest_of_events().await.iter().filter_map(spoken).collect();
    at.sort_by_key(|(_, at_ms)| *at_ms);
    assert!(at.iter().any(|(kind, _)| kind == "speech.started") && at.iter().any(|(kind, _)| kind == "speech.ended"), "{at:?}");
    assert!(at.iter().all(|(_, at_ms)| *at_ms <= 11_600), "{at:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_name_a_language_of_the_list_and_any_other_leaves_the_setting() {
    let service = Service::start(Faults::default(), Auth::AnyKey).await;
    let mut stage = service.stage(&[]).await;
    for (call, language, sent) in [("CAasr-fr", "fr", "fr"), ("CAasr-xx", "en-US", "en")] {
        let mut phone = Phone::dial(&stage, call).await;
        phone.start_with(&["inbound"], &serde_json::json!({"language": language, "keywords": "Ann:2"})).await;
        phone.speak(&recording("mid-word"), 0..50).await;
        phone.end().await;
        until_completed(&mut stage, &[call]).await;
        let query = service.connections().pop().unwrap().query;
        let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
        let known = [
            "audioLanguage",
            "audioEncoding",
            "audioSampleRate",
            "audioChannels",
            "addPunctuation",
            "speechEndThreshold",
            "redactSensitiveData",
        ];
        assert_eq!((names.as_slice(), query[0].1.as_str()), (known.as_slice(), sent));
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_the_service_has_against_a_stream() {
    let rows = [
        ("", Auth::AnyKey, "ok", "opened a stream in"),
        ("", Auth::Key("sk_other".into()), "fail", "refused the key (Unauthorized Invalid or missing API key)"),
        (r#"{"kind":"no_subscription"}"#, Auth::AnyKey, "fail", "has no plan or no credits for the key (No subscription"),
        (r#"{"kind":"rate_limit"}"#, Auth::AnyKey, "warn", "has no stream left for this account now (Rate limit exceeded"),
        (
            r#"{"kind":"region","languages":["hi"]}"#,
            Auth::AnyKey,
            "fail",
            "refused the parameters (audioLanguage must be one of the following values: hi)",
        ),
    ];
    join_all(rows.map(|(rules, auth, state, words)| async move {
        let service = Service::start(faults(rules), auth).await;
        let mut settings = service.settings();
        settings.push(("SMALLEST_API_KEY", "sk_test".to_owned()));
        let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let report = doctor::driver::examine(&settings_for(None, &pairs).unwrap()).await;
        let shown = serde_json::to_value(&report).unwrap();
        let speech = shown["checks"].as_array().unwrap().iter().find(|check| check["name"] == "speech").unwrap().clone();
        assert_eq!(speech["state"], state, "{speech:#}");
        assert!(speech["text"].as_str().unwrap().contains(words), "{speech:#}");
    }))
    .await;
}
