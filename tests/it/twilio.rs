//! Twilio's webhooks: the TwiML that orders a stream, its one-time token, and the stream's status.

use pulse_bridge::dialect::signature::sign;
use quick_xml::{Reader, XmlVersion, events::Event};
use secrecy::SecretString;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    http::{Answer, get, post},
    log,
    phone::{Phone, until_completed},
    stage::{AUTH_TOKEN, PATIENCE, Plan, Stage},
};

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A webhook as Twilio signs it.
async fn signed(stage: &Stage, path: &str, form: &[(String, String)]) -> Answer {
    let signature = sign(&SecretString::from(AUTH_TOKEN), &stage.http(path), form);
    post(stage, path, form, &[("x-twilio-signature", &signature)]).await
}

fn voice_form(call: &str) -> Vec<(String, String)> {
    form(&[("CallSid", call), ("From", "+15550100123"), ("To", "+15550199456"), ("Direction", "inbound"), ("Extra", "a b&c=d")])
}

/// What the TwiML orders: where the stream goes and its token.
fn ordered(twiml: &str) -> (String, String) {
    let mut reader = Reader::from_str(twiml);
    let (mut url, mut token) = (String::new(), String::new());
    loop {
        let tag = match reader.read_event().expect("the TwiML is well-formed") {
            Event::Start(tag) | Event::Empty(tag) => tag.into_owned(),
            Event::Eof => return (url, token),
            _ => continue,
        };
        let attribute = |name: &str| {
            let found = tag.attributes().map(Result::unwrap).find(|attribute| AsRef::<str>::as_ref(&attribute.key) == name);
            found.map(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned())
        };
        match tag.name().as_ref() {
            "Stream" => {
                url = attribute("url").unwrap();
                assert_eq!(attribute("track").as_deref(), Some("both_tracks"));
            }
            "Parameter" if attribute("name").as_deref() == Some("token") => token = attribute("value").unwrap(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_voice_webhook_s_token_opens_one_stream_of_its_own_call() {
    log::watch();
    let settings = vec![("PULSE_BRIDGE_TWILIO_REQUIRE_TOKEN", "true".to_owned())];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let answer = signed(&stage, "/twilio/voice", &voice_form("CAvoice")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("statusCallback"), "{}", answer.text());
    assert!(answer.header("content-type").contains("xml"));
    let (url, token) = ordered(answer.text());
    assert_eq!(url, stage.media().as_str());

    let opened = async |call: &str, stream: &str, token: &str| {
        let mut phone = Phone::dial(&stage, call).await.named(stream);
        phone.start_with(&["inbound"], &json!({"token": token, "tenant": "blue"})).await;
        phone.stop().await;
        phone.closed().await.0
    };
    // Refused behind its own stop as well, so nothing but the events can tell.
    opened("CAother", "MZ-other", &token).await;
    assert_eq!(opened("CAvoice", "MZ-first", &token).await, 1000);
    let events = until_completed(&mut stage, &["CAvoice"]).await;
    assert_eq!(events.keys().collect::<Vec<_>>(), ["CAvoice"]);
    let started = &events["CAvoice"][0]["data"];
    assert_eq!((&started["from"], &started["to"], &started["direction"]), (&json!("0123"), &json!("9456"), &json!("inbound")));
    assert_eq!(started["custom_parameters"], json!({"tenant": "blue"}), "the token goes no further");

    for (call, given) in [("CAvoice", token.as_str()), ("CAvoice", "made-up"), ("CAvoice", "")] {
        let mut phone = Phone::dial(&stage, call).await.named(&format!("MZ-{}", given.len()));
        phone.start_with(&["inbound"], &json!({"token": given})).await;
        let (code, why) = phone.closed().await;
        assert_eq!((code, why.contains("one-time token")), (1008, true), "{why}");
    }
    assert!(!log::lines(&["stream ended", "CAvoice"]).is_empty(), "a stream's end names its call");
    assert!(log::lines(&[&token]).is_empty(), "no token is logged");
    assert!(log::lines(&["5550100123"]).is_empty(), "no number is logged");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_called_whom_is_known_to_every_session_of_the_call() {
    let mut stage = Stage::new().await;
    assert_eq!(signed(&stage, "/twilio/voice", &voice_form("CAtwice")).await.status, 200);
    for stream in ["MZ-one", "MZ-two"] {
        let mut phone = Phone::dial(&stage, "CAtwice").await.named(stream);
        phone.start().await;
        phone.end().await;
        let events = until_completed(&mut stage, &["CAtwice"]).await;
        let started = &events["CAtwice"][0]["data"];
        let known = (&started["from"], &started["to"], &started["direction"]);
        assert_eq!(known, (&json!("0123"), &json!("9456"), &json!("inbound")), "{stream}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_path_opens_one_stream_of_its_own_call() {
    let settings = vec![("PULSE_BRIDGE_INGEST_TOKENS", "let-me-in".to_owned())];
    let mut stage = Stage::with(Plan { settings, without: vec!["TWILIO_AUTH_TOKEN"], ..Plan::default() }).await;
    let bearer = [("authorization", "Bearer let-me-in")];
    let answer = post(&stage, "/twilio/voice", &voice_form("CApath"), &bearer).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("statusCallback"), "nothing would let it in: {}", answer.text());
    let (url, _) = ordered(answer.text());
    let path = url::Url::parse(&url).unwrap().path().to_owned();
    assert!(path.starts_with("/media/twilio/"), "{path}");

    let mut stranger = Phone::dial_to(&stage, "CAstranger", &path).await.expect("who it is for is told by the start");
    stranger.start().await;
    assert_eq!(stranger.closed().await.0, 1008);
    let mut phone = Phone::dial_to(&stage, "CApath", &path).await.expect("a fresh token is taken");
    let mut race = Phone::dial_to(&stage, "CApath", &path).await.expect("it is used up by a start only").named("MZ-race");
    phone.start().await;
    assert_eq!(stage.next_event().await["data"]["from"], "0123");
    race.start().await;
    assert_eq!(race.closed().await.0, 1008);
    phone.end().await;
    assert_eq!(Phone::dial_to(&stage, "CApath", &path).await.err(), Some(403));
    assert_eq!(Phone::dial_to(&stage, "CApath", "/media/twilio/made-up").await.err(), Some(403));
    assert_eq!(Phone::dial_to(&stage, "CApath", "/media/twilio").await.err(), Some(403), "nothing is signed here");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_not_twilio_s_are_refused() {
    let stage = Stage::new().await;
    for path in ["/twilio/voice", "/twilio/status"] {
        let form = voice_form("CAforged");
        assert!(post(&stage, path, &form, &[]).await.problem(403).contains("X-Twilio-Signature"));
        let signature = sign(&SecretString::from(AUTH_TOKEN), &stage.http(path), &form);
        let changed = voice_form("CAanother");
        post(&stage, path, &changed, &[("x-twilio-signature", &signature)]).await.problem(403);
        let twice = [("x-twilio-signature", signature.as_str()), ("x-twilio-signature", signature.as_str())];
        post(&stage, path, &form, &twice).await.problem(403);
        signed(&stage, path, &[]).await.problem(400);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_a_signature_is_refused_before_its_body_comes() {
    let stage = Stage::new().await;
    let mut socket = TcpStream::connect(stage.bridge.address).await.unwrap();
    let header = "POST /twilio/voice HTTP/1.1\r\nhost: bridge\r\ncontent-length: 10\r\n\r\n";
    socket.write_all(header.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut status)).await.expect("an answer comes").unwrap();
    assert_eq!(&status, b"HTTP/1.1 403");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_callback_is_taken_and_its_error_is_told_without_its_words() {
    log::watch();
    let stage = Stage::new().await;
    let status = |event: &str, error: &str| {
        form(&[("CallSid", "CAstatus"), ("StreamSid", "MZ1"), ("StreamEvent", event), ("StreamError", error)])
    };
    for event in ["stream-started", "stream-stopped", "stream-danced"] {
        assert_eq!(signed(&stage, "/twilio/status", &status(event, "")).await.status, 204);
    }
    let said = "31921 closed while the caller said xylophone";
    assert_eq!(signed(&stage, "/twilio/status", &status("stream-error", said)).await.status, 204);
    assert_eq!(log::lines(&["CAstatus", "31921"]).len(), 1);
    assert!(log::lines(&["xylophone"]).is_empty());
    let metrics = get(&stage, "/metrics").await;
    let refused = metrics.text().lines().filter(|line| line.contains("streams_refused_total{"));
    assert!(refused.clone().count() > 0 && refused.clone().all(|line| line.ends_with(" 0")), "nothing was refused");
    stage.end().await;
}
