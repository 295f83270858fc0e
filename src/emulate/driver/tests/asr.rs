//! The older ASR over a real socket: every parameter, every error text, every end.

use super::*;

const ROUTES: [&str; 2] = ["/api/v1/asr", "/waves/v1/asr"];
const BASE: &str = "audioLanguage=en&audioEncoding=mulaw&audioSampleRate=8000&audioChannels=1";
const KEY: Option<&str> = Some("sk_right");
const END: Frame = Frame::Binary(tokio_tungstenite::tungstenite::Bytes::new());

/// Everything that is said to the recording's first so many milliseconds, and how the stream ended.
async fn spoken(rig: &Rig, more: &str, ms: usize) -> (Vec<Value>, Option<CloseCode>) {
    let mut client = rig.dial(&format!("/api/v1/asr?{BASE}{more}"), KEY).await.unwrap();
    send(&mut client, &rig.audio()[..ms * 8]).await;
    client.send(END).await.unwrap();
    let (messages, end) = rest(&mut client).await;
    (messages, end.unwrap())
}

fn said(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter(|message| message["isFinal"] == true).map(|message| message["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_call_is_heard_from_interims_to_the_rest_behind_an_empty_frame() {
    let rig = Rig::new(Auth::AnyKey, Faults::default()).await;
    let (messages, end) = spoken(&rig, "", 2650).await;
    assert_eq!((said(&messages), end), (vec!["hi I'd like"], Some(CloseCode::Normal)), "{messages:#?}");
    let (last, interims) = messages.split_last().unwrap();
    assert_eq!(*last, serde_json::json!({"type": "transcription", "text": "hi I'd like", "isEndOfTurn": true, "isFinal": true}));
    assert!(
        interims.len() >= 2 && interims.iter().all(|it| it["isFinal"] == false && it["isEndOfTurn"] == false),
        "{interims:#?}"
    );
    let noted = rig.log.connections().remove(0);
    assert_eq!((noted.route, noted.bytes), ('W', 2650 * 8));
    assert_eq!(noted.controls, [""], "the end is noted as a control");
}

#[tokio::test]
async fn every_objection_is_said_on_the_stream_in_the_service_s_words_before_it_closes() {
    let region = Fault::Region { languages: vec!["en".to_owned(), "hi".to_owned()] };
    let faults = Faults::of_json(
        r#"{"faults":[{"connections":[12,13],"kind":"no_subscription"},{"connections":[14,15],"kind":"no_credits"},
        {"connections":[16,17],"kind":"rate_limit"}]}"#,
    );
    let rig = Rig::new(Auth::Key("sk_right".into()), faults.unwrap().and_on_attempts(&[4, 5], region)).await;
    let without = |name: &str| BASE.split('&').filter(|pair| !pair.starts_with(name)).collect::<Vec<_>>().join("&");
    let one = |text: &str| Value::from(text);
    let rows = [
        (BASE.to_owned(), None, "Unauthorized", one("Invalid or missing API key")),
        (BASE.to_owned(), Some("sk_wrong"), "Unauthorized", one("Invalid or missing API key")),
        (BASE.replace("=en", "=fr"), KEY, "Invalid input data", one("audioLanguage must be one of the following values: en, hi")),
        (BASE.replace("=8000", "=7999"), KEY, "Invalid input data", one("audioSampleRate must be at least 8000")),
        (without("audioEncoding"), KEY, "Invalid input data", one("audioEncoding is required")),
        (
            format!("{BASE}&diarize=true&speechEndThreshold=9"),
            KEY,
            "Invalid input data",
            serde_json::json!(["property diarize should not exist", "speechEndThreshold must be at least 10"]),
        ),
        (BASE.to_owned(), KEY, "No subscription", one("ASR requires Enterprise plan")),
        (BASE.to_owned(), KEY, "Insufficient credits", one("Account balance too low")),
        (BASE.to_owned(), KEY, "Rate limit exceeded", one("Too many concurrent connections")),
    ];
    for (query, key, message, error) in rows {
        for route in ROUTES {
            let mut client = rig.dial(&format!("{route}?{query}"), key).await.unwrap();
            let (messages, end) = rest(&mut client).await;
            assert_eq!(messages, [serde_json::json!({"message": message, "error": error})], "{route}?{query}");
            assert_eq!(end.unwrap(), Some(CloseCode::Normal));
        }
    }
}

#[tokio::test]
async fn a_key_may_come_in_the_query_and_is_not_shown() {
    let rig = Rig::new(Auth::Key("sk_right_key_9f2c".into()), Faults::default()).await;
    let mut client = rig.dial(&format!("/api/v1/asr?api_key=sk_right_key_9f2c&{BASE}"), None).await.unwrap();
    client.send(END).await.unwrap();
    let (messages, end) = rest(&mut client).await;
    assert_eq!((messages, end.unwrap()), (Vec::new(), Some(CloseCode::Normal)), "silence has no text");
    assert!(!format!("{:?}", rig.log.connections()).contains("right_key"));
}

#[tokio::test]
async fn turns_end_by_either_form_of_endpointing() {
    let rig = Rig::new(Auth::AnyKey, Faults::default()).await;
    let turns = async |more: &str| said(&spoken(&rig, more, 20_000).await.0).len();
    let (by_default, never) = (turns("").await, turns("&speechEndpointing=false").await);
    assert_eq!((turns("&speechEndpointing=true").await, turns("&speechEndThreshold=300").await), (by_default, by_default));
    assert!(by_default > 2 && never == 1, "{by_default} {never}");
    let (short, long) = (turns("&speechEndpointing=10").await, turns("&speechEndpointing=60000&speechEndThreshold=10").await);
    assert!(short >= by_default && long == 1, "{short} {long}");
}

