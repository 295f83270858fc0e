//! The run: calls that work, calls that fail, a pause, a kill, and then the search.

use std::collections::BTreeMap;

use pulse_bridge::{dialect::signature, event::KINDS};
use secrecy::SecretString;
use url::form_urlencoded;

use crate::{
    bridge::{AUTH_TOKEN, Bridge, Place},
    calls::{self, FAILING, FAILING_MS, KILLED, PAUSED, QUOTE, SPOKEN},
    collect::{Answer, answers, ask, files},
    phone::Phone,
    receiver::{PATIENCE, Receiver, Taken},
    search::{Haystack, Hit, search},
    service::Service,
    values::VALUES,
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_planted_comes_out_with_a_log_in_json() {
    nothing_comes_out("json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_planted_comes_out_with_a_pretty_log() {
    nothing_comes_out("pretty").await;
}

async fn nothing_comes_out(format: &'static str) {
    let (speech, service) = Service::start(calls::scripts(), QUOTE.to_owned()).await;
    let receiver = Receiver::start(QUOTE.to_owned()).await;
    let place = Place::new(format, &speech, &receiver.address);
    let mut found = Vec::new();

    let bridge = place.start().await;
    announced(&bridge).await;
    tokio::join!(spoken(&bridge), failing(&bridge), paused(&bridge));
    receiver.until("the end of three calls", |taken| taken.completed.len() == 3).await;
    killed(&bridge, &receiver).await;
    found.push(Haystack::raw("stdout of the first life", bridge.killed()));
    // What lies on the disk between two lives.
    for folder in place.written() {
        found.extend(files(&folder));
    }

    let bridge = place.start().await;
    let taken = receiver.until("the end of the killed call", |taken| taken.completed.contains(KILLED)).await;
    assert!(taken.refused > 0, "the ill receiver was asked");
    found.extend(answers(&place, &bridge).await);
    found.push(Haystack::raw("stdout of the second life", bridge.ended().await));
    let taken = receiver.until("everything", |_| true).await;
    for folder in place.written() {
        found.extend(files(&folder));
    }
    found.push(Haystack::raw("stderr", place.talk()));
    found.extend(posted(&taken));

    assert_all_was_planted(&service);
    assert_all_is_there(&found, &taken);
    let hits: Vec<Hit> = found.iter().flat_map(search).collect();
    assert!(hits.is_empty(), "{} hits ({}):\n{}", hits.len(), place.format(), listed(&hits));
}

/// Twilio's webhooks with both parties' numbers, and one that nobody signed.
async fn announced(bridge: &Bridge) {
    let parties = |call: &str| {
        [("CallSid", call), ("From", "+19725068314"), ("To", "+18327419650"), ("Direction", "inbound"), ("CallerName", QUOTE)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    for call in [SPOKEN, FAILING, PAUSED, KILLED] {
        let answer = signed(bridge, "/twilio/voice", &parties(call)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let error = [("CallSid", SPOKEN), ("StreamEvent", "stream-error"), ("StreamError", QUOTE), ("StreamName", QUOTE)];
    let error = error.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(signed(bridge, "/twilio/status", &error).await.status, 204);
    let unsigned = ask(bridge.address, "POST", "/twilio/voice", &format!("X-Note: {QUOTE}\r\n"), QUOTE).await;
    assert_eq!(unsigned.status, 403);
}

async fn signed(bridge: &Bridge, path: &str, form: &[(String, String)]) -> Answer {
    let url = format!("http://{}{path}", bridge.address);
    let signature = signature::sign(&SecretString::from(AUTH_TOKEN), &url, form);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let headers = format!("{}: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\n", signature::HEADER);
    ask(bridge.address, "POST", path, &headers, &body).await
}

async fn spoken(bridge: &Bridge) {
    let talk = calls::spoken();
    let mut phone = Phone::dial(bridge.address, SPOKEN, &calls::parameters()).await;
    phone.speaks_to(&talk, talk.length_ms()).await;
    phone.ends().await;
}

async fn failing(bridge: &Bridge) {
    let quiet = crate::script::Talk::default();
    let mut phone = Phone::dial(bridge.address, FAILING, &calls::parameters()).await;
    phone.speaks_to(&quiet, FAILING_MS / 2).await;
    for message in calls::broken_messages() {
        phone.says(message).await;
    }
    phone.speaks_to(&quiet, FAILING_MS).await;
    phone.ends().await;
}

/// Half of a card's number is typed before the pause, the rest in it.
async fn paused(bridge: &Bridge) {
    let talk = calls::paused();
    let in_the_middle = talk.keys[talk.keys.len() / 2].0;
    let mut phone = Phone::dial(bridge.address, PAUSED, &calls::parameters()).await;
    phone.speaks_to(&talk, in_the_middle).await;
    until_received(bridge, PAUSED, 2 * in_the_middle).await;
    for verb in ["finalize", "language", "pause"] {
        let body = if verb == "language" { r#"{"language":"es"}"# } else { "" };
        let answer = ask(bridge.address, "POST", &format!("/v1/calls/{PAUSED}/{verb}"), "", body).await;
        assert!(answer.status < 300, "{verb}: {}", answer.body);
    }
    let after_the_keys = talk.keys.last().expect("there are keys").0 + 500;
    phone.speaks_to(&talk, after_the_keys).await;
    until_received(bridge, PAUSED, 2 * after_the_keys).await;
    assert_eq!(ask(bridge.address, "POST", &format!("/v1/calls/{PAUSED}/resume"), "", "").await.status, 200);
    phone.speaks_to(&talk, talk.length_ms()).await;
    phone.ends().await;
}

/// The call is in its middle, with finals that were told and keys.
async fn killed(bridge: &Bridge, receiver: &Receiver) {
    let [talk, _] = calls::killed();
    let mut phone = Phone::dial(bridge.address, KILLED, &calls::parameters()).await;
    phone.speaks_to(&talk, talk.length_ms()).await;
    for key in "926481".chars() {
        phone.presses(key).await;
    }
    let is_told = |taken: &Taken| taken.finals.iter().filter(|call| *call == KILLED).count() >= 2;
    receiver.until("a final of the call that is killed", is_told).await;
}

/// Waits until the bridge has so much of a live call, both tracks together, in milliseconds.
async fn until_received(bridge: &Bridge, call: &str, ms: u64) {
    let waiting = async {
        let path = format!("/v1/calls/{call}");
        while ask(bridge.address, "GET", &path, "", "").await.json()["live"]["received_ms"].as_u64() < Some(ms) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what the phone says comes in");
}

/// What the receiver got; beside it the keys of each call in their order, since one by one they say nothing.
fn posted(taken: &Taken) -> Vec<Haystack> {
    let mut typed: BTreeMap<&str, String> = BTreeMap::new();
    taken.keys.iter().for_each(|(call, key)| typed.entry(call).or_default().push_str(key));
    let typed = serde_json::to_string(&typed).unwrap();
    vec![
        Haystack::raw("webhooks, headers", taken.heads.clone()),
        Haystack::texts("webhooks, bodies", taken.bodies.clone()),
        Haystack::texts("webhooks, keys in a row", typed),
    ]
}

/// The service's own log has the values that are said, so the searcher finds what is there.
fn assert_all_was_planted(service: &Service) {
    let hits = search(&Haystack::texts("the service", service.said()));
    let is_typed = |name: &str| name == "card that is typed" || name == "called number" || name == "caller's number";
    for value in VALUES.iter().filter(|value| !is_typed(value.name)) {
        assert!(hits.iter().any(|hit| hit.value == value.name), "{} was never said", value.name);
    }
}

/// Every kind of event, file and answer is among what is searched.
fn assert_all_is_there(found: &[Haystack], taken: &Taken) {
    for kind in KINDS {
        assert!(taken.types.contains(*kind), "no {kind} came: {:?}", taken.types);
    }
    for part in
        ["bridge.sqlite", "spool", "capture", "stderr", "webhooks, bodies", "/metrics", "/transcript", "/events", "stdout"]
    {
        assert!(found.iter().any(|haystack| haystack.place.contains(part)), "{part} is not searched");
    }
    let stderr = found.iter().find(|haystack| haystack.place == "stderr").expect("it is searched");
    assert!(String::from_utf8_lossy(&stderr.bytes).contains("TRACE"), "the log is at its lowest level");
}

/// Each value and form once in each kind of place: where it was met first, and how often.
fn listed(hits: &[Hit]) -> String {
    let mut kinds: BTreeMap<(String, &str, &str), (usize, &Hit)> = BTreeMap::new();
    for hit in hits {
        let kind: String = hit.place.chars().filter(|c| !c.is_ascii_digit() && !c.is_ascii_uppercase()).collect();
        kinds.entry((kind, hit.value, hit.form)).or_insert((0, hit)).0 += 1;
    }
    kinds.into_values().map(|(times, hit)| format!("{times} times {hit}")).collect::<Vec<_>>().join("\n")
}
