//! A call comes in; redacted, speaker-labelled, signed events go out.

use pulse_bridge::media::SessionId;
use serde_json::{Value, json};

use crate::{
    http, log,
    stage::{Plan, SECRET, Stage, ids, of_type, text_of},
};

/// The fixture's card number as it is said.
const CARD_WORDS: &str = "four five three nine one four eight eight zero three four three six four six seven";
/// The same in digits.
const CARD_DIGITS: &str = "4539 1488 0343 6467";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_becomes_numbered_verified_redacted_events() {
    let mut stage = Stage::new().await;
    let played = stage.call_as("pay-by-card", &stage.phone()).await;
    let events = stage.events_of(&played.call_sid).await;

    let started = &events[0]["data"];
    assert_eq!(started["dialect"], "twilio");
    assert_eq!(started["speech"], "pulse");
    assert_eq!(started["tracks"][0]["role"], "caller");
    assert_eq!(started["tracks"][1]["role"], "agent");

    let caller = text_of(&events, "inbound");
    let agent = text_of(&events, "outbound");
    assert!(caller.starts_with("hi I'd like to pay my bill"), "{caller}");
    assert!(caller.contains("[CREDIT_CARD_1]"), "{caller}");
    assert!(agent.contains("sure what is the card number"), "{agent}");

    let completed = &events.last().unwrap()["data"];
    assert_eq!(completed["end_reason"], "stop");
    assert_eq!(completed["complete"], true);
    assert_eq!(completed["duration_ms"], 38_000);
    assert_eq!(completed["redactions"], json!({"CREDIT_CARD": 1, "CVV": 1, "EXPIRY": 1}));
    // 38 s on two tracks, in chunks of 60 ms.
    let metrics = http::get(&stage, "/metrics").await;
    for line in ["bridge_latency_seconds_count 1268", "upstream_first_transcript_seconds_count 2"] {
        assert!(metrics.text().contains(line), "{line} is not in {}", metrics.text());
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stored_logged_or_sent_holds_the_card_number_in_any_form() {
    log::watch();
    let mut stage = Stage::new().await;
    let played = stage.call("pay-by-card").await;
    let events = stage.events_of(&played.call_sid).await;
    assert!(!log::lines(&[&played.call_sid]).is_empty(), "the call is logged");
    let stored = stored(&stage);
    assert!(stored.contains(&played.call_sid), "what is not sealed can be read where this test looks");
    // What is sealed is looked at as whoever has the key sees it.
    let session = events[0]["data"]["session_id"].as_str().unwrap();
    let opened = opened(&stage, &SessionId::new(session).unwrap()).await;
    assert!(opened.contains("pay my bill"), "what is not secret is stored");

    let everything = serde_json::to_string(&events).unwrap();
    for form in forms_of_the_card_number() {
        assert!(!everything.contains(&form), "sent: {form}");
        assert_eq!(log::lines(&[&form]), Vec::<String>::new(), "logged: {form}");
        assert!(!stored.contains(&form), "stored: {form}");
        assert!(!opened.contains(&form), "sealed: {form}");
    }
    // Four digits alone may stand in an id; in what is said they may not.
    for text in all_texts(&events) {
        for group in CARD_DIGITS.split(' ') {
            assert!(!text.contains(group), "{group} in {text}");
        }
    }
    let words: Vec<&str> = CARD_WORDS.split(' ').collect();
    for text in word_texts(&events) {
        assert!(!words.contains(&text.as_str()), "a word of the number is left: {text}");
    }
    stage.end().await;
}

/// Four words in a row, as they are said and as a list of words is written, and the digits in a row and in groups.
fn forms_of_the_card_number() -> Vec<String> {
    let words: Vec<&str> = CARD_WORDS.split(' ').collect();
    let said = words.windows(4).flat_map(|four| [four.join(" "), four.join("\",\"")]);
    said.chain(["", " ", "-"].map(|between| CARD_DIGITS.replace(' ', between))).collect()
}

/// The bytes of every file in the data folder, but for the spool: that is the sealed audio itself.
fn stored(stage: &Stage) -> String {
    let mut bytes = Vec::new();
    let mut folders = vec![stage.data_dir.clone()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if !path.is_dir() {
                bytes.extend(std::fs::read(&path).unwrap());
            } else if !path.ends_with("spool") {
                folders.push(path);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the store gives to whoever has the key: a session's events and segments.
async fn opened(stage: &Stage, session: &SessionId) -> String {
    let store = &stage.bridge.store;
    let events = store.events(session, 0, 1_000).await.unwrap();
    let segments = store.segments(session).await.unwrap();
    let mut texts: Vec<String> = events.iter().map(|event| String::from_utf8_lossy(&event.body).into_owned()).collect();
    texts.extend(segments.iter().map(|segment| String::from_utf8_lossy(&segment.json).into_owned()));
    texts.concat()
}

/// Every string that is the value of a field `text`, however deep.
fn all_texts(events: &[Value]) -> Vec<String> {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                texts.extend(fields.get("text").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, texts));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, texts)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    events.iter().for_each(|event| collect(event, &mut texts));
    texts
}

fn word_texts(events: &[Value]) -> Vec<String> {
    let finals = of_type(events, "transcript.final");
    let words = finals.iter().filter(|data| data["start_ms"].as_u64().is_some_and(|at| (7_000..18_000).contains(&at)));
    words
        .flat_map(|data| data["words"].as_array().cloned().unwrap_or_default())
        .map(|word| word["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_who_hangs_up_in_mid_word_keeps_every_whole_word() {
    let mut stage = Stage::new().await;
    let played = stage.call("mid-word").await;
    assert_eq!(played.ended, "disconnect");
    let events = stage.events_of(&played.call_sid).await;
    let completed = &events.last().unwrap()["data"];
    assert_eq!(completed["end_reason"], "disconnect");
    let truth = crate::stage::load("mid-word");
    for (track, truth) in &truth.truth {
        let said = text_of(&events, track.as_str()).to_lowercase();
        for word in truth.words.iter().filter(|word| !word.cut && word.text.chars().all(char::is_alphabetic)) {
            assert!(said.contains(&word.text.to_lowercase()), "{track}: {} is not in {said}", word.text);
        }
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_do_not_mix() {
    let mut stage = Stage::new().await;
    let phone = stage.phone();
    let names: Vec<_> = (0..8).map(|n| (format!("CA{n:032}"), format!("MZ{n:032}"))).collect();
    let calls = names.iter().map(|(call, stream)| {
        let phone = pulse_bridge::replay::Settings { ids: Some(ids(call, stream)), ..phone.clone() };
        let stage = &stage;
        async move { stage.call_as("mid-word", &phone).await }
    });
    futures_util::future::join_all(calls).await;
    let mut texts = std::collections::BTreeMap::new();
    let mut by_call: std::collections::BTreeMap<String, Vec<Value>> = std::collections::BTreeMap::new();
    while texts.len() < names.len() {
        let event = stage.next_event().await;
        let call = event["data"]["call_sid"].as_str().unwrap().to_owned();
        let is_last = event["type"] == "call.completed";
        by_call.entry(call.clone()).or_default().push(event);
        if is_last {
            crate::stage::assert_unbroken(&by_call[&call]);
            texts.insert(call.clone(), text_of(&by_call[&call], "inbound"));
        }
    }
    let first = texts.values().next().unwrap().clone();
    assert!(!first.is_empty());
    assert!(texts.values().all(|text| *text == first), "{texts:#?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_platform_dialled_swaps_the_roles() {
    let mut stage = Stage::new().await;
    let mut phone = stage.phone();
    phone.parameters.insert("direction".to_owned(), "outbound".to_owned());
    let played = stage.call_as("mid-word", &phone).await;
    let events = stage.events_of(&played.call_sid).await;
    assert_eq!(events[0]["data"]["direction"], "outbound");
    assert_eq!(events[0]["data"]["tracks"][0]["role"], "agent");
    assert!(of_type(&events, "transcript.final").iter().all(|data| (data["track"] == "inbound") == (data["role"] == "agent")));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_at_first_gets_the_same_bytes_in_order() {
    let plan = Plan { fail: "status=503,count=2".parse().unwrap(), ..Plan::default() };
    let mut stage = Stage::with(plan).await;
    let played = stage.call("mid-word").await;
    let first = stage.next_delivery().await;
    assert_eq!(first.status, 503);
    let second = stage.next_delivery().await;
    assert_eq!((second.status, &second.body, &second.webhook_id), (503, &first.body, &first.webhook_id));
    let events = stage.events_of(&played.call_sid).await;
    assert_eq!(serde_json::to_value(&events[0]).unwrap(), serde_json::from_slice::<Value>(&first.body).unwrap());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_them_gets_interims_with_every_digit_masked_and_nothing_of_them_is_stored() {
    let opted_in = |name: &str, url: &str| {
        format!(
            "[[webhook.endpoints]]\nname = \"{name}\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\nevents = [\"transcript.partial\", \"call.completed\"]\n[redaction]\npartials = true\n"
        )
    };
    let mut stage = Stage::with(Plan { endpoints: Some(Box::new(move |url| opted_in("live", url))), ..Plan::default() }).await;
    let played = stage.call("pay-by-card").await;
    let mut partials = Vec::new();
    loop {
        let event = stage.next_event().await;
        if event["type"] == "call.completed" {
            break;
        }
        assert_eq!(event["type"], "transcript.partial");
        assert!(event["data"].get("seq").is_none() && event["data"].get("segment_id").is_none());
        partials.push(event["data"]["text"].as_str().unwrap().to_owned());
    }
    assert!(partials.iter().any(|text| text.contains("pay my bill")), "{partials:?}");
    for word in ["four five", "nine one", "eight eight", "three four", "nine two"] {
        assert!(partials.iter().all(|text| !text.contains(word)), "{word} in {partials:?}");
    }
    let session = stage.bridge.store.call(&played.call_sid).await.unwrap().unwrap().start.id;
    let stored = stage.bridge.store.events(&session, 0, 100).await.unwrap();
    assert!(stored.iter().all(|event| event.kind != "transcript.partial"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_parameter_that_names_nobody_loses_no_event() {
    let mut stage = Stage::new().await;
    let mut phone = stage.phone();
    phone.parameters.insert("webhook".to_owned(), "nobody".to_owned());
    let played = stage.call_as("mid-word", &phone).await;
    let events = stage.events_of(&played.call_sid).await;
    assert_eq!(events[0]["data"]["custom_parameters"].get("webhook"), None, "what the bridge reads is not passed on");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_chose_stands_in_texts_words_and_records() {
    let chosen = |name: &str, url: &str| {
        format!(
            "[[webhook.endpoints]]\nname = \"{name}\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\n\
             [redaction.mode]\nCREDIT_CARD = \"last4\"\nEXPIRY = \"remove\"\n[redaction.patterns]\nERRAND = 'pay my \\w+'\n"
        )
    };
    let mut stage = Stage::with(Plan { endpoints: Some(Box::new(move |url| chosen("chosen", url))), ..Plan::default() }).await;
    let played = stage.call("pay-by-card").await;
    let events = stage.events_of(&played.call_sid).await;
    let caller = text_of(&events, "inbound");
    assert!(caller.starts_with("hi I'd like to [ERRAND_1]") && caller.contains("[CREDIT_CARD_1:6467]"), "{caller}");
    let finals = of_type(&events, "transcript.final");
    let labels: Vec<&str> = finals.iter().flat_map(|data| data["redactions"].as_array().unwrap()).map(label).collect();
    assert_eq!(labels, ["[ERRAND_1]", "[CREDIT_CARD_1:6467]", "", "[CVV_1]"]);
    let words: Vec<&Value> = finals.iter().flat_map(|data| data["words"].as_array().unwrap()).collect();
    let redacted: Vec<&str> =
        words.iter().filter(|word| word["redacted"] == true).map(|word| word["text"].as_str().unwrap()).collect();
    assert_eq!(redacted, labels);
    let metrics = http::get(&stage, "/metrics").await;
    assert!(metrics.text().contains("pulse_bridge_redaction_failures_total 0\n"), "{}", metrics.text());
    stage.end().await;
}

fn label(redaction: &Value) -> &str {
    redaction["label"].as_str().unwrap()
}