#[tokio::test]
async fn finalize_ends_a_turn_and_the_stream_goes_on() {
    let rig = Rig::new(Auth::AnyKey, Faults::default()).await;
    let mut client = rig.dial(&format!("/waves/v1/asr?{BASE}"), KEY).await.unwrap();
    for audio in rig.audio()[..5000 * 8].chunks(2500 * 8) {
        send(&mut client, audio).await;
        for text in [r#"{"type":"finalize"}"#, r#"{"type":"Finalize"}"#, r#"{"type":"close_stream"}"#, r#"{"type":"keepalive"}"#]
        {
            client.send(Frame::Text(text.into())).await.unwrap();
        }
    }
    client.send(END).await.unwrap();
    let (messages, end) = rest(&mut client).await;
    assert_eq!(
        (said(&messages), end.unwrap()),
        (vec!["hi I'd", "like to pay my bill"], Some(CloseCode::Normal)),
        "Pulse's controls mean nothing here"
    );
}

#[tokio::test]
async fn voice_punctuation_and_masking_come_where_they_are_asked_for() {
    let rig = Rig::new(Auth::AnyKey, Faults::default()).await;
    let (plain, _) = spoken(&rig, "", 38_000).await;
    assert!(plain.iter().all(|message| message["event"].is_null()) && !said(&plain).concat().contains(['.', '*']));
    let (asked, _) =
        spoken(&rig, "&emitVoiceActivity=true&addPunctuation=true&redactSensitiveData=numbers,pci,ssn", 38_000).await;
    let voice: Vec<&Value> =
        asked.iter().filter(|message| message["event"] == "voice_activity").map(|message| &message["speaking"]).collect();
    assert!(voice.len() >= 2 && voice.iter().enumerate().all(|(at, speaking)| **speaking == (at % 2 == 0)), "{voice:?}");
    let text = said(&asked).join(" ");
    assert!(text.contains("my bill.") && text.contains("****") && !text.contains("four five"), "{text}");
}

#[tokio::test]
async fn a_stream_without_audio_is_ended_and_one_with_audio_is_not() {
    let rig = Rig::new(Auth::AnyKey, Faults::always(Fault::SocketTimeout { after_ms: 400 })).await;
    let mut client = rig.dial(&format!("/api/v1/asr?{BASE}"), KEY).await.unwrap();
    let began = clock::now();
    for _ in 0..8 {
        send(&mut client, &[0xFF; 480]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (messages, end) = rest(&mut client).await;
    assert_eq!((messages, end.unwrap()), (vec![serde_json::json!({"message": "socket timeout"})], Some(CloseCode::Normal)));
    assert!(clock::now() - began >= Duration::from_millis(1_100));
}

#[tokio::test]
async fn the_older_page_s_results_have_two_members() {
    let rig = Rig::new(Auth::AnyKey, Faults::always(Fault::BareResults)).await;
    let (messages, _) = spoken(&rig, "", 5_000).await;
    assert_eq!(*messages.last().unwrap(), serde_json::json!({"text": "hi I'd like to pay my bill", "isEndOfTurn": true}));
    assert!(messages.iter().all(|message| message.as_object().unwrap().len() == 2));
}

#[tokio::test]
async fn what_breaks_a_stream_of_pulse_breaks_this_one() {
    const BYTES: usize = 2000 * 8;
    let at = BYTES as u64;
    let faults = Faults::default()
        .and_on_attempts(&[0], Fault::Refuse { status: 503, retry_after: None })
        .and_on_attempts(&[1], Fault::Close { after_bytes: at, code: 1008 })
        .and_on_attempts(&[2], Fault::Error { after_bytes: at, message: "Invalid audio".into() })
        .and_on_attempts(&[3], Fault::Drop { after_bytes: at })
        .and_on_attempts(&[4], Fault::Stall { after_bytes: at });
    let rig = Rig::new(Auth::AnyKey, faults).await;
    let refused = rig.dial(&format!("/api/v1/asr?{BASE}"), KEY).await.err().unwrap();
    assert!(matches!(&refused, Error::Http(response) if response.status() == 503), "{refused:?}");
    for code in [CloseCode::Policy, CloseCode::Error] {
        let mut client = rig.dial(&format!("/api/v1/asr?{BASE}"), KEY).await.unwrap();
        send(&mut client, &rig.audio()[..BYTES]).await;
        let (messages, end) = rest(&mut client).await;
        let error = serde_json::json!({"type": "error", "message": "Invalid audio", "error": "Invalid audio"});
        assert_eq!((end.unwrap(), messages.last() == Some(&error)), (Some(code), code == CloseCode::Error));
    }
    let mut client = rig.dial(&format!("/api/v1/asr?{BASE}"), KEY).await.unwrap();
    send(&mut client, &rig.audio()[..BYTES]).await;
    let (_, end) = rest(&mut client).await;
    assert!(!matches!(end, Ok(Some(_))), "no close frame: {end:?}");
    let mut client = rig.dial(&format!("/api/v1/asr?{BASE}"), KEY).await.unwrap();
    send(&mut client, &rig.audio()[..5000 * 8]).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(200), rest(&mut client)).await.is_err(),
        "it keeps the connection and says nothing"
    );
}
